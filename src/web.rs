//! Serves the web client: the files of `web/`, in the binary in release builds and read from disk in debug builds.
//!
//! Every answer is revalidated (`no-cache` and a strong `ETag`), so that a new version is seen at once and costs a 304
//! otherwise. There is no build step, hence no hashed file names that could be cached for ever. Files travel without what
//! only people read ([`lean`]).

mod lean;

use std::borrow::Cow;
use std::io::Write;
use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, EntityTag, Header, HeaderValue, IfNoneMatch};
use actix_web::web::{self, Bytes, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, guard};
use brotli::enc::BrotliEncoderParams;
use flate2::Compression;
use flate2::write::GzEncoder;
use moka::sync::Cache;
use rust_embed::{EmbeddedFile, RustEmbed};

/// What a page may load and do. Scripts and styles only from here: nothing inline, nothing foreign.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; \
     connect-src 'self' ws: wss:; \
     frame-ancestors 'self'; base-uri 'none'; form-action 'self'";

/// Smaller files grow when they are compressed, or save less than a packet.
const PACKED_FROM_BYTES: usize = 512;

/// As tight as Brotli goes: every file is packed once.
const BROTLI_QUALITY: i32 = 11;

/// Compressed files that are kept. We have fewer; in debug builds old versions of edited files leave first.
const PACKED_KEPT_MAX: u64 = 512;

/// Folders of `web/` that are public. Everything else under `/` belongs to the API and its own 404.
const FILES: &str = "/{path:(?:app|console|style|i18n|icons|demo|phone|quality)/.+|[a-z-]+[.](?:svg|ico|png|webmanifest|txt)|sw[.]js}";

#[derive(RustEmbed)]
#[folder = "web/"]
struct Files;

static COMPRESSED: LazyLock<Cache<([u8; 32], Coding), Bytes>> = LazyLock::new(|| Cache::new(PACKED_KEPT_MAX));

/// How a file travels. Browsers take Brotli over TLS and from this very machine, gzip everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Coding {
    Brotli,
    Gzip,
}

impl Coding {
    /// Its name (RFC 9110, section 8.4.1; RFC 7932).
    const fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }
}

/// What `/demo.json` answers. Put it into the application's data to switch the guided demo on; without it `/demo` and
/// `/demo.json` do not exist.
#[derive(Debug, Clone)]
pub struct DemoSheet(pub serde_json::Value);

/// Registers the pages and files of the web client.
pub fn routes(cfg: &mut ServiceConfig) {
    for page in ["/", "/phone"] {
        cfg.service(web::resource(page).route(readable().to(index)));
    }
    cfg.service(web::resource("/admin").route(readable().to(console)));
    cfg.service(web::resource("/quality").route(readable().to(quality)));
    cfg.service(web::resource("/demo").route(readable().to(demo)));
    cfg.service(web::resource("/demo.json").route(readable().to(demo_sheet)));
    cfg.service(web::resource(FILES).route(readable().to(file)));
}

/// `HEAD` is answered like `GET`; the server leaves the body out.
fn readable() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

async fn index(request: HttpRequest) -> HttpResponse {
    answer(&request, "index.html")
}

/// The page is open to everybody, what it shows is not: it asks the API as whoever signs in.
async fn console(request: HttpRequest) -> HttpResponse {
    answer(&request, "console.html")
}

/// The call-quality map, for everybody.
async fn quality(request: HttpRequest) -> HttpResponse {
    answer(&request, "quality.html")
}

async fn demo(request: HttpRequest) -> HttpResponse {
    match request.app_data::<Data<DemoSheet>>() {
        Some(_) => answer(&request, "demo.html"),
        None => missing(),
    }
}

async fn demo_sheet(request: HttpRequest) -> HttpResponse {
    match request.app_data::<Data<DemoSheet>>() {
        Some(sheet) => {
            HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(&sheet.get_ref().0)
        }
        None => missing(),
    }
}

async fn file(request: HttpRequest, path: web::Path<String>) -> HttpResponse {
    answer(&request, &path)
}

fn missing() -> HttpResponse {
    HttpResponse::NotFound().content_type("text/plain; charset=utf-8").body("There is no such page.\n")
}

fn answer(request: &HttpRequest, path: &str) -> HttpResponse {
    let Some(file) = Files::get(path) else { return missing() };
    let hash = version(path, &file);
    let packed = coding(request).and_then(|coding| Some((coding, pack(path, &file, coding)?)));
    // Each encoding is a sequence of bytes of its own, so a strong validator must tell them apart.
    let suffix = packed.as_ref().map(|(coding, _)| format!("-{}", coding.name())).unwrap_or_default();
    let tag = EntityTag::new_strong(format!("{}{suffix}", hex(&hash)));

    let fresh = is_fresh(request, &tag);
    let mut answer = HttpResponse::build(if fresh { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    answer
        .insert_header((header::ETAG, tag.to_string()))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::VARY, "Accept-Encoding"))
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"));
    if fresh {
        return answer.finish();
    }
    answer.insert_header((header::CONTENT_TYPE, content_type(path)));
    match packed {
        Some((coding, body)) => answer.insert_header((header::CONTENT_ENCODING, coding.name())).body(body),
        None => answer.body(match lean(path, file.data) {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        }),
    }
}

/// A file as it travels.
fn lean(path: &str, data: Cow<'static, [u8]>) -> Cow<'static, [u8]> {
    lean::lean(path, data, |other| Some(Files::get(other)?.data))
}

/// What a file's answer depends on: itself, and of texts the English ones beside it.
fn version(path: &str, file: &EmbeddedFile) -> [u8; 32] {
    let own = file.metadata.sha256_hash();
    let english = path.strip_suffix("ko.json").and_then(|part| Files::get(&format!("{part}en.json")));
    english.map_or(own, |english| {
        let other = english.metadata.sha256_hash();
        std::array::from_fn(|at| own.get(at).unwrap_or(&0) ^ other.get(at).unwrap_or(&0))
    })
}

fn is_fresh(request: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => request.headers().contains_key(header::IF_NONE_MATCH),
        Ok(IfNoneMatch::Items(known)) => known.iter().any(|known| known.weak_eq(tag)),
        Err(_) => false,
    }
}

/// The content type by ending. Written out: what matters here is exactly these, and always UTF-8.
fn content_type(path: &str) -> HeaderValue {
    HeaderValue::from_static(match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    })
}

fn coding(request: &HttpRequest) -> Option<Coding> {
    let accepted = request.headers().get(header::ACCEPT_ENCODING)?.to_str().ok()?;
    [Coding::Brotli, Coding::Gzip].into_iter().find(|coding| accepts(accepted, *coding))
}

/// Whether an `Accept-Encoding` admits a coding (RFC 9110, section 12.5.3): named, or gzip by `*`, and not with weight
/// zero.
fn accepts(accepted: &str, coding: Coding) -> bool {
    let weight = |coding: &str| {
        accepted.split(',').find_map(|item| {
            let mut parts = item.split(';').map(str::trim);
            if !parts.next()?.eq_ignore_ascii_case(coding) {
                return None;
            }
            let q = parts.find_map(|part| part.strip_prefix("q="));
            Some(q.map_or(1.0, |q| q.parse::<f32>().unwrap_or(0.0)))
        })
    };
    let any = || if coding == Coding::Gzip { weight("*") } else { None };
    weight(coding.name()).or_else(any).is_some_and(|q| q > 0.0)
}

fn pack(path: &str, file: &EmbeddedFile, coding: Coding) -> Option<Bytes> {
    if file.data.len() < PACKED_FROM_BYTES || path.ends_with(".png") {
        return None;
    }
    let key = (version(path, file), coding);
    if let Some(bytes) = COMPRESSED.get(&key) {
        return Some(bytes);
    }
    let plain = lean(path, file.data.clone());
    let room = Vec::with_capacity(plain.len() / 3);
    let bytes = match coding {
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(room, Compression::best());
            encoder.write_all(&plain).ok()?;
            encoder.finish().ok()?
        }
        Coding::Brotli => {
            let settings = BrotliEncoderParams { quality: BROTLI_QUALITY, ..BrotliEncoderParams::default() };
            let mut out = room;
            brotli::BrotliCompress(&mut plain.as_ref(), &mut out, &settings).ok()?;
            out
        }
    };
    let bytes = Bytes::from(bytes);
    COMPRESSED.insert(key, bytes.clone());
    Some(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use actix_web::{App, body::to_bytes, dev::ServiceResponse};

    use super::*;

    async fn fetch(request: TestRequest) -> ServiceResponse {
        let sheet = Data::new(DemoSheet(serde_json::json!({"simulator": "/simulator"})));
        let app = init_service(App::new().app_data(sheet).configure(routes)).await;
        call_service(&app, request.to_request()).await
    }

    fn header_of(answer: &ServiceResponse, name: header::HeaderName) -> String {
        answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    #[actix_web::test]
    async fn pages_carry_a_policy_and_are_revalidated() {
        for page in ["/", "/phone", "/admin", "/demo", "/quality"] {
            let answer = fetch(TestRequest::get().uri(page)).await;
            assert_eq!(answer.status(), 200, "{page}");
            assert_eq!(header_of(&answer, header::CONTENT_TYPE), "text/html; charset=utf-8");
            assert_eq!(header_of(&answer, header::CACHE_CONTROL), "no-cache");
            assert!(header_of(&answer, header::CONTENT_SECURITY_POLICY).contains("default-src 'self';"));
            let tag = header_of(&answer, header::ETAG);
            let again = fetch(TestRequest::get().uri(page).insert_header((header::IF_NONE_MATCH, tag))).await;
            assert_eq!(again.status(), 304, "{page}");
            assert!(to_bytes(again.into_body()).await.unwrap().is_empty());
        }
    }

    #[actix_web::test]
    async fn compressed_and_plain_are_the_same_text_under_different_tags() {
        let asked = |accepted: &'static str| async move {
            let request = TestRequest::get().uri("/app/main.js");
            let answer = fetch(request.insert_header((header::ACCEPT_ENCODING, accepted))).await;
            let head = [header::CONTENT_ENCODING, header::ETAG].map(|name| header_of(&answer, name));
            (head, read_body(answer).await)
        };
        let ([coding, plain_tag], plain) = asked("identity").await;
        assert_eq!(coding, "");
        let ([coding, gzip_tag], gzipped) = asked("gzip").await;
        assert_eq!(coding, "gzip");
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(gzipped.as_ref()), &mut text).unwrap();
        assert_eq!(plain.as_ref(), text.as_slice());
        let ([coding, brotli_tag], packed) = asked("gzip, deflate, br").await;
        assert_eq!(coding, "br");
        let mut text = Vec::new();
        brotli::BrotliDecompress(&mut packed.as_ref(), &mut text).unwrap();
        assert_eq!(plain.as_ref(), text.as_slice());
        assert_eq!(BTreeSet::from([plain_tag, gzip_tag, brotli_tag]).len(), 3);
    }

    #[actix_web::test]
    async fn only_our_files_and_only_reading() {
        for path in ["/app/none.js", "/app/../Cargo.toml", "/app/%2e%2e/%2e%2e/Cargo.toml", "/v1/none"] {
            assert_eq!(fetch(TestRequest::get().uri(path)).await.status(), 404, "{path}");
        }
        assert_eq!(
            fetch(TestRequest::default().method("HEAD".parse().unwrap()).uri("/")).await.status(),
            200
        );
        assert_eq!(fetch(TestRequest::post().uri("/")).await.status(), 405);
    }

    #[actix_web::test]
    async fn the_demo_exists_only_when_it_is_switched_on() {
        let app = init_service(App::new().configure(routes)).await;
        for path in ["/demo", "/demo.json"] {
            assert_eq!(call_service(&app, TestRequest::get().uri(path).to_request()).await.status(), 404);
            assert_eq!(fetch(TestRequest::get().uri(path)).await.status(), 200);
        }
    }

    #[test]
    fn a_coding_is_used_when_it_is_accepted() {
        for (accepted, brotli, gzip) in [
            ("gzip", false, true),
            ("gzip, deflate, br, zstd", true, true),
            ("deflate, gzip;q=0.5, br;q=0", false, true),
            ("*", false, true),
            ("gzip;q=0", false, false),
            ("gzip;q=0, *", false, false),
            ("br", true, false),
            ("", false, false),
        ] {
            assert_eq!(accepts(accepted, Coding::Brotli), brotli, "{accepted:?}");
            assert_eq!(accepts(accepted, Coding::Gzip), gzip, "{accepted:?}");
        }
    }

    #[test]
    fn both_languages_say_the_same_things() {
        let keys = |name: &str| -> BTreeSet<String> {
            let file = Files::get(&format!("i18n/{name}.json")).unwrap();
            let texts: serde_json::Map<String, serde_json::Value> =
                serde_json::from_slice(&file.data).unwrap();
            for (key, text) in &texts {
                assert!(text.as_str().is_some_and(|text| !text.trim().is_empty()), "{name}: {key} is empty");
            }
            texts.keys().cloned().collect()
        };
        assert_eq!(keys("en"), keys("ko"));
        for part in ["console", "calls", "quality"] {
            assert_eq!(keys(&format!("{part}-en")), keys(&format!("{part}-ko")), "{part}");
        }
    }
}
