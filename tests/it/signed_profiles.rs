//! Configuration profiles are signed when there is a key, and OpenSSL believes the signature.

use std::path::Path;
use std::process::{Command, Output};

use meari::config::PemFiles;
use serde_json::json;

use crate::support::TestApp;
use crate::support::database::TestDatabase;

fn openssl(folder: &Path, args: &[&str]) -> Output {
    Command::new("openssl").args(args).current_dir(folder).output().unwrap()
}

/// A key and a certificate for it that vouches for itself.
fn pair(folder: &Path, kind: &[&str]) -> PemFiles {
    let subject = ["-days", "2", "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=meari.example.org"];
    let made = openssl(folder, &[&["req", "-x509", "-nodes"], kind, &subject[..]].concat());
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    PemFiles { certificate: folder.join("cert.pem"), key: folder.join("key.pem") }
}

const RSA: &[&str] = &["-newkey", "rsa:2048"];
const P_256: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

async fn fetched_profile(app: &TestApp) -> (String, Vec<u8>) {
    let alice = app.person("alice").await;
    let made = alice.post("/v1/me/app-passwords", json!({ "label": "My phone" })).await.expect(201);
    let answer = reqwest::get(made["mobileconfig_url"].as_str().unwrap()).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/x-apple-aspen-config");
    (made["password"].as_str().unwrap().to_owned(), answer.bytes().await.unwrap().to_vec())
}

async fn is_signed_with(kind: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let files = pair(folder.path(), kind);
    let app = TestApp::start(TestDatabase::sqlite(), |settings| settings.profile_signer = Some(files)).await;
    let (password, signed) = fetched_profile(&app).await;
    let verify = |name: &str, octets: &[u8]| {
        std::fs::write(folder.path().join(name), octets).unwrap();
        let args = [
            "cms", "-verify", "-inform", "DER", "-in", name, "-CAfile", "cert.pem", "-purpose", "any",
            "-binary",
        ];
        openssl(folder.path(), &args)
    };
    let verified = verify("profile", &signed);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let profile = String::from_utf8(verified.stdout).unwrap();
    assert!(profile.starts_with("<?xml") && profile.contains(&password), "{profile}");

    // What was altered on the way is not believed.
    let mut altered = signed.clone();
    let place = signed.windows(password.len()).position(|octets| octets == password.as_bytes()).unwrap();
    altered[place] ^= 1;
    assert!(!verify("altered", &altered).status.success());
    app.finish().await;
}

#[actix_web::test]
async fn with_an_rsa_key() {
    is_signed_with(RSA).await;
}

#[actix_web::test]
async fn with_a_key_of_p_256() {
    is_signed_with(P_256).await;
}

#[actix_web::test]
async fn with_the_key_of_our_own_tls_when_no_other_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let files = pair(folder.path(), P_256);
    let app = TestApp::start(TestDatabase::sqlite(), |settings| settings.tls = Some(files)).await;
    let (_, signed) = fetched_profile(&app).await;
    assert_eq!(signed[0], 0x30, "DER, not a plain profile");
    app.finish().await;
}

#[actix_web::test]
async fn a_key_of_another_certificate_is_refused_at_the_start() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut files = pair(one.path(), P_256);
    files.key = pair(other.path(), P_256).key;
    let refused = meari::profile_signer::ProfileSigner::read(&files).err().unwrap();
    assert!(refused.report().contains("key.pem"), "{}", refused.report());
    let mut files = pair(one.path(), &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"]);
    assert!(meari::profile_signer::ProfileSigner::read(&files).is_err());
    files.certificate = one.path().join("nowhere.pem");
    assert!(meari::profile_signer::ProfileSigner::read(&files).is_err());
}
