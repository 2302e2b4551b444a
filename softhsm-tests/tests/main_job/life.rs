//! What a server says of itself before, between and after.

use serde_json::json;
use softhsm_tests::{Seal, Server};

/// Everything but the state of the seal is refused, and nothing else is given away.
fn only_the_seal_answers(server: &Server) {
    let client = server.client();
    for (method, path) in [
        ("GET", "secret/data/x"),
        ("POST", "secret/data/x"),
        ("GET", "sys/mounts"),
        ("LIST", "sys/policies/acl"),
        ("GET", "auth/token/lookup-self"),
        ("GET", "no/such/path"),
        ("GET", "sys/internal/ui/mounts"),
    ] {
        let answer = client.call(method, path, None);
        assert_eq!((answer.status, &answer.json), (503, &json!({"errors": ["Vault is sealed"]})), "{method} {path}");
    }
}

pub fn before_init(server: &Server) {
    let client = server.client();
    assert_eq!(client.get("sys/init").ok(), json!({"initialized": false}));
    let status = server.status();
    assert_eq!((&status["initialized"], &status["sealed"], &status["t"]), (&json!(false), &json!(true), &json!(0)));
    assert_eq!(status["type"], if server.setup.seal == Seal::Shamir { "shamir" } else { "pkcs11" });
    assert_eq!(client.get("sys/health").is(501)["initialized"], false);
    assert_eq!(client.get("sys/health?uninitcode=299").is(299)["sealed"], true);
    assert_eq!(client.get("sys/leader").ok()["ha_enabled"], false);
    only_the_seal_answers(server);
    assert_eq!(client.post("sys/unseal", json!({"key": "00".repeat(33)})).status, 400);
    for bad in [json!({"secret_shares": 2, "secret_threshold": 3}), json!({"secret_shares": 3, "secret_threshold": 1})]
    {
        assert_eq!(client.post("sys/init", bad).status, 400);
    }
}

pub fn unsealed(server: &Server) {
    let client = server.client();
    assert!(server.root_token.starts_with("hvs."));
    let health = client.get("sys/health").is(200);
    assert_eq!(
        (&health["sealed"], &health["standby"], &health["initialized"]),
        (&json!(false), &json!(false), &json!(true))
    );
    assert_eq!(client.get("sys/health?activecode=280").status, 280);
    let status = server.status();
    assert_eq!((&status["t"], &status["n"], &status["progress"]), (&json!(2), &json!(3), &json!(0)));
    assert_eq!(status["storage_type"], server.setup.storage);
    assert_eq!(status["recovery_seal"], server.setup.seal.is_hsm());
    for version in [&health["version"], &status["version"]] {
        let numbers: Vec<u32> = version.as_str().unwrap().split('.').map(|part| part.parse().unwrap()).collect();
        assert!(numbers.len() == 3 && numbers[0] == 1, "clients read a Vault's version: {version}");
    }
    assert!(health["cluster_id"].is_string() && health["server_time_utc"].as_i64().unwrap() > 1_700_000_000);
    assert_eq!(client.post("sys/init", json!({"secret_shares": 1, "secret_threshold": 1})).status, 400);
    assert_eq!(client.get("sys/init").ok(), json!({"initialized": true}));
}

/// What was written before stays; an HSM unseals with nobody typing.
pub fn restart(server: &mut Server) {
    let client = server.client();
    client.post("secret/data/kept", json!({"data": {"value": "across a restart"}})).ok();
    let child = client.post("auth/token/create", json!({"policies": ["default"], "ttl": "1h"})).ok();
    let child = client.with_token(child["auth"]["client_token"].as_str().unwrap());
    let mounts = client.get("sys/mounts").ok()["data"].clone();
    assert_eq!(server.stop(), 0, "{}", server.server_log());
    server.run();
    if server.setup.seal == Seal::Shamir {
        assert_eq!(client.get("sys/health").status, 503);
        only_the_seal_answers(server);
    }
    server.unseal();
    assert_eq!(client.get("secret/data/kept").ok()["data"]["data"]["value"], "across a restart");
    assert_eq!(client.get("sys/mounts").ok()["data"], mounts);
    child.get("auth/token/lookup-self").ok();
}
