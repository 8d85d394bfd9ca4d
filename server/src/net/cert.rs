//! The server's self-signed certificate.
//!
//! Browsers accept one by its hash only if it is ECDSA P-256, names the host, and is valid for at most
//! 14 days; ours keeps inside that, so that one certificate serves games and browsers.

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use thiserror::Error;
use time::{Duration, OffsetDateTime};

/// How long a certificate is valid. Browsers refuse more than 14 days.
const VALID_DAYS: i64 = 13;

/// How far back validity starts, for clients whose clock is behind.
const BACKDATED: Duration = Duration::hours(1);

/// A certificate and its key.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// The system could not make a certificate (no randomness, for example).
#[derive(Debug, Error)]
#[error("making the server's certificate failed: {0}")]
pub enum CertificateError {
    /// While it was made.
    Make(#[from] rcgen::Error),
    /// While TLS took it.
    Use(#[from] rustls::Error),
}

impl Identity {
    /// A new key, and a certificate for `hosts` (names or addresses) that starts an hour before `now`.
    pub(crate) fn generate(
        hosts: Vec<String>,
        now: OffsetDateTime,
    ) -> Result<Identity, CertificateError> {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut params = rcgen::CertificateParams::new(hosts)?;
        params.not_before = now - BACKDATED;
        params.not_after = params.not_before + Duration::days(VALID_DAYS);
        let certificate = params.self_signed(&key)?;
        Ok(Identity {
            certificate: certificate.der().clone(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        })
    }

    /// SHA-256 of the certificate in lower-case hexadecimal: what a client pins.
    pub(crate) fn fingerprint(&self) -> String {
        let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
        let sha256 = suite.tls13().map(|suite| suite.common.hash_provider);
        let digest = sha256
            .expect("the suite is of TLS 1.3")
            .hash(&self.certificate);
        digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_sha256_and_differ_between_certificates() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let one = Identity::generate(vec!["localhost".into()], now).unwrap();
        let other = Identity::generate(vec!["localhost".into()], now).unwrap();
        assert_eq!(one.fingerprint().len(), 64);
        assert_eq!(one.fingerprint(), one.fingerprint());
        assert_ne!(one.fingerprint(), other.fingerprint());
    }
}
