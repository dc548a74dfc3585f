//! Signs configuration profiles, so that the phone shows whose they are ("Verified") and nobody alters them on the way.
//!
//! A signed profile is CMS `SignedData` (RFC 5652) in DER with the profile inside, the signer's chain beside it, and the
//! usual three signed attributes; Apple's "Configuration Profile Reference" asks for exactly that.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cms::cert::x509::Certificate;
use cms::cert::x509::attr::{Attribute, Attributes};
use cms::cert::x509::der::asn1::{ObjectIdentifier, OctetString, OctetStringRef, SetOfVec, UtcTime};
use cms::cert::x509::der::{Any, Decode, Encode, Tag};
use cms::cert::x509::spki::AlgorithmIdentifierOwned;
use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use rustls::SignatureScheme;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::config::PemFiles;
use crate::error::{Error, Result};

// RFC 5652 §11 and §4, RFC 5754 §2.2, RFC 3370 §3.2, RFC 5758 §3.2.
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_TIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ECDSA_SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// Certificates beside a profile at most.
const CHAIN_MAX: usize = 8;

/// A certificate chain and its key, ready to sign.
pub struct ProfileSigner {
    /// Our own certificate first.
    chain: Vec<Certificate>,
    key: Arc<dyn SigningKey>,
}

impl ProfileSigner {
    /// Reads both files.
    ///
    /// # Errors
    /// A file that cannot be read, a key that is neither RSA nor P-256, or one that does not belong to the certificate.
    pub fn read(files: &PemFiles) -> Result<ProfileSigner> {
        let chain = CertificateDer::pem_file_iter(&files.certificate)
            .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
            .map_err(|error| unusable(&files.certificate, &error))?;
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unusable(&files.key, &error))?;
        let key = rustls::crypto::ring::sign::any_supported_type(&key)
            .map_err(|error| unusable(&files.key, &error))?;
        if key.choose_scheme(SCHEMES).is_none() {
            return Err(unusable(&files.key, &"an RSA key or one of the curve P-256 is needed"));
        }
        let parsed = chain.iter().take(CHAIN_MAX).map(|der| Certificate::from_der(der));
        let parsed: Vec<Certificate> = parsed
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| unusable(&files.certificate, &error))?;
        if parsed.is_empty() {
            return Err(unusable(&files.certificate, &"there is no certificate in it"));
        }
        let pair = CertifiedKey::new(chain, key.clone());
        pair.keys_match().map_err(|error| unusable(&files.key, &error))?;
        Ok(ProfileSigner { chain: parsed, key })
    }

    /// The profile inside its signature, as DER.
    pub fn sign(&self, now: Timestamp, profile: &[u8]) -> Result<Vec<u8>> {
        self.signed(now, profile).map_err(|error| Error::caused("signing a profile", error))
    }

    fn signed(
        &self,
        now: Timestamp,
        profile: &[u8],
    ) -> std::result::Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        let own = &self.chain.first().ok_or("a chain without a certificate")?.tbs_certificate;
        let attributes = attributes(now, profile)?;
        // What is signed is the set of attributes under its own tag, not the one it has in the message (§5.4).
        let signer = self.key.choose_scheme(SCHEMES).ok_or("a key of another kind")?;
        let signature = signer.sign(&attributes.to_der()?)?;
        let scheme = match signer.scheme() {
            SignatureScheme::ECDSA_NISTP256_SHA256 => {
                AlgorithmIdentifierOwned { oid: ECDSA_SHA_256, parameters: None }
            }
            _ => AlgorithmIdentifierOwned { oid: RSA, parameters: Some(Any::null()) },
        };
        let info = SignerInfo {
            version: CmsVersion::V1,
            sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
                issuer: own.issuer.clone(),
                serial_number: own.serial_number.clone(),
            }),
            digest_alg: sha_256(),
            signed_attrs: Some(attributes),
            signature_algorithm: scheme,
            signature: OctetString::new(signature)?,
            unsigned_attrs: None,
        };
        let chain = self.chain.iter().cloned().map(CertificateChoices::Certificate).collect::<Vec<_>>();
        let signed = SignedData {
            version: CmsVersion::V1,
            digest_algorithms: SetOfVec::try_from(vec![sha_256()])?,
            encap_content_info: EncapsulatedContentInfo {
                econtent_type: DATA,
                econtent: Some(Any::encode_from(&OctetStringRef::new(profile)?)?),
            },
            certificates: Some(CertificateSet(SetOfVec::try_from(chain)?)),
            crls: None,
            signer_infos: SignerInfos(SetOfVec::try_from(vec![info])?),
        };
        let message = ContentInfo { content_type: SIGNED_DATA, content: Any::encode_from(&signed)? };
        Ok(message.to_der()?)
    }
}

const SCHEMES: &[SignatureScheme] =
    &[SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PKCS1_SHA256];

fn sha_256() -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid: SHA_256, parameters: None }
}

/// What it is, what it digests to, and when it was signed.
fn attributes(now: Timestamp, content: &[u8]) -> cms::cert::x509::der::Result<Attributes> {
    let digest = Sha256::digest(content);
    let time = UtcTime::from_unix_duration(Duration::from_secs(now.unix_secs().unsigned_abs()))?;
    let one = |oid, value: Any| SetOfVec::try_from(vec![value]).map(|values| Attribute { oid, values });
    SetOfVec::try_from(vec![
        one(CONTENT_TYPE, Any::encode_from(&DATA)?)?,
        one(SIGNING_TIME, Any::encode_from(&time)?)?,
        one(MESSAGE_DIGEST, Any::new(Tag::OctetString, digest.as_slice())?)?,
    ])
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> Error {
    let detail = format!("{} cannot be used to sign profiles: {why}.", path.display());
    Error::invalid("profile_certificate", "unusable_certificate", detail)
}
