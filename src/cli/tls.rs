//! TLS by ourselves: the operator's certificate and key.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Failure;
use crate::config::PemFiles;

/// Reads both files. Which protocols are offered (HTTP/2 and HTTP/1.1) is the server's business.
pub fn config(files: &PemFiles) -> Result<ServerConfig, Failure> {
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable("tls_certificate", &files.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| unreadable("tls_key", &files.key, &error))?;
    let unusable = |error: rustls::Error| {
        let advice =
            "tls_certificate must hold the chain, its own certificate first, and tls_key the key of that.";
        Failure::new(format!("The TLS certificate cannot be used: {error}."), advice)
    };
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)
}

fn unreadable(setting: &str, path: &Path, error: &rustls::pki_types::pem::Error) -> Failure {
    let problem = format!("{setting} {} cannot be read: {error}.", path.display());
    Failure::new(problem, "Name a PEM file that this user may read.")
}
