//! Certificates.

use std::path::Path;
use std::process::Command;

use softhsm_tests::{Seal, Server, Setup, eventually, signal};

use crate::refuses;

/// Writes a certificate for the server's address that is good until the end of `year`.
fn certify(server: &Server, year: i32) {
    softhsm_tests::certify(server.folder.path(), server.socket.ip(), year);
}

fn prepare(year: i32) -> Server {
    let server = Server::prepare(Setup::new(Seal::Shamir, "memory"));
    let file = |name: &str| server.folder.path().join(name).display().to_string();
    let files = format!("tls_cert_file = \"{}\" tls_key_file = \"{}\"", file("tls.crt"), file("tls.key"));
    server.edit_config("tls_disable = true", &files);
    certify(&server, year);
    server
}

/// What `curl` says, trusting this certificate alone.
fn curl(server: &Server, trusted: &Path, flags: &[&str]) -> Option<String> {
    let url = format!("https://{}/v1/sys/seal-status", server.socket);
    let output = Command::new("curl").args(["-s", "--cacert"]).arg(trusted).args(flags).arg(url).output().unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn curl_speaks_tls_with_it_and_a_renewed_certificate_needs_no_restart() {
    let mut server = prepare(2060);
    let path = server.folder.path().join("tls.crt");
    let first = server.folder.path().join("first.crt");
    std::fs::copy(&path, &first).unwrap();
    server.spawn();
    let answer = eventually("it answers", || curl(&server, &first, &[]));
    assert!(answer.contains("\"sealed\":true"), "{answer}");
    let shown = ["-w", "%{http_version}", "-o", "/dev/null"];
    assert_eq!(curl(&server, &first, &[&shown[..], &["--http2"]].concat()).unwrap(), "2");
    for version in [["--tls-max", "1.2"], ["--tlsv1.3", "--http1.1"]] {
        assert!(curl(&server, &first, &version).is_some(), "{version:?}");
    }
    assert_eq!(curl(&server, &first, &["--tls-max", "1.1"]), None);

    certify(&server, 2061);
    signal(server.pid("monitor").unwrap(), "HUP");
    eventually("the new certificate is shown", || curl(&server, &path, &[]));
    assert_eq!(curl(&server, &first, &[]), None);
    // A bad file leaves the good certificate in use.
    std::fs::copy(&path, &first).unwrap();
    std::fs::write(&path, "no certificate").unwrap();
    signal(server.pid("monitor").unwrap(), "HUP");
    eventually("it says so", || server.server_log().contains("certificates stay as they are").then_some(()));
    assert!(curl(&server, &first, &[]).is_some());
    assert_eq!(server.stop(), 0);
}

#[test]
fn an_expired_certificate_is_refused() {
    let server = prepare(2021);
    refuses(&server, &["tls.crt", "expired"]);
}

#[test]
fn a_key_that_does_not_fit_or_is_missing_is_refused() {
    let server = prepare(2060);
    let other = prepare(2060);
    let key = server.folder.path().join("tls.key");
    std::fs::copy(other.folder.path().join("tls.key"), &key).unwrap();
    refuses(&server, &["key"]);
    std::fs::remove_file(&key).unwrap();
    refuses(&server, &["tls.key"]);
}
