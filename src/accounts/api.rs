//! The edges of accounts over HTTP: signing up and in, what an account is, and how it proves its numbers and addresses.

mod admin;
mod app_passwords;
mod me;
mod proofs;
mod sessions;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::view::AccountView;

/// Everything under `/v1` that is about one's own account.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(sessions::create_account)
        .service(sessions::create_session)
        .service(sessions::refresh_session)
        .service(sessions::delete_current_session)
        .service(sessions::list_sessions)
        .service(sessions::delete_session)
        .service(me::find_me)
        .service(me::update_me)
        .service(me::delete_me)
        .service(me::export_me)
        .service(me::update_password)
        .service(me::update_photo)
        .service(me::find_photo)
        .service(me::delete_photo)
        .service(proofs::create_mobile)
        .service(proofs::verify_mobile)
        .service(proofs::delete_mobile)
        .service(proofs::create_email)
        .service(proofs::verify_email)
        .service(proofs::open_email_link)
        .service(proofs::verify_email_link)
        .service(proofs::update_email)
        .service(proofs::delete_email)
        .service(app_passwords::create_app_password)
        .service(app_passwords::list_app_passwords)
        .service(app_passwords::delete_app_password)
        .service(app_passwords::find_setup_page)
        .service(app_passwords::find_setup_profile)
        .service(app_passwords::find_setup_code)
        .service(admin::list_accounts)
        .service(admin::find_account)
        .service(admin::update_account)
        .service(admin::delete_account)
        .service(admin::create_invite);
}

/// A list that is always answered whole, because it is bounded.
#[derive(Debug, Serialize, ToSchema)]
struct Whole<T> {
    /// The items.
    items: Vec<T>,
    /// Always null: there is no further page.
    #[schema(required)]
    next: Option<String>,
}

impl<T> Whole<T> {
    fn of(items: Vec<T>) -> Self {
        Whole { items, next: None }
    }
}

/// What a browser or app holds after signing in.
#[derive(Debug, Serialize, ToSchema)]
struct TokensView {
    /// Who signed in.
    account: AccountView,
    /// For `Authorization: Bearer`.
    access_token: String,
    /// Good once, for the next tokens.
    refresh_token: String,
    /// Seconds until the access token expires.
    #[schema(example = 900)]
    expires_in: u64,
}

/// A password that confirms.
#[derive(Deserialize, ToSchema)]
struct Confirmation {
    /// The account's password.
    password: String,
}
