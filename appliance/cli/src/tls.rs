//! TLS for the client: aws-lc-rs, the CA certificates to trust, the client's own certificate.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use crate::failure::Failure;
use crate::settings::Settings;

/// Where distributions keep the CA certificates of the system.
const SYSTEM_BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// The cryptography of every connection.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Reads the certificates that flags and environment name. `secure`: whether the address is `https`; if it is not,
/// nothing is read but what was named explicitly.
pub(crate) fn config(settings: &Settings<'_>, secure: bool) -> Result<TlsConfig, Failure> {
    let skip_verify = settings.skip_verify()?;
    let roots = if skip_verify || !secure { Vec::new() } else { roots(settings)? };
    let provider = provider();
    Ok(TlsConfig::builder()
        .client_cert(client_certificate(settings, &provider)?)
        .root_certs(RootCerts::from(roots))
        .disable_verification(skip_verify)
        .unversioned_rustls_crypto_provider(provider)
        .build())
}

fn roots(settings: &Settings<'_>) -> Result<Vec<Certificate<'static>>, Failure> {
    if let Some(pem) = settings.ca_certificates() {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        return match found {
            Ok(found) if !found.is_empty() => {
                Ok(found.iter().map(|der| Certificate::from_der(der).to_owned()).collect())
            }
            _ => Err(Failure::local("VAULT_CACERT_BYTES holds no PEM certificate")),
        };
    }
    if let Some(file) = settings.text("ca-cert", "CACERT") {
        return certificates(Path::new(&file));
    }
    if let Some(folder) = settings.text("ca-path", "CAPATH") {
        let unreadable = |error: std::io::Error| Failure::local(format!("cannot read the CA path {folder}: {error}"));
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.is_file() {
                // A folder of certificates may hold a README; a file that was named may not be one.
                found.extend(certificates(&path).unwrap_or_default());
            }
        }
        if found.is_empty() {
            return Err(Failure::local(format!("no CA certificate in {folder}")));
        }
        return Ok(found);
    }
    match SYSTEM_BUNDLES.iter().map(Path::new).find(|path| path.exists()) {
        Some(bundle) => certificates(bundle),
        None => Err(Failure::local(
            "this system has no bundle of CA certificates: name the server's with -ca-cert or VAULT_CACERT",
        )),
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Failure> {
    Ok(chain(path)?.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect())
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let unusable =
        |problem: String| Failure::local(format!("cannot use the certificate file {}: {problem}", path.display()));
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match found {
        Ok(found) if found.is_empty() => Err(unusable("it holds no PEM certificate".to_owned())),
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(error.to_string())),
    }
}

fn client_certificate(settings: &Settings<'_>, provider: &CryptoProvider) -> Result<Option<ClientCert>, Failure> {
    let certificate = settings.text("client-cert", "CLIENT_CERT");
    let key = settings.text("client-key", "CLIENT_KEY");
    let (certificate_path, key_path) = match (certificate, key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        _ => return Err(Failure::local("a client certificate needs both -client-cert and -client-key")),
    };
    let chain = chain(Path::new(&certificate_path))?;
    let unusable = |problem: String| Failure::local(format!("cannot use the private key file {key_path}: {problem}"));
    let pem = std::fs::read(&key_path).map_err(|error| unusable(error.to_string()))?;
    let der = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| unusable(error.to_string()))?;
    // Asked here because a key that does not fit would be a panic inside the HTTP client.
    CertifiedKey::from_der(chain.clone(), der, provider).map_err(|error| unusable(error.to_string()))?;
    let key = PrivateKey::from_pem(&pem).map_err(|error| unusable(error.to_string()))?;
    let chain: Vec<_> = chain.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
    Ok(Some(ClientCert::new_with_certs(&chain, key)))
}
