//! `sys/raw`, and recovery mode.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test they help"
)]

use serde_json::{Value, json};
use softhsm_tests::{Client, Seal, Server, Setup};

const RAW: &str = "raw_storage_endpoint = true\n";

fn server(seal: Seal) -> Server {
    let server = Server::start(Setup { extra: RAW.to_owned(), ..Setup::new(seal, "redb") });
    server.mount("kv", true);
    server.client().post("kv/data/a", json!({"data": {"value": "precious"}})).ok();
    server
}

/// The name and the text of the record of the mount `kv/`.
fn mount_record(client: &Client) -> (String, String) {
    let names = client.call("LIST", "sys/raw/core/mounts", None).ok()["data"]["keys"].clone();
    let mut records = names.as_array().unwrap().iter().map(|name| {
        let path = format!("core/mounts/{}", name.as_str().unwrap());
        let value = client.get(&format!("sys/raw/{path}")).ok()["data"]["value"].as_str().unwrap().to_owned();
        (path, value)
    });
    records.find(|(_, value)| value.contains("\"kv/\"")).unwrap()
}

/// Gives the mount `kv/` a description.
fn describe(client: &Client, description: &str) {
    let (path, text) = mount_record(client);
    let mut record: Value = serde_json::from_str(&text).unwrap();
    record["description"] = description.into();
    client.post(&format!("sys/raw/{path}"), json!({"value": record.to_string()})).is(204);
}

fn description(server: &Server) -> Value {
    server.client().get("sys/mounts/kv").ok()["data"]["description"].clone()
}

#[test]
fn records_are_read_and_written_as_they_are_and_the_server_learns_of_it() {
    let server = server(Seal::SoftHsm);
    let client = server.client();
    describe(&client, "by hand");
    assert_eq!(description(&server), "by hand");

    for (body, read) in
        [(json!({"value": "plain"}), "plain"), (json!({"value": "cGxhaW4=", "encoding": "base64"}), "plain")]
    {
        client.post("sys/raw/new/folder/record", body).is(204);
        assert_eq!(client.get("sys/raw/new/folder/record?compressed=false").ok()["data"], json!({"value": read}));
    }
    assert_eq!(client.get("sys/raw/new/folder/record?encoding=base64").ok()["data"], json!({"value": "cGxhaW4="}));
    assert_eq!(client.call("LIST", "sys/raw/new", None).ok()["data"], json!({"keys": ["folder/"]}));
    client.call("DELETE", "sys/raw/new/folder/record", None).is(204);
    client.call("DELETE", "sys/raw/new/folder/record", None).is(204);
    client.get("sys/raw/new/folder/record").is(404);
    client.call("LIST", "sys/raw/new", None).is(404);

    let refused = |answer: softhsm_tests::Response, word: &str| {
        assert!(answer.status == 400 && answer.errors().contains(word), "{} {}", answer.status, answer.json);
    };
    for key in ["token-key", "recovery-key", "unseal-key"] {
        let path = format!("sys/raw/core/{key}");
        refused(client.get(&path), "cannot access");
        refused(client.post(&path, json!({"value": "x"})), "cannot access");
        refused(client.call("DELETE", &path, None), "cannot access");
    }
    refused(client.post("sys/raw/a", json!({"value": "x", "encoding": "hex"})), "invalid encoding");
    refused(client.post("sys/raw/a", json!({"value": "!", "encoding": "base64"})), "illegal base64");
    refused(client.post("sys/raw/a", json!({"value": "x", "compression_type": "gzip"})), "not supported");
    refused(client.post("sys/raw/a", json!({"value": "x", "compression_type": "zip"})), "invalid compression type");

    // A policy has to say sudo.
    for (capabilities, status) in [("\"read\"", 403), ("\"read\", \"sudo\"", 200)] {
        let policy = format!("path \"sys/raw/*\" {{ capabilities = [{capabilities}] }}");
        client.post("sys/policies/acl/raw", json!({"policy": policy})).ok();
        let token = client.post("auth/token/create", json!({"policies": ["raw"]})).ok();
        let token = token["auth"]["client_token"].as_str().unwrap().to_owned();
        client.with_token(token).get("sys/raw/core/mount-table").is(status);
    }
}

#[test]
fn a_server_without_the_setting_has_no_such_path() {
    let server = Server::start(Setup::new(Seal::Shamir, "memory"));
    server.client().get("sys/raw/core/mount-table").is(404);
}

/// A recovery token, as an operator gets it.
fn recovery_token(server: &Server) -> String {
    let run = |flags: &[&str]| -> Value {
        let all = [&["operator", "generate-root", "-recovery-token", "-format=json"], flags].concat();
        let done = server.command(&all).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_slice(&done.stdout).unwrap()
    };
    let started = run(&["-init"]);
    let nonce = format!("-nonce={}", started["nonce"].as_str().unwrap());
    run(&[&nonce, &server.shares[2]]);
    let done = run(&[&nonce, &server.shares[0]]);
    let encoded = format!("-decode={}", done["encoded_token"].as_str().unwrap());
    let otp = format!("-otp={}", started["otp"].as_str().unwrap());
    run(&[&encoded, &otp])["token"].as_str().unwrap().to_owned()
}

#[test]
fn a_quorum_mends_a_storage_that_keeps_its_server_from_starting() {
    for seal in [Seal::SoftHsm, Seal::Shamir] {
        let mut server = server(seal);
        describe(&server.client(), "before");
        let (path, whole) = mount_record(&server.client());
        server.stop();

        server.setup.extra = String::new();
        server.write_config();
        server.flags = vec!["-recovery"];
        server.run();
        assert_eq!(server.status()["sealed"], true);
        let root = server.client();
        root.get("sys/mounts").is(503);
        root.get("kv/data/a").is(503);
        root.get(&format!("sys/raw/{path}")).is(403);
        // Wrong shares open nothing.
        let nonce = root.post("sys/generate-recovery-token/attempt", json!({})).ok()["nonce"].clone();
        let mut wrong = server.shares[0].clone().into_bytes();
        wrong[4] = if wrong[4] == b'0' { b'1' } else { b'0' };
        for (key, status) in [(server.shares[1].clone(), 200), (String::from_utf8(wrong).unwrap(), 400)] {
            root.post("sys/generate-recovery-token/update", json!({"key": key, "nonce": nonce})).is(status);
        }
        root.call("DELETE", "sys/generate-recovery-token/attempt", None).is(204);

        let token = recovery_token(&server);
        assert!(token.starts_with("hvr.") && token.len() == 28, "{token}");
        let client = server.client().with_token(&*token);
        root.get(&format!("sys/raw/{path}")).is(403);
        client.get("sys/mounts").is(503);
        client.post(&format!("sys/raw/{path}"), json!({"value": "broken"})).is(204);
        server.stop();

        // Now the server cannot make sense of its storage.
        server.flags.clear();
        server.run();
        if seal == Seal::Shamir {
            root.post("sys/unseal", json!({"key": server.shares[0]})).ok();
            root.post("sys/unseal", json!({"key": server.shares[1]})).is(500);
        }
        assert_eq!(server.status()["sealed"], true);
        server.stop();

        server.flags = vec!["-recovery"];
        server.run();
        let again = server.client().with_token(recovery_token(&server));
        server.client().with_token(token).get(&format!("sys/raw/{path}")).is(403);
        assert_eq!(again.get(&format!("sys/raw/{path}")).ok()["data"]["value"], "broken");
        again.post(&format!("sys/raw/{path}"), json!({"value": whole})).is(204);
        server.stop();

        server.flags.clear();
        server.run();
        server.unseal();
        assert_eq!(description(&server), "before");
        assert_eq!(server.client().get("kv/data/a").ok()["data"]["data"]["value"], "precious");
    }
}
