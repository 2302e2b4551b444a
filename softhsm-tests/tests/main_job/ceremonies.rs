//! What a quorum of share holders can have done, over HTTP.

use serde_json::{Value, json};
use softhsm_tests::{Client, Seal, Server};

/// Gives shares until the ceremony is complete.
fn give(client: &Client, path: &str, shares: &[String], nonce: &Value) -> Value {
    let mut answer = Value::Null;
    for share in shares {
        answer = client.post(path, json!({"key": share, "nonce": nonce})).ok();
        answer = answer.get("data").cloned().unwrap_or(answer);
    }
    assert_eq!(answer["complete"], true, "{answer}");
    answer
}

/// `sys/generate-root` in both forms; without a token it is nobody's, unless the configuration says so.
pub fn a_root_token(server: &Server) {
    let (client, nobody) = (server.client(), server.client().with_token(""));
    for path in
        ["sys/generate-root/attempt", "sys/generate-root-token/attempt", "sys/rekey/init", "sys/rotate/root/init"]
    {
        for method in ["GET", "POST", "DELETE"] {
            assert_eq!(nobody.call(method, path, None).status, 403, "{method} {path}");
        }
    }
    let start = client.post("sys/generate-root/attempt", json!({})).ok();
    assert_eq!(client.get("sys/generate-root-token/attempt").ok()["data"]["nonce"], start["nonce"]);
    let wrong = client.post("sys/generate-root/update", json!({"key": server.shares[0], "nonce": "other"}));
    assert!(wrong.status == 400 && wrong.errors().contains("incorrect nonce supplied"), "{}", wrong.json);
    let done = give(&client, "sys/generate-root-token/update", &server.shares[..2], &start["nonce"]);
    let token = decoded(done["encoded_token"].as_str().unwrap(), start["otp"].as_str().unwrap());
    let lookup = client.with_token(&token).get("auth/token/lookup-self").ok();
    assert_eq!(lookup["data"]["policies"], json!(["root"]));
    client.with_token(&token).post("auth/token/revoke-self", json!({})).is(204);
    client.delete("sys/generate-root/attempt").is(204);
}

/// The inverse of the server's encoding: base64 without padding, XORed with the password.
fn decoded(encoded: &str, otp: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = encoded.bytes().flat_map(|c| {
        let value = ALPHABET.iter().position(|other| *other == c).unwrap();
        (0..6).rev().map(move |bit| (value >> bit) & 1)
    });
    let bits: Vec<usize> = bits.collect();
    let bytes = bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |sum, bit| sum * 2 + bit));
    bytes.zip(otp.bytes()).map(|(byte, pad)| char::from(u8::try_from(byte).unwrap() ^ pad)).collect()
}

/// New shares, which later steps use; new keys.
pub fn new_shares_and_keys(server: &mut Server) {
    let client = server.client();
    let (base, other) = match server.setup.seal {
        Seal::Shamir => ("sys/rekey", "sys/rekey-recovery-key"),
        Seal::SoftHsm | Seal::CloudHsm => ("sys/rekey-recovery-key", "sys/rotate/recovery/none"),
    };
    assert!((400..500).contains(&client.get(&format!("{other}/init")).status));
    let wanted = json!({"secret_shares": 3, "secret_threshold": 2, "require_verification": true});
    let start = client.post(&format!("{base}/init"), wanted).ok();
    assert_eq!((&start["t"], &start["n"], &start["required"]), (&json!(2), &json!(3), &json!(2)));
    let new = give(&client, &format!("{base}/update"), &server.shares[..2], &start["nonce"]);
    let shares: Vec<String> =
        new["keys"].as_array().unwrap().iter().map(|share| share.as_str().unwrap().to_owned()).collect();
    give(&client, &format!("{base}/verify"), &shares[1..], &new["verification_nonce"]);
    server.shares = shares;

    let term = |client: &Client| client.get("sys/key-status").ok()["data"]["term"].as_u64().unwrap();
    let before = term(&client);
    client.post("sys/rotate", json!({})).is(204);
    client.post("sys/rotate/keyring", json!({})).is(204);
    client.post("sys/rotate/root", json!({})).is(204);
    assert_eq!(term(&client), before + 2);
    client.post("sys/rotate/config", json!({"interval": "48h"})).is(204);
    let config = client.get("sys/rotate/config").ok();
    assert_eq!(config["data"], json!({"enabled": true, "interval": "48h0m0s", "max_operations": 3_865_470_566_u64}));
}
