//! Secrets asked for at a terminal: they are taken, and never shown.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use softhsm_tests::{Server, binary};

/// Types `secret` when `line` asks for it. It must be asked for, not be shown, and do.
fn types(python: &Path, server: &Server, line: &str, secret: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/prompt.py");
    let output = Command::new(python)
        .args(["-B".as_ref(), script.as_os_str(), secret.as_ref(), binary().as_os_str()])
        .args(line.split(' '))
        .env_clear()
        .env("HOME", server.folder.path())
        .env("VAULT_ADDR", server.address())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{line}: {shown}{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("(will be hidden)"), "{line}: {shown}");
    assert!(!shown.contains(secret), "{line}: {shown}");
}

/// Everything that asks: shares, tokens, passwords.
pub fn secrets_are_never_shown(python: &Path, server: &Server) {
    let client = server.client();
    client.post("sys/auth/userpass", json!({"type": "userpass"})).ok();
    client.post("auth/userpass/users/ada", json!({"password": "hunter2"})).ok();
    types(python, server, "login -no-print", &server.root_token);
    client.post("sys/generate-root/attempt", json!({})).ok();
    types(python, server, "operator generate-root", &server.shares[2]);
    types(python, server, "login -no-print -method=userpass username=ada", "hunter2");
    client.post("sys/seal", json!({})).ok();
    types(python, server, "operator unseal", &server.shares[0]);
    types(python, server, "operator unseal", &server.shares[1]);
    assert_eq!(server.status()["sealed"], false);
}
