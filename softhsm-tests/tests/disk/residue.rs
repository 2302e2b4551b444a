//! Nothing readable on the disk.

use std::path::{Path, PathBuf};

use serde_json::json;
use softhsm_tests::{Seal, Server, Setup};

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The inner characters of the base64 of `text` where it begins so many bytes into a group of three.
fn base64(text: &[u8], offset: usize) -> Vec<u8> {
    let bits = |n: usize| text.get(n / 8).map_or(0, |byte| usize::from(byte >> (7 - n % 8) & 1));
    let first = (6 - offset * 8 % 6) % 6;
    let sextets = (first..(text.len() * 8).saturating_sub(5)).step_by(6);
    sextets.map(|at| BASE64[(at..at + 6).fold(0, |sum, n| sum * 2 + bits(n))]).collect()
}

/// The forms in which `text` could lie on the disk.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let hex = |upper: bool| -> String {
        text.bytes().map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }).collect()
    };
    let mut forms = vec![text.as_bytes().to_vec(), hex(false).into_bytes(), hex(true).into_bytes()];
    for offset in 0..3 {
        let standard = base64(text.as_bytes(), offset);
        forms.push(
            standard
                .iter()
                .map(|c| {
                    if *c == b'+' {
                        b'-'
                    } else if *c == b'/' {
                        b'_'
                    } else {
                        *c
                    }
                })
                .collect(),
        );
        forms.push(standard);
    }
    forms.push(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
    forms
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let first = needle[0];
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == first) {
        rest = &rest[at..];
        if rest.starts_with(needle) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Looks into file names too.
fn search(folder: &Path, text: &str) -> Vec<String> {
    let forms = forms(text);
    let holds = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        let name = path.display().to_string().into_bytes();
        forms.iter().any(|form| contains(&bytes, form) || contains(&name, form))
    };
    files(folder).into_iter().filter(holds).map(|path| path.display().to_string()).collect()
}

#[test]
fn the_search_finds_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    for (n, text) in [
        "x-Needle-in-a-stack",
        "78 582D4E6565646C652D696E2D612D737461636B",
        "WC1OZWVkbGUtaW4tYS1zdGFjaw==",
        "YVgtTmVlZGxlLWluLWEtc3RhY2s=",
        "YWFYLU5lZWRsZS1pbi1hLXN0YWNr",
    ]
    .iter()
    .enumerate()
    {
        std::fs::write(folder.path().join(n.to_string()), text.replace("x-N", "X-N")).unwrap();
        assert_eq!(search(folder.path(), "X-Needle-in-a-stack").len(), n + 1, "{text}");
    }
}

fn nothing_readable_after_a_thousand_secrets(seal: Seal, storage: &'static str) {
    let mut server = Server::start(Setup::new(seal, storage));
    let root = server.client();
    server.mount("Qmountname", seal.is_hsm());
    root.post(
        "sys/policies/acl/qpolicyname",
        json!({"policy": r#"path "Qmountname/Qruleinpolicy" { capabilities = ["read"] }"#}),
    )
    .ok();
    root.post("sys/mounts/Qmountname/tune", json!({"description": "Qdescription"})).ok();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let client = root.clone();
            scope.spawn(move || {
                for n in 0..125 {
                    // Some are cut into several records.
                    let value = format!(
                        "Qsecretvalue-{thread}-{n}-{}",
                        "Qpaddedvalue".repeat(if n % 25 == 0 { 2000 } else { 1 })
                    );
                    let path = format!("Qmountname/data/Qfolder{thread}/Qsecretname{n}");
                    assert!(client.put(&path, &value));
                }
            });
        }
    });
    root.post("Qmountname/metadata/Qfolder0/Qsecretname1", json!({"custom_metadata": {"Qmetakey": "Qmetavalue"}})).ok();
    let body = json!({"policies": ["qpolicyname"], "display_name": "Qdisplayname", "meta": {"Qtokenmeta": "Qtokenvalue"}, "ttl": "1h"});
    let auth = root.post("auth/token/create", body).ok()["auth"].clone();
    let own = root.get("auth/token/lookup-self").ok()["data"]["accessor"].clone();
    root.with_token(auth["client_token"].as_str().unwrap())
        .post("cubbyhole/Qcubbyhole", json!({"Qkey": "Qvalue"}))
        .ok();
    root.delete("Qmountname/data/Qfolder1/Qsecretname1").ok();

    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let mut needles: Vec<String> = [
        "Qmountname",
        "qpolicyname",
        "Qruleinpolicy",
        "Qdescription",
        "Qsecretvalue",
        "Qpaddedvalue",
        "Qfolder",
        "Qsecretname",
        "Qmetakey",
        "Qmetavalue",
        "Qdisplayname",
        "Qtokenmeta",
        "Qtokenvalue",
        "Qcubbyhole",
        "Qvalue",
    ]
    .map(str::to_owned)
    .to_vec();
    needles.extend([server.root_token.clone(), text(&auth["client_token"]), text(&auth["accessor"]), text(&own)]);
    needles.extend(["lookup-self".to_owned(), "auth/token".to_owned(), "metadata/".to_owned(), "versions/".to_owned()]);
    for share in &server.shares {
        needles.push(share.clone());
    }
    // While it runs, and after a good end.
    for _ in 0..2 {
        assert_eq!(search(&server.data(), "holdfast data 1").len(), 1, "the search itself");
        for needle in &needles {
            let found = search(&server.data(), needle);
            assert!(found.is_empty(), "{needle} lies in {found:?}");
        }
        if server.child.is_some() {
            assert_eq!(server.stop(), 0);
        }
    }
}

#[test]
fn nothing_readable_on_sled() {
    nothing_readable_after_a_thousand_secrets(Seal::Shamir, "sled");
}

#[test]
fn nothing_readable_on_redb() {
    nothing_readable_after_a_thousand_secrets(Seal::SoftHsm, "redb");
}
