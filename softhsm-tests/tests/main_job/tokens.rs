//! Tokens.

use serde_json::{Value, json};
use softhsm_tests::{Client, Server, eventually};

/// A token made by `client`, and what was answered.
fn create(client: &Client, body: Value) -> (Client, Value) {
    let auth = client.post("auth/token/create", body).is(200)["auth"].clone();
    (client.with_token(auth["client_token"].as_str().unwrap()), auth)
}

fn lookup(client: &Client) -> Value {
    client.get("auth/token/lookup-self").is(200)["data"].clone()
}

/// Unknown, revoked and expired tokens look the same.
fn is_gone(client: &Client) -> bool {
    let answer = client.get("auth/token/lookup-self");
    answer.status == 403 && answer.json == json!({"errors": ["permission denied"]})
}

pub fn life_of_a_token(server: &Server) {
    let root = server.client();
    let own = lookup(&root);
    assert_eq!((&own["policies"], &own["ttl"], &own["expire_time"]), (&json!(["root"]), &json!(0), &json!(null)));

    let body = json!({"policies": ["team"], "ttl": "1h", "explicit_max_ttl": "2h", "meta": {"who": "ci"}, "display_name": "ci"});
    let (client, auth) = create(&root, body);
    assert!(
        auth["client_token"].as_str().unwrap().starts_with("hvs.")
            && auth["client_token"].as_str().unwrap().len() >= 28
    );
    assert_eq!((&auth["policies"], &auth["lease_duration"]), (&json!(["default", "team"]), &json!(3600)));
    assert_eq!(
        (&auth["token_type"], &auth["renewable"], &auth["orphan"]),
        (&json!("service"), &json!(true), &json!(false))
    );
    let seen = lookup(&client);
    assert_eq!(
        (&seen["display_name"], &seen["meta"]["who"], &seen["path"]),
        (&json!("token-ci"), &json!("ci"), &json!("auth/token/create"))
    );
    assert_eq!((&seen["id"], &seen["creation_ttl"]), (&json!(client.token), &json!(3600)));
    assert!(seen["ttl"].as_i64().unwrap() <= 3600 && seen["explicit_max_ttl"] == 7200);
    let accessor = auth["accessor"].as_str().unwrap();
    let by_accessor = root.post("auth/token/lookup-accessor", json!({"accessor": accessor})).is(200)["data"].clone();
    assert_eq!((&by_accessor["id"], &by_accessor["accessor"]), (&json!(""), &json!(accessor)));
    assert_eq!(root.post("auth/token/lookup", json!({"token": client.token})).is(200)["data"]["id"], client.token);
    assert!(root.list("auth/token/accessors").is(200)["data"]["keys"].to_string().contains(accessor));

    let renewed = client.post("auth/token/renew-self", json!({"increment": "90m"})).is(200)["auth"].clone();
    assert_eq!(renewed["lease_duration"], 5400);
    // Never beyond the longest life that it was given.
    let renewed = root.post("auth/token/renew", json!({"token": client.token, "increment": "9h"})).is(200);
    let granted = renewed["auth"]["lease_duration"].as_i64().unwrap();
    assert!((7190..=7200).contains(&granted) && renewed["warnings"].is_array(), "{renewed}");
    let (fixed, _) = create(&root, json!({"ttl": "1h", "renewable": false}));
    assert_eq!(fixed.post("auth/token/renew-self", json!({})).status, 400);
    let (periodic, _) = create(&root, json!({"period": "10m"}));
    assert_eq!(
        periodic.post("auth/token/renew-self", json!({"increment": "5h"})).is(200)["auth"]["lease_duration"],
        600
    );

    let mine = json!({"note": "own"});
    client.post("cubbyhole/x", mine.clone()).is(204);
    assert_eq!(client.get("cubbyhole/x").is(200)["data"], mine);
    assert_eq!(periodic.get("cubbyhole/x").status, 404);
    client.post("auth/token/revoke-self", json!({})).is(204);
    assert!(is_gone(&client));
    assert_eq!(root.post("auth/token/lookup-accessor", json!({"accessor": accessor})).status, 400);
    root.post("auth/token/revoke", json!({"token": periodic.token})).is(204);
    assert!(is_gone(&periodic));
    for bad in
        [json!({"ttl": "soon"}), json!({"policies": ["root"], "ttl": "1h", "type": "odd"}), json!({"num_uses": -1})]
    {
        assert_eq!(root.post("auth/token/create", bad.clone()).status, 400, "{bad}");
    }
}

pub fn a_tree_falls_together(server: &Server) {
    let root = server.client();
    let policy = r#"path "auth/token/*" { capabilities = ["update", "sudo"] }"#;
    root.post("sys/policies/acl/parent", json!({"policy": policy})).is(204);
    let rights = || json!({"policies": ["parent"]});
    let (parent, _) = create(&root, rights());
    let (child, _) = create(&parent, rights());
    let (grandchild, _) = create(&child, rights());
    let orphan = parent.post("auth/token/create-orphan", rights()).is(200)["auth"].clone();
    let orphan = parent.with_token(orphan["client_token"].as_str().unwrap());
    let (second, accessor) = create(&parent, rights());
    root.post("auth/token/revoke-accessor", json!({"accessor": accessor["accessor"]})).is(204);
    assert!(is_gone(&second) && !is_gone(&parent));
    root.post("auth/token/revoke", json!({"token": parent.token})).is(204);
    assert!(is_gone(&parent) && is_gone(&child) && is_gone(&grandchild));
    assert!(!is_gone(&orphan));
    let (heir, _) = create(&orphan, rights());
    root.post("auth/token/revoke-orphan", json!({"token": orphan.token})).is(204);
    assert!(is_gone(&orphan) && lookup(&heir)["orphan"] == true);
}

pub fn uses_are_counted_under_a_race(server: &Server) {
    let root = server.client();
    let (client, auth) = create(&root, json!({"num_uses": 5, "policies": ["all"]}));
    assert_eq!(auth["num_uses"], 5);
    let served = std::thread::scope(|scope| {
        let client = &client;
        let use_it = move || (0..3).filter(|_| client.get("secret/data/exact").status == 200).count();
        let racers: Vec<_> = (0..4).map(|_| scope.spawn(use_it)).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).sum::<usize>()
    });
    assert_eq!(served, 5);
    assert!(is_gone(&client));
    let (client, _) = create(&root, json!({"num_uses": 1}));
    assert_eq!(lookup(&client)["num_uses"], -1, "the last use is a use");
    assert!(is_gone(&client));
}

pub fn a_token_expires(server: &Server) {
    let root = server.client();
    let (client, auth) = create(&root, json!({"ttl": "1s", "policies": ["parent"]}));
    let (child, _) = create(&client, json!({"ttl": "1h"}));
    eventually("the token expires", || is_gone(&client).then_some(()));
    eventually("its child with it", || is_gone(&child).then_some(()));
    eventually("nothing is left of it", || {
        let accessors = root.list("auth/token/accessors").is(200)["data"]["keys"].to_string();
        (!accessors.contains(auth["accessor"].as_str().unwrap())).then_some(())
    });
}
