//! What a token may do.

use serde_json::{Value, json};
use softhsm_tests::{Client, Server};

const RULES: &str = r#"
path "secret/data/team/*"          { capabilities = ["create", "read", "update", "patch", "delete"] }
path "secret/data/team/closed"     { capabilities = ["deny"] }
path "secret/data/+/shared"        { capabilities = ["read"] }
path "secret/metadata/team/*"      { capabilities = ["list"] }
path "secret/data/new/*"           { capabilities = ["create"] }
path "secret/data/exact"           { capabilities = ["read"] }
path "one/limited" {
  capabilities        = ["create", "update"]
  allowed_parameters  = { "colour" = ["red", "blue"], "size" = [] }
  denied_parameters   = { "size" = ["xl"] }
  required_parameters = ["colour"]
}
path "auth/token/create"           { capabilities = ["update"] }
path "auth/token/lookup"           { capabilities = ["update"] }
path "sys/capabilities*"           { capabilities = ["update"] }
path "sys/seal"                    { capabilities = ["update"] }
"#;

fn login(server: &Server, body: Value) -> Client {
    let client = server.client();
    client.with_token(client.post("auth/token/create", body).is(200)["auth"]["client_token"].as_str().unwrap())
}

pub fn rules(server: &Server) {
    let root = server.client();
    root.post("sys/policies/acl/team", json!({"policy": RULES})).is(204);
    let member = login(server, json!({"policies": ["team"]}));
    for path in ["team/a", "team/closed", "other/shared", "deep/er/shared", "exact", "exactly", "new/old"] {
        assert!(root.put(&format!("secret/data/{path}"), "x"));
    }

    let denied = |answer: softhsm_tests::Response| {
        assert_eq!((answer.status, &answer.json), (403, &json!({"errors": ["permission denied"]})));
    };
    member.get("secret/data/team/a").is(200);
    member.post("secret/data/team/b", json!({"data": {"x": "1"}})).is(200);
    member.patch("secret/data/team/b", json!({"data": {"x": "2"}})).is(200);
    denied(member.get("secret/data/team/closed"));
    member.get("secret/data/other/shared").is(200);
    denied(member.post("secret/data/other/shared", json!({"data": {}})));
    denied(member.get("secret/data/deep/er/shared"));
    member.get("secret/data/exact").is(200);
    denied(member.get("secret/data/exactly"));
    member.list("secret/metadata/team").is(200);
    denied(member.list("secret/metadata/"));
    denied(member.get("secret/metadata/team/a"));
    // Create is for what is not there yet, update for what is.
    member.post("secret/data/new/one", json!({"data": {}})).is(200);
    denied(member.post("secret/data/new/old", json!({"data": {}})));
    for (body, status) in [
        (json!({"colour": "red"}), 204),
        (json!({"colour": "blue", "size": "s"}), 204),
        (json!({"colour": "green"}), 403),
        (json!({"size": "s"}), 403),
        (json!({"colour": "red", "size": "xl"}), 403),
        (json!({"colour": "red", "shape": "round"}), 403),
    ] {
        assert_eq!(member.post("one/limited", body.clone()).status, status, "{body}");
    }
    // The command line asks for the mount before every `kv` command, whatever the policies say of that path.
    member.get("sys/internal/ui/mounts/secret/data/exact").is(200);
    assert_eq!(member.get("sys/internal/ui/mounts/unheard/of").status, 403);
    assert_eq!(member.with_token("").get("sys/internal/ui/mounts/secret/data/exact").status, 403);
    // What has no right looks like what is not there, and so does a bad token.
    denied(member.get("no/such/mount"));
    denied(member.get("secret/data/absent"));
    denied(member.with_token("hvs.unknown").get("secret/data/exact"));
    denied(member.with_token("").get("secret/data/exact"));
    denied(member.post("sys/seal", json!({})));

    // Deny wins over what another policy grants.
    root.post("sys/policies/acl/all", json!({"policy": r#"path "secret/*" { capabilities = ["read", "sudo"] }"#}))
        .is(204);
    let both = login(server, json!({"policies": ["team", "all"]}));
    denied(both.get("secret/data/team/closed"));
    both.get("secret/data/deep/er/shared").is(200);

    let able = |client: &Client, path: &str| {
        client.post("sys/capabilities-self", json!({"paths": [path]})).is(200)["data"][path].clone()
    };
    assert_eq!(able(&member, "secret/data/team/a"), json!(["create", "delete", "patch", "read", "update"]));
    assert_eq!(able(&member, "secret/data/team/closed"), json!(["deny"]));
    assert_eq!(able(&member, "unheard/of"), json!(["deny"]));
    assert_eq!(able(&root, "unheard/of"), json!(["root"]));
    let asked = root.post("sys/capabilities", json!({"token": member.token, "path": "secret/data/exact"})).is(200);
    assert_eq!(asked["capabilities"], json!(["read"]));
    // Nobody hands out what they do not have.
    assert_eq!(member.post("auth/token/create", json!({"policies": ["all"]})).status, 400);

    // A changed policy binds the next request.
    let closed = json!({"path": {"secret/data/exact": {"capabilities": ["deny"]}}}).to_string();
    root.post("sys/policies/acl/team", json!({"policy": closed})).is(204);
    denied(member.get("secret/data/exact"));
    denied(member.get("secret/data/team/a"));
}

/// Lists of names, a page at a time.
pub fn paging(server: &Server) {
    let root = server.client();
    for name in ["paged-a", "paged-b", "z-last"] {
        root.post(&format!("sys/policies/acl/{name}"), json!({"policy": "path \"x\" {}"})).is(204);
        root.post(&format!("auth/token/roles/{name}"), json!({"orphan": true})).is(204);
        root.post(&format!("cubbyhole/{name}"), json!({"x": "y"})).is(204);
    }
    for path in ["sys/policies/acl", "sys/policy", "auth/token/roles", "cubbyhole"] {
        let page = |query: &str| root.get(&format!("{path}?list=true&{query}")).ok()["data"]["keys"].clone();
        assert_eq!(page("after=paged-a&limit=1"), json!(["paged-b"]), "{path}");
        assert_eq!(page("after=paged-b").as_array().unwrap().last().unwrap(), "z-last", "{path}");
        root.get(&format!("{path}?list=true&after=z-last")).is(404);
    }
}

pub fn crud(server: &Server) {
    let client = server.client();
    let text = r#"path "a" { capabilities = ["read"] }"#;
    client.post("sys/policies/acl/Mixed-Case", json!({"policy": text})).is(204);
    let read = client.get("sys/policies/acl/mixed-case").is(200)["data"].clone();
    assert_eq!((&read["name"], &read["policy"]), (&json!("mixed-case"), &json!(text)));
    let old = client.get("sys/policy/mixed-case").is(200);
    assert_eq!((&old["rules"], &old["data"]["rules"]), (&json!(text), &json!(text)));
    let names = client.list("sys/policies/acl").is(200)["data"]["keys"].to_string();
    for name in ["default", "root", "mixed-case"] {
        assert!(names.contains(name), "{names}");
    }
    assert_eq!(client.get("sys/policy").is(200)["policies"], client.get("sys/policy").is(200)["data"]["keys"]);
    assert!(client.get("sys/policies/acl/default").is(200)["data"]["policy"].as_str().unwrap().contains("lookup-self"));
    for bad in ["", "path {", r#"path "a" { capabilities = ["fly"] }"#, r#"path "a" { capability = ["read"] }"#] {
        assert_eq!(client.post("sys/policies/acl/bad", json!({"policy": bad})).status, 400, "{bad}");
    }
    client.delete("sys/policies/acl/mixed-case").is(204);
    assert_eq!(client.get("sys/policies/acl/mixed-case").status, 404);
    for (method, name) in [("DELETE", "default"), ("DELETE", "root"), ("POST", "root")] {
        let body = json!({"policy": text});
        assert_eq!(
            client.call(method, &format!("sys/policies/acl/{name}"), Some(&body)).status,
            400,
            "{method} {name}"
        );
    }
}
