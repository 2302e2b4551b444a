//! TLS by rustls over aws-lc: versions, client certificates, ALPN.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};

use framework::Clock;

use crate::certificate::{self, Certificate, CertificateError};
use crate::config::{ClientCertificates, Tls, TlsVersion};

/// ALPN name of HTTP/2.
pub(crate) const H2: &[u8] = b"h2";

/// The configuration of a listener, and its certificate, which can be replaced later.
pub(crate) fn configure(
    tls: &Tls,
    clock: &dyn Clock,
) -> Result<(Arc<ServerConfig>, Arc<Certificate>), CertificateError> {
    // Named, not the process-wide default: nothing that another crate installs can change it.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let fault = |reason: String| CertificateError { file: tls.certificate.clone(), reason };
    let certificate = Arc::new(Certificate::open(&tls.certificate, &tls.key, Arc::clone(&provider), clock)?);
    let versions: &[_] = match tls.oldest {
        TlsVersion::V12 => &[&TLS13, &TLS12],
        TlsVersion::V13 => &[&TLS13],
    };
    let clients: Arc<dyn ClientCertVerifier> = match &tls.clients {
        ClientCertificates::Ignored => WebPkiClientVerifier::no_client_auth(),
        ClientCertificates::Requested => Arc::new(AnyIssuer { provider: Arc::clone(&provider) }),
        ClientCertificates::Required(file) => authorities(file, &provider)?,
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|error| fault(error.to_string()))?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::clone(&certificate) as _);
    config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    // No resumption: a session cache keeps secrets that open recorded traffic on the heap, long after the connection.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok((Arc::new(config), certificate))
}

fn authorities(
    file: &std::path::Path,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, CertificateError> {
    let fault = |reason: String| CertificateError { file: file.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    for authority in certificate::chain(file)? {
        roots.add(authority).map_err(|error| fault(error.to_string()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map(|verifier| verifier as _)
        .map_err(|error| fault(error.to_string()))
}

/// Takes a certificate of any issuer, or none, but only from somebody who has its key.
#[derive(Debug)]
struct AnyIssuer {
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AnyIssuer {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
