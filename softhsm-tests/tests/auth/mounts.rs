//! `sys/auth`: enabling, tuning, moving and disabling auth methods.

use serde_json::{Value, json};
use softhsm_tests::eventually;

use crate::{enable, login, nobody, server};

#[test]
fn life_of_an_auth_mount() {
    let server = server("");
    let root = server.client();
    enable(&server, "people/west", "userpass");
    let shown = root.get("sys/auth").is(200)["data"]["people/west/"].clone();
    assert_eq!((&shown["type"], &shown["config"]["token_type"]), (&json!("userpass"), &json!("default-service")));
    assert!(shown["accessor"].as_str().unwrap().starts_with("auth_userpass_"));
    assert_eq!(root.get("sys/auth/people/west").is(200)["data"], shown);
    for (method, path, body, sentence) in [
        ("POST", "sys/auth/x", json!({"type": "kv"}), "plugin not found in the catalog: kv"),
        ("POST", "sys/auth/x", json!({"type": "token"}), "token credential backend cannot be instantiated"),
        ("POST", "sys/mounts/x", json!({"type": "userpass"}), "plugin not found in the catalog: userpass"),
        ("POST", "sys/mounts/x", json!({"type": "token"}), "mount type of \\\"token\\\" is not mountable"),
        ("POST", "sys/auth/people", json!({"type": "approle"}), "path is already in use at people/west/"),
        (
            "POST",
            "sys/remount",
            json!({"from": "auth/people/west", "to": "west"}),
            "cannot remount auth mount to non-auth mount",
        ),
        ("DELETE", "sys/auth/token", json!({}), "token credential backend cannot be disabled"),
        ("GET", "sys/auth/none", Value::Null, "No auth engine at none/"),
        ("GET", "sys/auth/none/tune", Value::Null, "cannot fetch sysview for path \\\"auth/none/\\\""),
    ] {
        let answer = root.call(method, path, (!body.is_null()).then_some(&body));
        assert!(answer.status == 400 && answer.errors().contains(sentence), "{method} {path}: {}", answer.json);
    }

    root.post("auth/people/west/users/ada", json!({"password": "pw"})).is(204);
    let (client, auth) = login(&server, "people/west/login/ada", json!({"password": "pw"}));
    assert_eq!((&auth["metadata"]["username"], &auth["orphan"]), (&json!("ada"), &json!(true)));
    let seen = client.get("auth/token/lookup-self").is(200)["data"].clone();
    assert_eq!(
        (&seen["path"], &seen["display_name"]),
        (&json!("auth/people/west/login/ada"), &json!("people-west-ada"))
    );

    root.post("sys/remount", json!({"from": "auth/people/west", "to": "auth/people/east"})).is(200);
    login(&server, "people/east/login/ada", json!({"password": "pw"}));
    assert_eq!(nobody(&server).post("auth/people/west/login/ada", json!({"password": "pw"})).status, 403);
    root.delete("sys/auth/people/east").is(204);
    root.delete("sys/auth/people/east").is(204);
    assert_eq!(nobody(&server).post("auth/people/east/login/ada", json!({"password": "pw"})).status, 403);
}

#[test]
fn tuning() {
    let server = server("");
    let root = server.client();
    enable(&server, "userpass", "userpass");
    enable(&server, "cert", "cert");
    let config = json!({
        "default_lease_ttl": "1h", "max_lease_ttl": "2h", "listing_visibility": "unauth", "token_type": "batch",
        "passthrough_request_headers": ["X-One"], "allowed_response_headers": ["X-Two"],
        "audit_non_hmac_request_keys": ["note"], "audit_non_hmac_response_keys": ["token_type"],
        "user_lockout_config": {"lockout_threshold": "3", "lockout_duration": "10m", "lockout_counter_reset_duration": "5m", "lockout_disable": false},
    });
    root.post("sys/auth/userpass/tune", config).is(204);
    let tuned = root.get("sys/auth/userpass/tune").is(200)["data"].clone();
    assert_eq!(
        tuned,
        json!({
            "default_lease_ttl": 3600, "max_lease_ttl": 7200, "force_no_cache": false, "description": "", "options": {},
            "listing_visibility": "unauth", "token_type": "batch",
            "passthrough_request_headers": ["X-One"], "allowed_response_headers": ["X-Two"],
            "audit_non_hmac_request_keys": ["note"], "audit_non_hmac_response_keys": ["token_type"],
            "user_lockout_threshold": 3, "user_lockout_duration": 600, "user_lockout_counter_reset_duration": 300,
            "user_lockout_disable": false,
        })
    );
    assert_eq!(root.get("sys/mounts/auth/userpass/tune").is(200)["data"], tuned);
    root.post("auth/userpass/users/ada", json!({"password": "pw", "token_type": "service"})).is(204);
    let (_, auth) = login(&server, "userpass/login/ada", json!({"password": "pw"}));
    assert_eq!(
        (&auth["token_type"], &auth["lease_duration"]),
        (&json!("batch"), &json!(3600)),
        "the mount has its way"
    );

    // What is not said stays, as the command line sends it.
    root.post("sys/auth/userpass/tune", json!({"description": "d", "default_lease_ttl": "", "max_lease_ttl": ""}))
        .is(204);
    assert_eq!(root.get("sys/auth/userpass/tune").is(200)["data"]["max_lease_ttl"], 7200);
    root.post("sys/auth/userpass/tune", json!({"token_type": "", "max_lease_ttl": "system"})).is(204);
    let tuned = root.get("sys/auth/userpass/tune").is(200)["data"].clone();
    assert_eq!((&tuned["token_type"], &tuned["max_lease_ttl"]), (&json!("default-service"), &json!(2_764_800)));
    for (path, body, sentence) in [
        ("sys/auth/userpass/tune", json!({"token_type": "odd"}), "invalid value for 'token_type'"),
        ("sys/auth/token/tune", json!({"token_type": "batch"}), "'token_type' cannot be set"),
        (
            "sys/auth/cert/tune",
            json!({"user_lockout_config": {"lockout_threshold": "3"}}),
            "tuning of user lockout configuration for auth type \\\"cert\\\" not allowed",
        ),
        ("sys/auth/userpass/tune", json!({"user_lockout_config": {"lockout_threshold": "x"}}), "lockout_threshold"),
        ("sys/auth/userpass/tune", json!({"user_lockout_config": {"odd": 1}}), "odd is not supported"),
    ] {
        let answer = root.post(path, body);
        assert!(answer.status == 400 && answer.errors().contains(sentence), "{path}: {}", answer.json);
    }
}

#[test]
fn audit_keys_of_a_mount_are_written_in_the_clear() {
    let server = server("");
    let root = server.client();
    enable(&server, "userpass", "userpass");
    root.post(
        "sys/auth/userpass/tune",
        json!({"audit_non_hmac_request_keys": "token_type", "audit_non_hmac_response_keys": "token_type"}),
    )
    .is(204);
    root.post("auth/userpass/users/ada", json!({"password": "hunter22", "token_type": "service"})).is(204);
    root.get("auth/userpass/users/ada").is(200);
    let log = std::fs::read_to_string(server.audit_log()).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str, operation: &str| {
        let found = lines.iter().find(|line| {
            line["type"] == kind
                && line["request"]["path"] == "auth/userpass/users/ada"
                && line["request"]["operation"] == operation
        });
        found.unwrap_or_else(|| panic!("no {kind} of {operation}")).clone()
    };
    let written = of("request", "create")["request"]["data"].clone();
    assert_eq!(written["token_type"], "service");
    assert!(written["password"].as_str().unwrap().starts_with("hmac-sha256:") && !log.contains("hunter22"));
    assert_eq!(of("response", "read")["response"]["data"]["token_type"], "service");
}

#[test]
fn disabling_an_auth_method_ends_its_tokens_their_children_and_their_leases() {
    let server = server("");
    let root = server.client();
    root.post(
        "sys/policies/acl/maker",
        json!({"policy": "path \"auth/token/create\" { capabilities = [\"update\"] }"}),
    )
    .is(204);
    let mut tokens = Vec::new();
    for path in ["gone", "kept"] {
        enable(&server, path, "userpass");
        root.post(&format!("auth/{path}/users/ada"), json!({"password": "pw", "token_policies": "maker"})).is(204);
        let (client, auth) = login(&server, &format!("{path}/login/ada"), json!({"password": "pw"}));
        let child = client.post("auth/token/create", json!({"ttl": "1h"})).is(200)["auth"].clone();
        tokens.extend([auth, child]);
    }
    let leases = |path: &str| root.list(&format!("sys/leases/lookup/auth/{path}/login/ada")).status;
    let alive = |auth: &Value| {
        let client = server.client().with_token(auth["client_token"].as_str().unwrap());
        client.get("auth/token/lookup-self").status == 200
    };
    let by_accessor =
        |auth: &Value| root.post("auth/token/lookup-accessor", json!({"accessor": auth["accessor"]})).status == 200;
    assert_eq!((leases("gone"), leases("kept")), (200, 200));
    assert!(tokens.iter().all(|auth| alive(auth) && by_accessor(auth)));

    root.delete("sys/auth/gone").is(204);
    // The tokens of the method at once, what hangs on them soon after.
    assert!(!alive(&tokens[0]));
    eventually("the children of its tokens end, and the leases", || {
        (!alive(&tokens[1]) && !tokens[..2].iter().any(by_accessor) && leases("gone") == 404).then_some(())
    });
    assert!(tokens[2..].iter().all(|auth| alive(auth) && by_accessor(auth)));
    assert_eq!(leases("kept"), 200);
}
