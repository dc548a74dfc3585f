//! The words in which the stories are told.

#![allow(dead_code, reason = "a story uses the words that it needs")]

pub mod app;
pub mod bandwidth;
pub mod browser;
pub mod calling;
pub mod client;
pub mod database;
pub mod dav;
pub mod exchange;
pub mod line;
pub mod push;
pub mod smsc;
pub mod wires;
pub mod telnyx;
pub mod wire;

pub use app::TestApp;
pub use calling::eventually;
pub use client::Person;

/// Tells one story on both databases: `story! { async fn a_sentence(app) { … } }`.
#[macro_export]
macro_rules! story {
    ($($(#[$meta:meta])* async fn $name:ident($app:ident) $body:block)+) => {
        $(mod $name {
            #[allow(unused_imports)]
            use super::*;
            async fn story($app: &$crate::support::TestApp) $body

            $(#[$meta])*
            #[actix_web::test]
            async fn on_sqlite() {
                let app = $crate::support::TestApp::on_sqlite().await;
                story(&app).await;
                app.finish().await;
            }

            $(#[$meta])*
            #[actix_web::test]
            async fn on_postgres() {
                let app = $crate::support::TestApp::on_postgres().await;
                story(&app).await;
                app.finish().await;
            }
        })+
    };
}
