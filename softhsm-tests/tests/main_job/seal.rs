//! Sealing, and opening again.

use serde_json::json;
use softhsm_tests::{Seal, Server};

pub fn sealing(server: &Server) {
    let client = server.client();
    assert_eq!(client.with_token("hvs.nobody").post("sys/seal", json!({})).status, 403);
    client.post("sys/seal", json!({})).is(204);
    assert_eq!(client.get("secret/data/kept").is(503), json!({"errors": ["Vault is sealed"]}));
    assert_eq!(client.get("sys/health").is(503)["sealed"], true);
    assert_eq!(client.get("sys/health?sealedcode=204").status, 204);
    assert_eq!(client.get("sys/leader").status, 200);
    let status = server.status();
    assert_eq!((&status["sealed"], &status["cluster_id"]), (&json!(true), &json!(null)));
    match server.setup.seal {
        Seal::Shamir => by_shares(server),
        Seal::SoftHsm | Seal::CloudHsm => {
            let refused = client.post("sys/unseal", json!({"key": server.shares[0]}));
            assert!(refused.status == 400 && refused.errors().contains("recovery"), "{}", refused.json);
        }
    }
}

/// Shares that are wrong, the same, forgotten; then the right ones, in hexadecimal and in base64.
fn by_shares(server: &Server) {
    let client = server.client();
    let give = |key: &str| client.post("sys/unseal", json!({"key": key}));
    let first = give(&server.shares[0]).ok();
    assert_eq!((&first["progress"], &first["sealed"]), (&json!(1), &json!(true)));
    assert!(!first["nonce"].as_str().unwrap().is_empty());
    assert_eq!(give(&server.shares[0]).ok()["progress"], 1, "the same share twice counts once");
    assert_eq!(client.post("sys/unseal", json!({"reset": true})).ok()["progress"], 0);
    for not_a_share in ["", "zz", "00", &"00".repeat(40)] {
        assert_eq!(give(not_a_share).status, 400, "{not_a_share:?}");
    }
    // The last byte is the share's number; what stands before it is changed.
    let wrong = format!("{}{}", "5a".repeat(32), &server.shares[1][64..]);
    give(&server.shares[0]).ok();
    assert_eq!(give(&wrong).status, 400);
    let after = server.status();
    assert_eq!((&after["sealed"], &after["progress"]), (&json!(true), &json!(0)), "a failed attempt starts again");
    give(&server.shares[2]).ok();
    assert_eq!(give(&server.shares[1]).ok()["sealed"], false);
    client.get("auth/token/lookup-self").ok();
}
