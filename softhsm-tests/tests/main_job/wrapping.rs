//! Response wrapping and cubbyholes.

use serde_json::{Value, json};
use softhsm_tests::{Client, Response, Server, eventually};

const NOT_VALID: &str = "wrapping token is not valid or does not exist";

fn wrapping(client: &Client, ttl: &str) -> Client {
    client.with_header("X-Vault-Wrap-TTL", ttl)
}

/// Where an answer was put away.
#[track_caller]
fn put_away(answer: Response) -> Value {
    let info = answer.is(200)["wrap_info"].clone();
    assert!(info.is_object(), "not wrapped");
    info
}

fn token(info: &Value) -> &str {
    info["token"].as_str().unwrap()
}

fn unwrap(client: &Client, info: &Value) -> Response {
    client.post("sys/wrapping/unwrap", json!({"token": token(info)}))
}

fn lookup(client: &Client, info: &Value) -> Response {
    client.post("sys/wrapping/lookup", json!({"token": token(info)}))
}

#[track_caller]
fn is_spent(answer: &Response) {
    assert_eq!((answer.status, &answer.json), (400, &json!({"errors": [NOT_VALID]})));
}

fn member(server: &Server, policies: Value) -> Client {
    let root = server.client();
    let auth = root.post("auth/token/create", json!({"policies": policies})).is(200);
    root.with_token(auth["auth"]["client_token"].as_str().unwrap())
}

pub fn an_answer_is_put_away_and_got_out_once(server: &Server) {
    let root = server.client();
    assert!(root.put("secret/data/wrapped", "hidden-value"));
    let plain = root.get("secret/data/wrapped").is(200);
    let answer = wrapping(&root, "90").get("secret/data/wrapped").is(200);
    assert!(!answer.to_string().contains("hidden-value"));
    let info = &answer["wrap_info"];
    assert_eq!((&answer["data"], &answer["auth"], &answer["request_id"]), (&json!(null), &json!(null), &json!("")));
    assert_eq!((&info["ttl"], &info["creation_path"]), (&json!(90), &json!("secret/data/wrapped")));
    assert!(info["accessor"].as_str().is_some_and(|text| text.len() == 24) && info.get("wrapped_accessor").is_none());

    let known = json!({
        "creation_path": "secret/data/wrapped", "creation_time": info["creation_time"], "creation_ttl": 90,
    });
    let own = root.with_token(token(info));
    let nobody = root.with_token("");
    for seen in [
        lookup(&root, info),
        lookup(&nobody, info),
        own.post("sys/wrapping/lookup", json!({})),
        own.get("sys/wrapping/lookup"),
    ] {
        assert_eq!(seen.is(200)["data"], known);
    }
    let got = own.post("sys/wrapping/unwrap", json!({})).is(200);
    assert_eq!((&got["data"], &got["mount_type"]), (&plain["data"], &json!("kv")));
    assert_ne!(got["request_id"], "", "it is the answer to the first request");
    for again in
        [own.post("sys/wrapping/unwrap", json!({})), unwrap(&root, info), lookup(&root, info), unwrap(&nobody, info)]
    {
        is_spent(&again);
    }

    // Somebody else gets it out who may; not who may not, though it is not spent by that.
    let info = put_away(wrapping(&root, "1m").get("secret/data/wrapped"));
    assert_eq!(unwrap(&nobody, &info).status, 403);
    let stranger = member(server, json!(["default"]));
    assert_eq!(unwrap(&stranger, &info).is(200)["data"], plain["data"]);

    for (client, body, status, says) in [
        (&root, json!({}), 400, NOT_VALID),
        (&root, json!({"token": root.token}), 400, NOT_VALID),
        (&nobody, json!({"token": "hvs.nonsense"}), 400, NOT_VALID),
        (&nobody, json!({}), 403, "error validating wrapping token: token is empty"),
        (&root, json!({"token": ""}), 403, "error validating wrapping token: empty token in request body"),
        (&root, json!({"token": 5}), 403, "error validating wrapping token: could not decode token in request body"),
    ] {
        for path in ["unwrap", "rewrap", "lookup"] {
            let refused = client.post(&format!("sys/wrapping/{path}"), body.clone());
            assert_eq!((refused.status, &refused.json), (status, &json!({"errors": [says]})), "{path} {body}");
        }
    }
}

pub fn every_kind_of_answer(server: &Server) {
    let root = server.client();
    let wrapped = wrapping(&root, "5m");
    // A new token, whose accessor is shown outside.
    let info = put_away(wrapped.post("auth/token/create", json!({"policies": ["default"], "meta": {"a": "b"}})));
    let auth = unwrap(&root, &info).is(200)["auth"].clone();
    assert_eq!((&auth["accessor"], &auth["metadata"]), (&info["wrapped_accessor"], &json!({"a": "b"})));
    root.with_token(auth["client_token"].as_str().unwrap()).get("auth/token/lookup-self").is(200);

    let info = put_away(wrapped.list("secret/metadata"));
    assert_eq!(info["creation_path"], "secret/metadata/");
    assert_eq!(unwrap(&root, &info).is(200)["data"], root.list("secret/metadata").is(200)["data"]);

    let info = put_away(wrapped.post("secret/data/warned", json!({"data": {}, "odd": 1})));
    assert!(unwrap(&root, &info).is(200)["warnings"].to_string().contains("[odd]"));
    assert_eq!(root.get("secret/data/warned").status, 200, "what was done is done");

    // A deleted version is a 404 that has data.
    root.delete("secret/data/warned").is(204);
    let info = put_away(wrapped.get("secret/data/warned"));
    assert_eq!(unwrap(&root, &info).is(404)["data"], root.get("secret/data/warned").is(404)["data"]);

    let info = put_away(wrapped.get("sys/policy/default"));
    assert!(unwrap(&root, &info).is(200)["data"]["rules"].is_string());
    // What has come out may go in again.
    let inner = put_away(wrapped.get("secret/data/wrapped"));
    let outer = put_away(wrapped.post("sys/wrapping/unwrap", json!({"token": token(&inner)})));
    assert_eq!(outer["creation_path"], "sys/wrapping/unwrap");
    assert_eq!(unwrap(&root, &outer).is(200)["data"]["data"]["value"], "hidden-value");

    // Nothing to say, nothing there, not allowed: there is nothing to put away.
    assert_eq!(wrapped.post("cubbyhole/mine", json!({"a": "1"})).is(204), Value::Null);
    assert_eq!(wrapped.get("secret/data/none").is(404), json!({"errors": []}));
    wrapped.post("secret/data/x", json!({"data": 5})).is(400);
    wrapped.with_token("hvs.x").get("secret/data/wrapped").is(403);
    assert_eq!(wrapped.get("sys/seal-status").is(200)["sealed"], false);
    for (ttl, says) in
        [("-1", "requested wrap ttl cannot be negative"), ("soon", "invalid duration"), ("1y", "invalid")]
    {
        let refused = wrapping(&root, ttl).get("secret/data/wrapped");
        assert!(refused.status == 400 && refused.errors().contains(says), "{ttl}: {}", refused.json);
    }
    wrapped.with_header("X-Vault-Wrap-Format", "jwt").get("secret/data/wrapped").is(400);
    assert_eq!(wrapping(&root, "0").get("secret/data/wrapped").is(200)["wrap_info"], json!(null));
}

pub fn what_a_wrapping_token_may_do(server: &Server) {
    let root = server.client();
    let put = || put_away(wrapping(&root, "1h").get("secret/data/wrapped"));
    let info = put();
    let seen = root.post("auth/token/lookup", json!({"token": token(&info)})).is(200)["data"].clone();
    assert_eq!((&seen["policies"], &seen["num_uses"]), (&json!(["response-wrapping"]), &json!(1)));
    assert_eq!(
        (&seen["path"], &seen["orphan"], &seen["explicit_max_ttl"]),
        (&json!("secret/data/wrapped"), &json!(true), &json!(3600))
    );
    root.post("auth/token/renew", json!({"token": token(&info)})).is(400);
    root.post("auth/token/revoke-accessor", json!({"accessor": info["accessor"]})).is(204);
    is_spent(&unwrap(&root, &info));

    // It opens nothing else; and the attempt shows, since it was its one use.
    for (method, path) in [
        ("GET", "secret/data/wrapped"),
        ("GET", "auth/token/lookup-self"),
        ("POST", "auth/token/create"),
        ("GET", "cubbyhole/wrapinfo"),
        ("POST", "cubbyhole/response"),
        ("LIST", "cubbyhole/"),
        ("GET", "no/such/path"),
    ] {
        let info = put();
        let own = root.with_token(token(&info));
        assert_eq!(own.call(method, path, Some(&json!({"a": "b"}))).status, 403, "{method} {path}");
        is_spent(&own.post("sys/wrapping/unwrap", json!({})));
    }
    let own = root.with_token(token(&put()));
    own.post("auth/token/revoke-self", json!({})).is(204);
    is_spent(&own.get("sys/wrapping/lookup"));

    // Clients of old read the cubbyhole.
    let own = root.with_token(token(&put()));
    let old = own.get("cubbyhole/response").is(200);
    let inside: Value = serde_json::from_str(old["data"]["response"].as_str().unwrap()).unwrap();
    assert_eq!(inside["data"]["data"]["value"], "hidden-value");
    assert!(old["warnings"].to_string().contains("deprecated"));
    assert_eq!(own.get("cubbyhole/response").status, 403);
    is_spent(&own.post("sys/wrapping/unwrap", json!({})));

    for name in ["response-wrapping", "control-group"] {
        let policy = json!({"policy": "path \"*\" { capabilities = [\"read\"] }"});
        root.post(&format!("sys/policies/acl/{name}"), policy).is(400);
        assert_eq!(root.post("auth/token/create", json!({"policies": [name]})).status, 400);
    }
    assert!(root.get("sys/policies/acl/response-wrapping").is(200)["data"]["policy"].to_string().contains("unwrap"));

    let short = put_away(wrapping(&root, "300ms").get("secret/data/wrapped"));
    eventually("it ends by itself", || (lookup(&root, &short).status == 400).then_some(()));
    eventually("and nothing is left of it", || {
        let accessors = root.list("auth/token/accessors").is(200)["data"]["keys"].to_string();
        (!accessors.contains(short["accessor"].as_str().unwrap())).then_some(())
    });

    let bounds =
        r#"path "secret/data/wrapped" { capabilities = ["read"] min_wrapping_ttl = "1m" max_wrapping_ttl = "2m" }"#;
    root.post("sys/policies/acl/wrapped-only", json!({"policy": bounds})).is(204);
    let client = member(server, json!(["wrapped-only"]));
    assert_eq!(client.get("secret/data/wrapped").status, 403);
    for (ttl, status) in [("59", 403), ("60", 200), ("2m", 200), ("121", 403)] {
        assert_eq!(wrapping(&client, ttl).get("secret/data/wrapped").status, status, "{ttl}");
    }
}

pub fn by_hand(server: &Server) {
    let root = server.client();
    let any = json!({"a": 1.50, "token": "is a field like any other", "deep": {"list": [null, "ü"]}});
    let refused = root.post("sys/wrapping/wrap", any.clone()).is(400);
    assert_eq!(refused, json!({"errors": ["endpoint requires response wrapping to be used"]}));
    let first = put_away(wrapping(&member(server, json!(["default"])), "60").post("sys/wrapping/wrap", any.clone()));
    let second = put_away(root.post("sys/wrapping/rewrap", json!({"token": token(&first)})));
    is_spent(&unwrap(&root, &first));
    assert_eq!((&second["ttl"], &second["creation_path"]), (&json!(60), &json!("sys/wrapping/wrap")));
    // For less than it was, never for more; by whoever holds it, too.
    let own = root.with_token(token(&second));
    let third = put_away(wrapping(&own, "10").post("sys/wrapping/rewrap", json!({})));
    let last = put_away(wrapping(&root, "1h").post("sys/wrapping/rewrap", json!({"token": token(&third)})));
    assert_eq!((&third["ttl"], &last["ttl"]), (&json!(10), &json!(10)));
    assert_eq!(unwrap(&root, &last).is(200)["data"], any);
    let nothing = put_away(wrapping(&root, "60").post("sys/wrapping/wrap", json!({})));
    assert_eq!(unwrap(&root, &nothing).is(200)["data"], json!({}));
}

pub fn one_of_thirty_gets_it(server: &Server) {
    let root = server.client();
    for round in 0..3 {
        let info = put_away(wrapping(&root, "5m").get("secret/data/wrapped"));
        let own = root.with_token(token(&info));
        let start = std::sync::Barrier::new(30);
        let answers: Vec<Response> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..30)
                .map(|number| {
                    let (start, root, own, info) = (&start, root.clone(), own.clone(), &info);
                    scope.spawn(move || {
                        start.wait();
                        // With the token itself, with another, and in the old form.
                        match number % 3 {
                            0 => own.post("sys/wrapping/unwrap", json!({})),
                            1 => unwrap(&root, info),
                            _ => own.get("cubbyhole/response"),
                        }
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        let got = answers.iter().filter(|answer| answer.json.to_string().contains("hidden-value")).count();
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(got, 1, "round {round}: {statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, 200 | 400 | 403)), "{statuses:?}");
    }
}

pub fn in_the_audit_log(server: &Server) {
    let root = server.client();
    let mark = std::fs::read(server.audit_log()).unwrap().len();
    let info = put_away(wrapping(&root, "77").post("auth/token/create", json!({"policies": ["default"]})));
    let inner = unwrap(&root, &info).is(200)["auth"]["client_token"].as_str().unwrap().to_owned();
    let log = String::from_utf8(std::fs::read(server.audit_log()).unwrap().split_off(mark)).unwrap();
    assert!(!log.contains(token(&info)) && !log.contains(&inner));
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [_, wrapped, _, unwrapped] = lines.as_slice() else { panic!("{log}") };
    let shown = &wrapped["response"]["wrap_info"];
    assert_eq!((&shown["ttl"], &shown["creation_path"]), (&json!(77), &json!("auth/token/create")));
    assert_eq!(wrapped["request"]["wrap_ttl"], 77);
    for name in ["token", "accessor", "wrapped_accessor"] {
        assert!(shown[name].as_str().unwrap().starts_with("hmac-sha256:"), "{name}");
    }
    assert!(wrapped["response"].get("auth").is_none());
    // Who unwraps is told what; so the log can follow the new token from here on.
    assert_eq!(unwrapped["response"]["auth"]["accessor"], shown["wrapped_accessor"]);
    assert_eq!(unwrapped["request"]["data"]["token"], shown["token"]);
}

pub fn cubbyholes(server: &Server) {
    let (root, client) = (server.client(), member(server, json!(["default"])));
    let deep = json!({"list": [1, {"b": null}], "ttl": "1h"});
    client.post("cubbyhole/a", json!({"x": "1"})).is(204);
    client.post("cubbyhole/a/b", deep.clone()).is(204);
    assert_eq!(client.get("cubbyhole/a/b").is(200)["data"], deep);
    for (path, keys) in
        [("cubbyhole", json!(["a", "a/"])), ("cubbyhole/", json!(["a", "a/"])), ("cubbyhole/a", json!(["b"]))]
    {
        assert_eq!(client.list(path).is(200)["data"]["keys"], keys);
    }
    assert_eq!(client.list("cubbyhole/none").is(404), json!({"errors": []}));
    for (method, path, says) in [
        ("POST", "cubbyhole/", "missing path"),
        ("GET", "cubbyhole/", "missing path"),
        ("POST", "cubbyhole/a/", "cannot write to a path ending in '/'"),
    ] {
        let refused = client.call(method, path, Some(&json!({"x": "1"})));
        assert!(refused.status == 400 && refused.errors().contains(says), "{method} {path}: {}", refused.json);
    }
    assert_eq!(client.get("cubbyhole/a/").status, 404);
    client.post("cubbyhole/a", json!({})).is(400);
    root.patch("cubbyhole/a", json!({"y": "2"})).is(405);
    // To each token its own, and to nobody afterwards.
    assert_eq!(root.get("cubbyhole/a").status, 404);
    client.delete("cubbyhole/a").is(204);
    client.delete("cubbyhole/a").is(204);
    assert_eq!(client.get("cubbyhole/a").status, 404);
    client.post("auth/token/revoke-self", json!({})).is(204);
    assert_eq!(client.get("cubbyhole/a/b").status, 403);
}
