//! Shares and root tokens encrypted to PGP keys, from this product's client to a real GnuPG and back.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use softhsm_tests::{Seal, Server, Setup};

/// GnuPG with a home and two keys of its own.
struct Gpg(tempfile::TempDir);

impl Gpg {
    /// `None` where there is no GnuPG.
    fn new() -> Option<Self> {
        let gpg = Self(tempfile::Builder::new().prefix("gpg-").tempdir_in("/tmp").unwrap());
        Command::new("gpg").arg("--version").output().ok()?;
        gpg.run(&["--quick-generate-key", "rsa@example.com", "default", "default", "never"], b"");
        gpg.run(&["--quick-generate-key", "curve@example.com", "future-default", "default", "never"], b"");
        std::fs::write(gpg.file("rsa"), gpg.run(&["--export", "rsa@example.com"], b"")).unwrap();
        std::fs::write(gpg.file("curve"), gpg.run(&["--export", "--armor", "curve@example.com"], b"")).unwrap();
        Some(gpg)
    }

    fn run(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = Command::new("gpg")
            .args(["--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", ""])
            .args(arguments)
            .env("GNUPGHOME", self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What a message in base64 or hexadecimal says.
    fn decrypt(&self, message: &Value) -> String {
        let text = message.as_str().unwrap();
        let binary = self.file("message");
        if text.bytes().all(|c| c.is_ascii_hexdigit()) {
            let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
            std::fs::write(&binary, (0..text.len()).step_by(2).map(byte).collect::<Vec<_>>()).unwrap();
        } else {
            std::fs::write(self.file("base64"), text).unwrap();
            let decoded = Command::new("base64").arg("-d").arg(self.file("base64")).output().unwrap();
            std::fs::write(&binary, decoded.stdout).unwrap();
        }
        String::from_utf8(self.run(&["--decrypt", binary.to_str().unwrap()], b"")).unwrap()
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", self.0.path()).status();
    }
}

/// Runs the product's client and reads its JSON.
fn holdfast(server: &Server, token: &str, arguments: &[&str]) -> Value {
    let output = server.command(arguments).env("VAULT_TOKEN", token).env("VAULT_FORMAT", "json").output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

#[test]
fn shares_and_tokens_reach_their_holders_alone() {
    let Some(gpg) = Gpg::new() else { return eprintln!("SKIP: there is no gpg") };
    let mut server = Server::prepare(Setup::new(Seal::Shamir, "memory"));
    server.run();
    let keys = format!("-pgp-keys={},{}", gpg.file("rsa").display(), gpg.file("curve").display());
    let for_token = format!("-root-token-pgp-key={}", gpg.file("curve").display());
    let made = holdfast(&server, "", &["operator", "init", "-key-shares=2", "-key-threshold=2", &keys, &for_token]);
    let token = gpg.decrypt(&made["root_token"]);
    let shares: Vec<String> = (0..2).map(|at| gpg.decrypt(&made["unseal_keys_b64"][at])).collect();
    assert!(token.starts_with("hvs.") && shares.iter().all(|share| share.len() == 66), "{shares:?}");
    for share in &shares {
        holdfast(&server, "", &["operator", "unseal", share]);
    }
    let client = server.client().with_token(&token);
    client.get("auth/token/lookup-self").ok();

    let started = holdfast(&server, &token, &["operator", "rotate-keys", "-init", "-n=2", "-t=2", &keys, "-backup"]);
    assert_eq!(started["pgp_fingerprints"].as_array().unwrap().len(), 2);
    let nonce = format!("-nonce={}", started["nonce"].as_str().unwrap());
    holdfast(&server, &token, &["operator", "rotate-keys", &nonce, &shares[0]]);
    let new = holdfast(&server, &token, &["operator", "rotate-keys", &nonce, &shares[1]]);
    let kept = holdfast(&server, &token, &["operator", "rotate-keys", "-backup-retrieve"]);
    let new: Vec<String> = (0..2)
        .map(|at| {
            let fingerprint = new["pgp_fingerprints"][at].as_str().unwrap();
            assert_eq!(kept["data"]["keys"][fingerprint], json!([new["keys"][at]]));
            gpg.decrypt(&new["keys"][at])
        })
        .collect();
    holdfast(&server, &token, &["operator", "rotate-keys", "-backup-delete"]);
    assert_eq!(client.get("sys/rekey/backup").status, 400);

    let for_root = format!("-pgp-key={}", gpg.file("rsa").display());
    let started = holdfast(&server, &token, &["operator", "generate-root", "-init", &for_root]);
    let nonce = format!("-nonce={}", started["nonce"].as_str().unwrap());
    holdfast(&server, &token, &["operator", "generate-root", &nonce, &new[0]]);
    let generated = holdfast(&server, &token, &["operator", "generate-root", &nonce, &new[1]]);
    assert_eq!(generated["pgp_fingerprint"], started["pgp_fingerprint"]);
    let second = gpg.decrypt(&generated["encoded_token"]);
    client.with_token(&second).get("auth/token/lookup-self").ok();

    client.post("sys/seal", json!({})).is(204);
    for share in &new {
        client.post("sys/unseal", json!({"key": share})).ok();
    }
    assert_eq!(server.status()["sealed"], false);
}

#[test]
fn hostile_keys_are_the_clients_fault() {
    let mut server = Server::prepare(Setup::new(Seal::Shamir, "memory"));
    server.run();
    let client = server.client();
    for key in ["", "x", "keybase:me", "AAAA", "-----BEGIN PGP PUBLIC KEY BLOCK-----", &"QUFB".repeat(100_000)] {
        let body = json!({"secret_shares": 1, "secret_threshold": 1, "pgp_keys": [key]});
        let refused = client.post("sys/init", body);
        assert!(refused.status == 400 && refused.errors().contains("PGP key"), "{}", refused.json);
        if !key.is_empty() {
            let body = json!({"secret_shares": 1, "secret_threshold": 1, "root_token_pgp_key": key});
            assert_eq!(client.post("sys/init", body).status, 400, "{key:.40}");
        }
    }
    let body = json!({"secret_shares": 2, "secret_threshold": 2, "pgp_keys": ["x"]});
    assert!(client.post("sys/init", body).errors().contains("count mismatch"));
    assert_eq!(client.get("sys/init").ok()["initialized"], false);
}
