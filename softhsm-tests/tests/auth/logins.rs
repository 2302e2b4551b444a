//! Logins over HTTP, and what becomes of their tokens.

use serde_json::{Value, json};

use crate::{enable, login, nobody, server};

#[test]
fn a_token_of_a_login_is_renewed_by_what_its_method_says_now() {
    let server = server("");
    let root = server.client();
    enable(&server, "userpass", "userpass");
    enable(&server, "approle", "approle");
    root.post(
        "auth/userpass/users/ada",
        json!({"password": "pw", "token_policies": "a", "token_ttl": "1h", "token_max_ttl": "3h"}),
    )
    .is(204);
    let (ada, auth) = login(&server, "userpass/login/ada", json!({"password": "pw"}));
    assert_eq!((&auth["token_policies"], &auth["lease_duration"]), (&json!(["a", "default"]), &json!(3600)));
    let renew = |body: Value| ada.post("auth/token/renew-self", body);
    assert_eq!(renew(json!({})).is(200)["auth"]["lease_duration"], 3600);
    root.post("auth/userpass/users/ada", json!({"token_ttl": "2h"})).is(204);
    assert_eq!(renew(json!({})).is(200)["auth"]["lease_duration"], 7200);
    let capped = renew(json!({"increment": "10h"})).is(200);
    assert!(capped["auth"]["lease_duration"].as_i64().unwrap() <= 10_800 && capped["warnings"].is_array(), "{capped}");
    root.post("auth/userpass/users/ada/policies", json!({"policies": "b"})).is(204);
    assert!(renew(json!({})).errors().contains("policies have changed, not renewing"));
    root.delete("auth/userpass/users/ada").is(204);
    assert_eq!(renew(json!({})).status, 400);
    // It is not renewed, but lives for as long as it was given.
    ada.get("auth/token/lookup-self").is(200);

    root.post("auth/approle/role/ci", json!({"token_ttl": "1h"})).is(204);
    let role_id = root.get("auth/approle/role/ci/role-id").is(200)["data"]["role_id"].clone();
    let secret_id = root.post("auth/approle/role/ci/secret-id", json!({})).is(200)["data"]["secret_id"].clone();
    let (machine, _) = login(&server, "approle/login", json!({"role_id": role_id, "secret_id": secret_id}));
    machine.post("auth/token/renew-self", json!({})).is(200);
    root.delete("auth/approle/role/ci").is(204);
    let refused = machine.post("auth/token/renew-self", json!({}));
    assert!(refused.errors().contains("does not exist during renewal"), "{}", refused.json);
}

#[test]
fn an_answer_to_a_login_is_as_vaults() {
    let server = server("");
    enable(&server, "userpass", "userpass");
    let root = server.client();
    root.post("auth/userpass/users/ada", json!({"password": "pw"})).is(204);
    let answer = nobody(&server).post("auth/userpass/login/ADA", json!({"password": "pw"})).is(200);
    let auth = answer["auth"].as_object().unwrap();
    let mut keys: Vec<&str> = auth.keys().map(String::as_str).collect();
    keys.sort_unstable();
    let expected = "accessor client_token entity_id lease_duration metadata mfa_requirement num_uses orphan policies renewable \
                    token_policies token_type";
    assert_eq!(keys.join(" "), expected);
    assert_eq!((&answer["data"], &auth["metadata"]), (&Value::Null, &json!({"username": "ada"})));
    // A login needs no token, and a bad one does not stand in its way.
    let stale = server.client().with_token("hvs.gone");
    stale.post("auth/userpass/login/ada", json!({"password": "pw"})).is(200);
    root.post("auth/userpass/users/root", json!({"password": "pw", "token_policies": "root"})).is(204);
    let refused = nobody(&server).post("auth/userpass/login/root", json!({"password": "pw"}));
    assert!(refused.status == 400 && refused.errors().contains("auth methods cannot create root tokens"));
}
