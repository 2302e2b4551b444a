//! TLS: versions, HTTP/2, client certificates, and certificates that change or expire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a helper that fails fails the test

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{exchange, request, start_with};
use framework::SystemClock;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use server::{ClientCertificates, Limits, Listener, Server, StartError, Tls, TlsVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

struct Issued {
    der: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

fn issue(change: impl FnOnce(&mut CertificateParams)) -> Issued {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    change(&mut params);
    let certificate = params.self_signed(&key).unwrap();
    Issued { der: certificate.der().clone(), pem: certificate.pem(), key }
}

/// Writes a certificate and its key, and returns the configuration that names them.
fn install(folder: &Path, issued: &Issued) -> Tls {
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, &issued.pem).unwrap();
    std::fs::write(&key, issued.key.serialize_pem()).unwrap();
    Tls { certificate, key, oldest: TlsVersion::V12, clients: ClientCertificates::Requested }
}

struct Client<'a> {
    trusts: &'a Issued,
    versions: &'a [&'static SupportedProtocolVersion],
    alpn: &'a [&'a str],
    shows: Option<&'a Issued>,
}

impl<'a> Client<'a> {
    fn new(trusts: &'a Issued) -> Self {
        Self { trusts, versions: rustls::ALL_VERSIONS, alpn: &[], shows: None }
    }

    async fn connect(&self, address: std::net::SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusts.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match self.shows {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivatePkcs8KeyDer::from(own.key.serialize_der());
                builder.with_client_auth_cert(vec![own.der.clone()], key.into()).unwrap()
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

fn echo_over(tls: Tls) -> common::Running {
    start_with(common::Stub(Box::new(common::echo)), Limits::default(), Some(tls))
}

fn refused(listener: Listener) -> StartError {
    let corridor = Arc::new(common::Stub(Box::new(common::echo)));
    match Server::bind(&[listener], Limits::default(), corridor, Arc::new(SystemClock)) {
        Err(error) => error,
        Ok(_) => panic!("it started"),
    }
}

fn refused_with(tls: Tls) -> String {
    refused(Listener { address: "127.0.0.1:0".parse().unwrap(), tls: Some(tls) }).to_string()
}

#[tokio::test]
async fn both_versions_unless_only_the_new_one() {
    let (folder, issued) = (tempfile::tempdir().unwrap(), issue(|_| {}));
    let tls = install(folder.path(), &issued);
    let server = echo_over(tls.clone());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = Client { versions: &[version], ..Client::new(&issued) };
        let mut stream = client.connect(server.address).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        assert_eq!(exchange(&mut stream, &request("GET /v1/a", &[], b"")).await.unwrap().status, 200);
    }
    let strict = echo_over(Tls { oldest: TlsVersion::V13, ..tls });
    let old = Client { versions: &[&rustls::version::TLS12], ..Client::new(&issued) };
    assert!(old.connect(strict.address).await.is_err());
    assert!(Client::new(&issued).connect(strict.address).await.is_ok());
}

#[tokio::test]
async fn http2_carries_many_requests_and_closes_after_a_share() {
    let (folder, issued) = (tempfile::tempdir().unwrap(), issue(|_| {}));
    let server = echo_over(install(folder.path(), &issued));
    let stream = Client { alpn: &["h2"], ..Client::new(&issued) }.connect(server.address).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let post = |path: &str, body: &'static [u8]| {
        http::Request::post(format!("https://localhost/v1/{path}"))
            .header("x-vault-token", "hvs.t")
            .body(Full::new(Bytes::from_static(body)))
            .unwrap()
    };
    let answers = [sender.send_request(post("a", b"{\"n\":1}")), sender.send_request(post("b", b"{\"n\":2}"))];
    for (answer, path) in answers.into_iter().zip(["a", "b"]) {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let json: framework::Json = serde_json::from_slice(&body).unwrap();
        assert_eq!((&json["data"]["path"], &json["data"]["token"]), (&path.into(), &"hvs.t".into()));
    }
    let large = sender.send_request(
        http::Request::get("https://localhost/v1/a")
            .header("x-large", "a".repeat(100 << 10))
            .body(Full::default())
            .unwrap(),
    );
    assert_eq!(large.await.map_or(431, |answer| answer.status().as_u16()), 431);
    assert_eq!(sender.send_request(post("sys/unseal", b"{}")).await.unwrap().status(), 200);
    tokio::time::timeout(common::LONG, connection).await.expect("the connection stays").unwrap().unwrap();
}

/// Its buffers, which hold the last request, cannot be wiped in between.
#[tokio::test]
async fn a_quiet_http2_connection_is_closed_soon_even_if_its_client_does_not_listen() {
    let (folder, issued) = (tempfile::tempdir().unwrap(), issue(|_| {}));
    let server = echo_over(install(folder.path(), &issued));
    let mut stream = Client { alpn: &["h2"], ..Client::new(&issued) }.connect(server.address).await.unwrap();
    let settings: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    // GET https://h/v1/a, as the only request: HEADERS with END_STREAM and END_HEADERS.
    let fields: &[u8] = b"\x82\x87\x04\x05/v1/a\x41\x01h";
    let head: &[u8] = &[0, 0, fields.len() as u8, 1, 5, 0, 0, 0, 1];
    let all = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", settings, head, fields].concat();
    stream.write_all(&all).await.unwrap();
    let mut answer = Vec::new();
    let soon = Limits::default().idle / 2;
    // It ends without a farewell of TLS, since the client did not answer HTTP/2's.
    let _ = tokio::time::timeout(soon, stream.read_to_end(&mut answer)).await.expect("the connection stays");
    assert!(answer.windows(7).any(|part| part == b"\"path\":"), "{answer:?}");
}

#[tokio::test]
async fn http1_is_spoken_where_http2_is_not_asked_for() {
    let (folder, issued) = (tempfile::tempdir().unwrap(), issue(|_| {}));
    let server = echo_over(install(folder.path(), &issued));
    let client = Client { alpn: &["http/1.1"], ..Client::new(&issued) };
    let mut stream = client.connect(server.address).await.unwrap();
    for _ in 0..3 {
        assert_eq!(exchange(&mut stream, &request("POST /v1/a", &[], b"{}")).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn client_certificates_are_passed_on_or_required() {
    let (folder, issued, own) = (tempfile::tempdir().unwrap(), issue(|_| {}), issue(|_| {}));
    let tls = install(folder.path(), &issued);
    let server = echo_over(tls.clone());
    for (shows, count) in [(None, 0), (Some(&own), 1)] {
        let mut stream = Client { shows, ..Client::new(&issued) }.connect(server.address).await.unwrap();
        let answer = exchange(&mut stream, &request("GET /v1/a", &[], b"")).await.unwrap();
        assert_eq!(answer.data()["certificates"], count);
    }

    let authority = issue(|params| params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained));
    let issuer_params = {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params
    };
    let issuer = rcgen::Issuer::new(issuer_params, &authority.key);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["client".to_owned()]).unwrap();
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let signed = params.signed_by(&key, &issuer).unwrap();
    let signed = Issued { der: signed.der().clone(), pem: signed.pem(), key };

    let file = folder.path().join("ca.pem");
    std::fs::write(&file, &authority.pem).unwrap();
    let strict = echo_over(Tls { clients: ClientCertificates::Required(file), ..tls });
    for (shows, served) in [(None, false), (Some(&own), false), (Some(&signed), true)] {
        // In TLS 1.3 the client learns of the refusal with its first read.
        let answer = match (Client { shows, ..Client::new(&issued) }).connect(strict.address).await {
            Ok(mut stream) => exchange(&mut stream, &request("GET /v1/a", &[], b"")).await,
            Err(_) => None,
        };
        assert_eq!(answer.is_some(), served);
    }
}

#[tokio::test]
async fn certificates_are_reloaded_and_bad_ones_are_not() {
    let (folder, old, new) = (tempfile::tempdir().unwrap(), issue(|_| {}), issue(|_| {}));
    let tls = install(folder.path(), &old);
    let server = echo_over(tls.clone());
    let mut before = Client::new(&old).connect(server.address).await.unwrap();

    std::fs::write(&tls.certificate, &new.pem).unwrap();
    let error = server.handle.reload_certificates().unwrap_err();
    assert!(error.to_string().contains("is not the key of"), "{error}");
    let expired = issue(|params| params.not_after = rcgen::date_time_ymd(2001, 2, 3));
    install(folder.path(), &expired);
    assert!(server.handle.reload_certificates().unwrap_err().to_string().contains("expired on 2001-02-03"));
    assert!(Client::new(&old).connect(server.address).await.is_ok(), "the old one is still used");

    install(folder.path(), &new);
    server.handle.reload_certificates().unwrap();
    assert!(Client::new(&new).connect(server.address).await.is_ok());
    assert!(Client::new(&old).connect(server.address).await.is_err());
    let answer = exchange(&mut before, &request("GET /v1/a", &[], b"")).await.unwrap();
    assert_eq!(answer.status, 200, "connections that exist go on");
}

#[tokio::test]
async fn what_cannot_be_used_stops_the_start_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let good = install(folder.path(), &issue(|_| {}));
    let missing = Tls { certificate: folder.path().join("none.pem"), ..good.clone() };
    assert!(refused_with(missing).contains("none.pem: cannot be read"));
    let swapped = Tls { certificate: good.key.clone(), ..good.clone() };
    assert!(refused_with(swapped).contains("holds no certificate"));
    let no_key = Tls { key: good.certificate.clone(), ..good.clone() };
    assert!(refused_with(no_key).contains("holds no private key"));
    let early = issue(|params| params.not_before = rcgen::date_time_ymd(2222, 1, 1));
    assert!(refused_with(install(folder.path(), &early)).contains("not valid before 2222-01-01"));
    let late = issue(|params| params.not_after = rcgen::date_time_ymd(2001, 2, 3));
    assert!(refused_with(install(folder.path(), &late)).contains("expired on 2001-02-03"));
    let open = refused(Listener { address: "0.0.0.0:0".parse().unwrap(), tls: None });
    assert!(open.to_string().contains("loopback"), "{open}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = refused(Listener { address: taken.local_addr().unwrap(), tls: None });
    assert!(matches!(busy, StartError::Bind(..)), "{busy}");
}
