//! Roles and secret ids.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::time::Duration;

use common::{Mount, fuzz_login, refusal};
use framework::{Auth, Error, Json, Operation};
use serde_json::json;

const WRONG: &str = "invalid role or secret ID";

fn mount() -> Mount {
    Mount::new(auth::approle::engine())
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap()
}

/// The credentials of a role with a new secret id.
fn credentials(mount: &Mount, role: &str, wanted: Json) -> Json {
    let role_id = mount.read(&format!("role/{role}/role-id"))["role_id"].clone();
    let made = mount.done(&format!("role/{role}/secret-id"), wanted);
    json!({"role_id": role_id, "secret_id": made["secret_id"]})
}

fn login(mount: &Mount, credentials: &Json) -> Result<Auth, Error> {
    mount.login("login", credentials.clone())
}

#[test]
fn a_role_and_a_secret_id_log_in() {
    let mount = mount();
    mount.done("role/CI", json!({"token_policies": ["p"], "token_ttl": "20m", "secret_id_ttl": "10m"}));
    let good = credentials(&mount, "ci", json!({"metadata": r#"{"team":"x"}"#}));
    let auth = login(&mount, &good).unwrap();
    assert_eq!((auth.policies, auth.ttl), (vec!["p".to_owned()], Duration::from_secs(1200)));
    assert_eq!((auth.metadata["role_name"].as_str(), auth.metadata["team"].as_str()), ("ci", "x"));
    assert!(auth.orphan && auth.renewable);
    // Only HMACs of it are kept.
    assert!(!mount.dump().contains(text(&good["secret_id"])));
    for (role_id, secret_id, sentence) in [
        ("no", "x", WRONG),
        (text(&good["role_id"]), "x", WRONG),
        (text(&good["role_id"]), "", "missing secret_id"),
        ("", "x", "missing role_id"),
    ] {
        let body = json!({"role_id": role_id, "secret_id": secret_id});
        assert_eq!(refusal(login(&mount, &body)), sentence);
    }
    assert!(matches!(login(&mount, &json!({"role_id": "no"})), Err(Error::BadCredentials { known: false, .. })));
    fuzz_login(&mount, "login", &good);
    assert_eq!(mount.list("role").unwrap(), json!(["ci"]));
}

#[test]
fn uses_are_counted_under_a_race() {
    let mount = mount();
    mount.done("role/ci", json!({"secret_id_num_uses": 7}));
    let good = credentials(&mount, "ci", json!({}));
    let let_in = std::thread::scope(|scope| {
        let racer = || scope.spawn(|| (0..2).filter(|_| login(&mount, &good).is_ok()).count());
        let racers: Vec<_> = (0..30).map(|_| racer()).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).sum::<usize>()
    });
    assert_eq!(let_in, 7);
    assert_eq!(refusal(login(&mount, &good)), WRONG);
    assert_eq!((mount.count("secret-id/"), mount.count("accessor/")), (0, 0));
}

#[test]
fn secret_ids_expire_and_are_swept() {
    let mut mount = mount();
    mount.done("role/ci", json!({"secret_id_ttl": "1h"}));
    mount.done("role/local", json!({"secret_id_ttl": "1h", "local_secret_ids": true}));
    let short = credentials(&mount, "ci", json!({"ttl": "1m"}));
    for _ in 0..300 {
        credentials(&mount, "local", json!({"ttl": "2m"}));
    }
    let long = credentials(&mount, "ci", json!({}));
    mount.pass(59);
    assert!(login(&mount, &short).is_ok());
    mount.pass(1);
    assert_eq!(refusal(login(&mount, &short)), WRONG);
    assert_eq!(mount.read("role/local/local-secret-ids")["local_secret_ids"], true);
    mount.pass(7200 - 120);
    mount.chores();
    assert_eq!(
        (mount.count("secret-id/"), mount.count("local/"), mount.count("expiry/")),
        (0, 0, 0),
        "{}",
        mount.dump()
    );
    assert_eq!(refusal(login(&mount, &long)), WRONG);
    assert_eq!(mount.write("tidy/secret-id", json!({})).unwrap().status, Some(202));
}

#[test]
fn secret_ids_are_found_and_destroyed_by_themselves_and_by_accessors() {
    let mount = mount();
    mount.done("role/ci", json!({}));
    mount.done("role/other", json!({}));
    let made = mount.done("role/ci/custom-secret-id", json!({"secret_id": "custom", "num_uses": 2, "metadata": "a=b"}));
    assert_eq!(made["secret_id"], "custom");
    let accessor = made["secret_id_accessor"].clone();
    assert_eq!(
        refusal(mount.write("role/ci/custom-secret-id", json!({"secret_id": "custom"}))),
        "failed to store secret_id: SecretID is already registered"
    );
    assert_eq!(mount.list("role/ci/secret-id").unwrap(), json!([accessor]));
    let by_id = mount.done("role/ci/secret-id/lookup", json!({"secret_id": "custom"}));
    assert_eq!(by_id, mount.done("role/ci/secret-id-accessor/lookup", json!({"secret_id_accessor": accessor})));
    assert_eq!((&by_id["secret_id_num_uses"], &by_id["metadata"]), (&json!(2), &json!({"a": "b"})));
    assert_eq!((&by_id["expiration_time"], &by_id["cidr_list"]), (&json!("0001-01-01T00:00:00Z"), &json!(null)));
    // Neither the accessor nor the secret id is any good for another role.
    let elsewhere =
        mount.write("role/other/secret-id-accessor/lookup", json!({"secret_id_accessor": accessor})).unwrap();
    assert_eq!(elsewhere.status, Some(404));
    assert!(mount.write("role/other/secret-id/lookup", json!({"secret_id": "custom"})).unwrap().data.is_none());
    mount.done("role/other/secret-id/destroy", json!({"secret_id": "custom"}));
    mount.done("role/ci/secret-id-accessor/destroy", json!({"secret_id_accessor": accessor}));
    assert!(matches!(mount.list("role/ci/secret-id"), Err(Error::NotFound)));
    mount.done("role/ci/custom-secret-id", json!({"secret_id": "custom"}));
    mount.call(Operation::Delete, "role/ci/secret-id/destroy", json!({"secret_id": "custom"})).unwrap();
    assert_eq!(mount.count("secret-id/"), 0);
    for (path, body, sentence) in [
        ("role/no/secret-id", json!({}), "role \"no\" does not exist"),
        ("role/no/secret-id/lookup", json!({"secret_id": "x"}), "role \"no\" does not exist"),
        ("role/ci/secret-id/lookup", json!({}), "missing secret_id"),
        ("role/ci/custom-secret-id", json!({}), "missing secret_id"),
        (
            "role/ci/secret-id-accessor/destroy",
            json!({"secret_id_accessor": "../x"}),
            "failed to find accessor entry for secret_id_accessor: \"../x\"",
        ),
    ] {
        assert_eq!(refusal(mount.write(path, body)), sentence, "{path}");
    }
}

#[test]
fn a_secret_id_is_worth_no_more_than_the_role_allows() {
    let mount = mount();
    mount.done(
        "role/ci",
        json!({"secret_id_num_uses": 3, "secret_id_ttl": "10m", "secret_id_bound_cidrs": "10.0.0.0/8,192.168.1.1/32"}),
    );
    for (wanted, sentence) in [
        (json!({"num_uses": 4}), "num_uses cannot be higher than the role's secret_id_num_uses"),
        (json!({"num_uses": 0}), "num_uses cannot be higher than the role's secret_id_num_uses"),
        (json!({"ttl": "11m"}), "ttl cannot be longer than the role's secret_id_ttl"),
        (json!({"cidr_list": "11.0.0.1/32"}), "failed to verify subset relationship"),
        (json!({"cidr_list": "10.0.0.0/7"}), "failed to verify subset relationship"),
        (json!({"cidr_list": "x"}), "cidr_list"),
        (json!({"metadata": "x"}), "failed to parse metadata"),
        (json!({"metadata": {}}), "metadata"),
    ] {
        let refused = refusal(mount.write("role/ci/secret-id", wanted.clone()));
        assert!(refused.contains(sentence), "{wanted}: {refused}");
    }
    mount.done("role/ci/secret-id", json!({"cidr_list": ["10.1.0.0/16"], "num_uses": 2, "ttl": 60}));
}

#[test]
fn addresses_bind_roles_secret_ids_and_tokens() {
    let mut mount = mount();
    mount.done("role/ci", json!({"secret_id_bound_cidrs": "10.0.0.0/8", "token_bound_cidrs": "10.0.0.0/8"}));
    let any = credentials(&mount, "ci", json!({}));
    let narrow = credentials(&mount, "ci", json!({"cidr_list": "10.1.0.0/16", "token_bound_cidrs": "10.1.2.0/24"}));
    assert_eq!(
        refusal(login(&mount, &any)),
        "source address \"127.0.0.1\" unauthorized by CIDR restrictions on the role"
    );
    mount.from("10.2.0.1");
    assert_eq!(login(&mount, &any).unwrap().bound_cidrs[0].to_string(), "10.0.0.0/8");
    assert_eq!(
        refusal(login(&mount, &narrow)),
        "source address \"10.2.0.1\" unauthorized through CIDR restrictions on the secret ID"
    );
    mount.from("10.1.0.1");
    assert_eq!(login(&mount, &narrow).unwrap().bound_cidrs[0].to_string(), "10.1.2.0/24");
    mount.done("role/ci", json!({"secret_id_bound_cidrs": "10.1.0.0/24"}));
    assert!(refusal(login(&mount, &narrow)).contains("subset"), "the role was narrowed since");
}

#[test]
fn a_role_without_secret_ids_needs_another_constraint() {
    let mount = mount();
    let unbound = json!({"bind_secret_id": false});
    assert_eq!(
        refusal(mount.write("role/ci", unbound.clone())),
        "at least one constraint should be enabled on the role"
    );
    mount.done("role/ci", json!({"bind_secret_id": false, "token_bound_cidrs": "127.0.0.0/8"}));
    let role_id = mount.read("role/ci/role-id")["role_id"].clone();
    assert!(login(&mount, &json!({"role_id": role_id})).is_ok());
    assert_eq!(refusal(mount.write("role/ci/secret-id", json!({}))), "bind_secret_id is not set on the role");
    assert!(refusal(mount.delete("role/ci/token-bound-cidrs")).contains("at least one constraint"));
}

#[test]
fn role_ids_are_chosen_once() {
    let mount = mount();
    mount.done("role/ci", json!({"role_id": "first"}));
    assert_eq!(refusal(mount.write("role/other", json!({"role_id": "first"}))), "role_id already in use");
    mount.done("role/ci/role-id", json!({"role_id": "second"}));
    mount.done("role/other", json!({"role_id": "first"}));
    assert_eq!(refusal(mount.write("role/other/role-id", json!({"role_id": "second"}))), "role_id already in use");
    assert_eq!(refusal(mount.write("role/ci/role-id", json!({}))), "missing role_id");
    assert_eq!(refusal(mount.write("role/no/role-id", json!({"role_id": "x"}))), "unsupported path");
    mount.delete("role/other").unwrap();
    mount.done("role/ci/role-id", json!({"role_id": "first"}));
    assert!(matches!(
        login(&mount, &json!({"role_id": "second", "secret_id": "x"})),
        Err(Error::BadCredentials { known: false, .. })
    ));
}

#[test]
fn parts_of_a_role_have_paths_of_their_own() {
    let mount = mount();
    mount.done("role/ci", json!({}));
    for (part, field, value, shown, default) in [
        ("policies", "token_policies", json!("x,y"), json!(["x", "y"]), json!([])),
        ("period", "token_period", json!("5m"), json!(300), json!(0)),
        ("bind-secret-id", "bind_secret_id", json!(true), json!(true), json!(true)),
        ("secret-id-bound-cidrs", "secret_id_bound_cidrs", json!("10.0.0.1/32"), json!(["10.0.0.1/32"]), json!(null)),
        ("bound-cidr-list", "bound_cidr_list", json!("10.0.0.1/32"), json!(["10.0.0.1/32"]), json!(null)),
        ("token-bound-cidrs", "token_bound_cidrs", json!("10.0.0.1/32"), json!(["10.0.0.1"]), json!([])),
        ("secret-id-num-uses", "secret_id_num_uses", json!(7), json!(7), json!(0)),
        ("secret-id-ttl", "secret_id_ttl", json!("5m"), json!(300), json!(0)),
        ("token-num-uses", "token_num_uses", json!(2), json!(2), json!(0)),
        ("token-max-ttl", "token_max_ttl", json!("2h"), json!(7200), json!(0)),
        ("token-ttl", "token_ttl", json!("1h"), json!(3600), json!(0)),
    ] {
        let path = format!("role/ci/{part}");
        mount.done(&path, json!({field: value}));
        assert_eq!(mount.read(&path)[field], shown, "{part}");
        assert!(refusal(mount.write(&path, json!({}))).contains("missing"), "{part}");
        assert_eq!(refusal(mount.write(&format!("role/no/{part}"), json!({field: value}))), "unsupported path");
        assert!(matches!(mount.call(Operation::Read, &format!("role/no/{part}"), json!({})), Err(Error::NotFound)));
        mount.delete(&path).unwrap();
        assert_eq!(mount.read(&path)[field], default, "{part}");
        mount.delete(&format!("role/no/{part}")).unwrap();
    }
    mount.done("role/ci/policies", json!({"policies": "z"}));
    assert_eq!(mount.read("role/ci/policies"), json!({"policies": ["z"], "token_policies": ["z"]}));
}

#[test]
fn what_vault_warns_of_and_refuses() {
    let mount = mount();
    let output = mount.write("role/ci", json!({"token_type": "default-service", "token_max_ttl": "9999h"})).unwrap();
    assert_eq!(output.warnings.len(), 2, "{:?}", output.warnings);
    assert_eq!(mount.read("role/ci")["token_type"], "service");
    assert_eq!(
        refusal(mount.write("role/ci", json!({"local_secret_ids": true}))),
        "local_secret_ids can only be modified during role creation"
    );
    assert_eq!(
        refusal(mount.write("role/ci", json!({"period": "9999h"}))),
        "period of \"9999h0m0s\" is greater than the backend's maximum lease TTL of \"768h0m0s\""
    );
    assert!(refusal(mount.write("role/ci", json!({"secret_id_num_uses": -1}))).contains("secret_id_num_uses"));
}

#[test]
fn a_role_goes_with_all_its_secret_ids() {
    let mount = mount();
    mount.done("role/ci", json!({"secret_id_ttl": "1h"}));
    let good = credentials(&mount, "ci", json!({}));
    let auth = login(&mount, &good).unwrap();
    for _ in 0..400 {
        mount.done("role/ci/secret-id", json!({}));
    }
    mount.done("role/ci/policies", json!({"policies": "other"}));
    assert!(mount.renew(&auth).is_ok(), "a token keeps its policies");
    mount.delete("role/ci").unwrap();
    assert_eq!(refusal(login(&mount, &good)), WRONG);
    assert!(refusal(mount.renew(&auth)).contains("role \"ci\" does not exist during renewal"));
    // A new role of the same name has nothing to do with the old one.
    mount.done("role/ci", json!({}));
    assert!(matches!(mount.list("role/ci/secret-id"), Err(Error::NotFound)));
    mount.chores();
    assert_eq!(
        (mount.count("secret-id/"), mount.count("accessor/"), mount.count("expiry/"), mount.count("removed/")),
        (0, 0, 0, 0)
    );
}
