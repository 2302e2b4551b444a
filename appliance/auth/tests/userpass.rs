//! Users and their passwords.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::time::Duration;

use common::{Mount, fuzz_login, refusal};
use framework::{Error, TokenKind};
use serde_json::json;

const WRONG: &str = "invalid username or password";

fn mount() -> Mount {
    Mount::new(auth::userpass::engine())
}

fn password(text: &str) -> serde_json::Value {
    json!({"password": text})
}

#[test]
fn a_user_logs_in_and_gets_the_token_that_was_set() {
    let mount = mount();
    let user = json!({"password": "pw", "token_policies": "a,b", "token_ttl": "1h", "token_max_ttl": 7200, "token_num_uses": 3,
        "token_explicit_max_ttl": "3h", "token_no_default_policy": true, "token_type": "service"});
    mount.done("users/Bob", user);
    let auth = mount.login("login/BOB", password("pw")).unwrap();
    assert_eq!(auth.policies, ["a", "b"]);
    let hours = |n: u64| Duration::from_secs(3600 * n);
    assert_eq!((auth.ttl, auth.max_ttl, auth.explicit_max_ttl, auth.period), (hours(1), hours(2), hours(3), hours(0)));
    assert!(
        auth.no_default_policy
            && auth.renewable
            && auth.orphan
            && auth.kind == TokenKind::Service
            && auth.num_uses == 3
    );
    assert_eq!((auth.display_name.as_str(), auth.metadata["username"].as_str()), ("bob", "bob"));

    let shown = mount.read("users/bob");
    assert_eq!((&shown["token_ttl"], &shown["token_policies"]), (&json!(3600), &json!(["a", "b"])));
    assert!(!shown.to_string().contains("$2a$") && !mount.dump().contains("\"pw\""));
    assert_eq!(mount.list("users").unwrap(), json!(["bob"]));
    mount.delete("users/BOB").unwrap();
    assert!(matches!(mount.list("users"), Err(Error::NotFound)));
    assert_eq!(refusal(mount.login("login/bob", password("pw"))), WRONG);
}

#[test]
fn wrong_passwords_and_unknown_users_look_alike() {
    let mount = mount();
    mount.done("users/bob", password("pw"));
    let known = mount.login("login/bob", password("no"));
    assert!(matches!(known, Err(Error::BadCredentials { message: WRONG, known: true })));
    let unknown = mount.login("login/rob", password("no"));
    assert!(matches!(unknown, Err(Error::BadCredentials { message: WRONG, known: false })));
    assert_eq!(refusal(mount.login("login/bob", json!({}))), "missing password");
}

#[test]
fn passwords_and_hashes_are_set_as_in_vault() {
    let mount = mount();
    assert_eq!(refusal(mount.write("users/bob", json!({}))), "must provide either password or password_hash");
    let both = json!({"password": "a", "password_hash": "b"});
    assert_eq!(refusal(mount.write("users/bob", both)), "only one of password or password_hash may be provided");
    assert_eq!(
        refusal(mount.write("users/bob", password(&"x".repeat(73)))),
        "bcrypt: password length exceeds 72 bytes"
    );
    let hash = |hash: &str| json!({"password_hash": hash});
    assert_eq!(refusal(mount.write("users/bob", hash("$1$x"))), "password_hash is not a valid bcrypt hash");
    let tail = "N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
    assert_eq!(
        refusal(mount.write("users/bob", hash(&format!("$2a$13${tail}")))),
        "bcrypt cost of 13 exceeds maximum cost of 12"
    );
    assert_eq!(
        refusal(mount.write("users/bob", hash(&format!("$2a$04${tail}")))),
        "bcrypt cost of 4 is too low, want 5 at minimum"
    );
    // "abc", from the test vectors of jBCrypt.
    mount.done("users/bob", hash("$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i"));
    assert!(mount.login("login/bob", password("abc")).is_ok());
    mount.done("users/bob/password", password("new"));
    assert_eq!(refusal(mount.login("login/bob", password("abc"))), WRONG);
    assert!(mount.login("login/bob", password("new")).is_ok());
    assert_eq!(refusal(mount.write("users/rob/password", password("x"))), "username does not exist");
    assert_eq!(refusal(mount.write("users/bob/password", json!({}))), "must provide either password or password_hash");
    // What else is set stays when a password is set, and the other way round.
    mount.done("users/bob", json!({"token_ttl": "5m"}));
    assert!(mount.login("login/bob", password("new")).is_ok_and(|auth| auth.ttl == Duration::from_secs(300)));
}

#[test]
fn deprecated_names_are_taken_and_shown() {
    let mount = mount();
    mount.done("users/bob", json!({"password": "pw", "policies": "x", "ttl": "5m", "bound_cidrs": "127.0.0.1/32"}));
    let shown = mount.read("users/bob");
    assert_eq!((&shown["policies"], &shown["token_policies"]), (&json!(["x"]), &json!(["x"])));
    assert_eq!(
        (&shown["ttl"], &shown["token_ttl"], &shown["bound_cidrs"]),
        (&json!(300), &json!(300), &json!(["127.0.0.1"]))
    );
    mount.done("users/bob/policies", json!({"token_policies": "y"}));
    let shown = mount.read("users/bob");
    assert_eq!((shown.get("policies"), &shown["token_policies"]), (None, &json!(["y"])));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let mount = mount();
    mount.done("users/bob", password("pw"));
    for (body, sentence) in [
        (json!({"token_ttl": "2h", "token_max_ttl": "1h"}), "'token_ttl' cannot be greater than 'token_max_ttl'"),
        (json!({"token_type": "batch", "token_num_uses": 1}), "limited use count"),
        (json!({"token_type": "batch", "token_period": 1}), "periodic tokens"),
        (json!({"token_type": "odd"}), "token_type"),
        (json!({"token_num_uses": -1}), "token_num_uses"),
        (json!({"token_ttl": "-1s"}), "token_ttl"),
        (json!({"token_bound_cidrs": "x"}), "token_bound_cidrs"),
        (json!({"token_policies": {}}), "token_policies"),
        (json!({"password": []}), "password"),
    ] {
        let refused = refusal(mount.write("users/bob", body.clone()));
        assert!(refused.contains(sentence), "{body}: {refused}");
    }
    for name in ["users/a@b", "users/.a", "users/a b"] {
        assert_eq!(refusal(mount.write(name, password("x"))), "unsupported path", "{name}");
    }
    fuzz_login(&mount, "login/bob", &password("pw"));
}

#[test]
fn tokens_are_bound_to_addresses() {
    let mut mount = mount();
    mount.done("users/bob", json!({"password": "pw", "token_bound_cidrs": "10.0.0.0/8"}));
    mount.done("users/eve", json!({"password": "pw", "token_strictly_bind_ip": true}));
    assert!(matches!(mount.login("login/bob", password("pw")), Err(Error::Denied)));
    mount.from("10.1.1.1");
    let bound = |user: &str| mount.login(&format!("login/{user}"), password("pw")).unwrap().bound_cidrs;
    assert_eq!(bound("bob")[0].to_string(), "10.0.0.0/8");
    assert_eq!(bound("eve")[0].to_string(), "10.1.1.1");
}

#[test]
fn renewal_asks_again() {
    let mount = mount();
    mount.done("users/bob", json!({"password": "pw", "token_policies": "a", "token_ttl": "1h"}));
    let auth = mount.login("login/bob", password("pw")).unwrap();
    mount.done("users/bob", json!({"token_ttl": "2h", "token_policies": "A,default"}));
    assert_eq!(mount.renew(&auth).unwrap().ttl, Duration::from_secs(7200));
    mount.done("users/bob", json!({"token_policies": "a,b"}));
    assert!(refusal(mount.renew(&auth)).contains("policies have changed, not renewing"));
    mount.delete("users/bob").unwrap();
    assert!(refusal(mount.renew(&auth)).contains("does not exist"));
}
