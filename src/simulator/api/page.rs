//! The page with the phones: files of `web/phone/`, embedded, and read from disk in debug builds.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::web::{self, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "web/phone/"]
struct Files;

pub fn routes(config: &mut ServiceConfig) {
    config
        .route("", web::get().to(add_slash))
        .route("/", web::get().to(show_index))
        .route("/{file}", web::get().to(show_file));
}

/// The page names its files relative to itself, so its address must end with a slash.
async fn add_slash(request: HttpRequest) -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, format!("{}/", request.path()))).finish()
}

async fn show_index() -> HttpResponse {
    file("index.html")
}

async fn show_file(name: Path<String>) -> HttpResponse {
    file(&name)
}

fn file(name: &str) -> HttpResponse {
    let Some(file) = Files::get(name) else { return HttpResponse::NotFound().finish() };
    let kind = mime_guess::from_path(name).first_or_octet_stream();
    let kind = if kind.type_() == "text" {
        format!("{}; charset=utf-8", kind.essence_str())
    } else {
        kind.to_string()
    };
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((CONTENT_SECURITY_POLICY, "default-src 'self'"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(file.data.into_owned())
}
