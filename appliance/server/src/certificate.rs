//! The server's certificate and key: read from files, checked, and swapped while the server runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use framework::{Clock, Timestamp};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::validity;

/// Why a certificate, a key or a list of authorities cannot be used. The operator must put the file right.
#[derive(Debug)]
pub struct CertificateError {
    /// The file at fault.
    pub file: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.reason)
    }
}

impl std::error::Error for CertificateError {}

/// Certificates of a PEM file, in its order; at least one.
pub(crate) fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let fault = |reason: String| CertificateError { file: file.to_owned(), reason };
    let pem = std::fs::read(file).map_err(|error| fault(format!("cannot be read: {error}")))?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| fault(format!("is not a PEM file of certificates: {error}")))?;
    if chain.is_empty() { Err(fault("holds no certificate".to_owned())) } else { Ok(chain) }
}

/// Reads a certificate and its key, and checks that they belong together and are in date.
fn load(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
    now: Timestamp,
) -> Result<CertifiedKey, CertificateError> {
    let about_certificate = |reason: String| CertificateError { file: certificate.to_owned(), reason };
    let about_key = |reason: String| CertificateError { file: key.to_owned(), reason };

    let chain = chain(certificate)?;
    let leaf = chain.first().and_then(|leaf| validity::of(leaf));
    let (from, to) = leaf.ok_or_else(|| about_certificate("the first certificate is malformed".to_owned()))?;
    if now > to {
        return Err(about_certificate(format!("the certificate expired on {to}; install a new one")));
    }
    if now < from {
        return Err(about_certificate(format!("the certificate is not valid before {from}; is the clock right?")));
    }

    // Neither the file's bytes nor the parsed key outlive this function; the heap is wiped when freed.
    let pem = std::fs::read(key).map_err(|error| about_key(format!("cannot be read: {error}")))?;
    let private = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| about_key("holds no private key in PEM form that is not encrypted".to_owned()))?;
    let signer = provider
        .key_provider
        .load_private_key(private)
        .map_err(|_| about_key("the private key is malformed, or of a kind that is not supported".to_owned()))?;
    let pair = CertifiedKey::new(chain, signer);
    pair.keys_match().map_err(|_| about_key(format!("is not the key of {}", certificate.display())))?;
    Ok(pair)
}

/// The certificate of one listener, which can be replaced under running connections.
#[derive(Debug)]
pub(crate) struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    pub(crate) fn open(
        certificate: &Path,
        key: &Path,
        provider: Arc<CryptoProvider>,
        clock: &dyn Clock,
    ) -> Result<Self, CertificateError> {
        let current = RwLock::new(Arc::new(load(certificate, key, &provider, clock.now())?));
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), provider, current })
    }

    /// What the files hold now; nothing changes yet.
    pub(crate) fn read(&self, clock: &dyn Clock) -> Result<Arc<CertifiedKey>, CertificateError> {
        load(&self.certificate, &self.key, &self.provider, clock.now()).map(Arc::new)
    }

    /// Used from the next handshake on.
    pub(crate) fn replace(&self, new: Arc<CertifiedKey>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}
