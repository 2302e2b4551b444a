//! Requests as libraries make them, each in its own way: methods, query strings, headers and bodies.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use softhsm_tests::Client;

use crate::both::shape;

/// What may differ, by how the request begins.
const ALLOWED: &[&str] = &[
    // Refusals that say more.
    "GET r/metadata/a?list=odd",
    "POST sys/health",
    "DELETE sys/health",
    // Told apart from a path that is there, where they fold slashes together.
    "GET r/data/a/ ",
    "GET r/data//a/b",
    // A secret has fields.
    r#"POST r/data/a/d {"data":null}"#,
    // A server that is unsealed asks for no key.
    "POST sys/unseal",
    // Their 500 for what the client does wrong is a 400.
    "GET cubbyhole/ ",
    // Vault knows it, OpenBao does not.
    "X-Http-Method-Override",
    // The name of a scheme is the same in small letters (RFC 9110, section 11.1).
    "Authorization: bearer",
    // They warn of a parameter that they know.
    "GET r/metadata/a/c?list=false",
    // This version has no identity engine.
    "GET sys/internal/ui/mounts ",
];

/// Keys that OpenBao's answers have not: Vault's, this server's own, and those that their first root token lacks.
const MORE: [&str; 8] = [
    ".mount_type",
    ".performance_standby",
    ".build_date",
    ".removed_from_cluster",
    ".holdfast_version",
    ".data.issue_time",
    ".data.renewable",
    ".data.auth.approle/.options",
];

/// Requests with the token of the client, in order.
fn requests() -> Vec<(&'static str, &'static str, &'static str)> {
    vec![
        ("PUT", "sys/mounts/r", r#"{"type":"kv","options":{"version":"2"}}"#),
        ("POST", "sys/mounts/s", r#"{"type":"kv","options":{"version":2}}"#),
        ("PUT", "r/data/a/b", r#"{"data":{"x":1}}"#),
        ("POST", "r/data/a/c", r#"{"data":{"x":1},"options":{"cas":"0"}}"#),
        ("POST", "r/data/a/c", r#"{"data":{"x":1},"options":{"cas":0}}"#),
        ("PATCH", "r/data/a/c", r#"{"data":{"y":2}}"#),
        ("PUT", "r/metadata/a/c", r#"{"max_versions":"3"}"#),
        ("GET", "r/data/a/c?version=1", ""),
        ("GET", "r/data/a/c?version=x", ""),
        ("LIST", "r/metadata", ""),
        ("LIST", "r/metadata/", ""),
        ("LIST", "r/metadata/a", ""),
        ("GET", "r/metadata?list=true", ""),
        ("GET", "r/metadata/?list=true", ""),
        ("GET", "r/metadata/a?list=1", ""),
        ("GET", "r/metadata/a?list=odd", ""),
        ("GET", "r/metadata/a/c?list=false", ""),
        ("LIST", "r/data", ""),
        ("GET", "r/data/a/", ""),
        ("GET", "r/data//a/b", ""),
        ("POST", "r/data/a/d", "[]"),
        ("POST", "r/data/a/d", "null"),
        ("POST", "r/data/a/d", "\"x\""),
        ("POST", "r/data/a/d", "{"),
        ("POST", "r/data/a/d", ""),
        ("POST", "r/data/a/d", r#"{"data":null}"#),
        ("POST", "r/data/a/d", r#"{"data":"x"}"#),
        ("PUT", "r/delete/a/c", r#"{"versions":["1"]}"#),
        ("POST", "r/undelete/a/c", r#"{"versions":[1]}"#),
        ("PUT", "r/destroy/a/c", r#"{"versions":"1"}"#),
        ("DELETE", "r/metadata/a/c", ""),
        ("PUT", "sys/policy/p", r#"{"policy":"path \"r/*\" { capabilities = [\"read\"] }"}"#),
        ("POST", "sys/policies/acl/q", r#"{"policy":"path \"r/*\" { capabilities = [\"read\"] }"}"#),
        ("GET", "sys/policy", ""),
        ("LIST", "sys/policy", ""),
        ("GET", "sys/policies/acl?list=true", ""),
        ("PUT", "sys/auth/approle", r#"{"type":"approle"}"#),
        ("PUT", "auth/approle/role/r", r#"{"token_policies":"p"}"#),
        ("PUT", "auth/approle/role/r/secret-id", ""),
        ("POST", "auth/approle/role/r/secret-id", "{}"),
        ("GET", "auth/approle/role?list=true", ""),
        ("PUT", "auth/token/create", "{}"),
        ("POST", "auth/token/create", ""),
        ("PUT", "auth/token/renew-self", ""),
        ("GET", "auth/token/lookup-self", ""),
        ("POST", "auth/token/lookup-self", ""),
        ("GET", "auth/token/lookup", ""),
        ("GET", "auth/token/lookup/none", ""),
        ("GET", "sys/health?standbyok=true&activecode=201", ""),
        ("GET", "sys/seal-status", ""),
        ("GET", "sys/leader", ""),
        ("GET", "sys/init", ""),
        ("PUT", "sys/init", r#"{"secret_shares":1,"secret_threshold":1}"#),
        ("POST", "sys/unseal", r#"{"key":"00"}"#),
        ("PUT", "sys/wrapping/wrap", r#"{"a":"b"}"#),
        ("GET", "sys/internal/ui/mounts", ""),
        ("GET", "sys/internal/ui/mounts/r/a", ""),
        ("OPTIONS", "sys/health", ""),
        ("TRACE", "sys/health", ""),
        ("BREW", "sys/health", ""),
        ("POST", "sys/health", "{}"),
        ("DELETE", "sys/health", ""),
        ("GET", "", ""),
        ("GET", "nothing", ""),
        ("GET", "sys/nothing", ""),
        ("GET", "cubbyhole/", ""),
        ("PUT", "cubbyhole/x", r#"{"a":1.50,"b":null}"#),
        ("GET", "cubbyhole/x", ""),
        ("LIST", "cubbyhole", ""),
        ("DELETE", "cubbyhole/x", ""),
        ("DELETE", "sys/mounts/s", ""),
    ]
}

/// Headers in place of the token, or beside it, on a read and on a write.
fn headers() -> Vec<(&'static str, String, bool)> {
    vec![
        ("Authorization", "Bearer TOKEN".to_owned(), false),
        ("Authorization", "bearer TOKEN".to_owned(), false),
        ("Authorization", "Basic TOKEN".to_owned(), false),
        ("X-Vault-Request", "true".to_owned(), true),
        ("X-Vault-Request", "false".to_owned(), true),
        ("X-Http-Method-Override", "LIST".to_owned(), true),
        ("X-Vault-Wrap-TTL", "60".to_owned(), true),
        ("X-Vault-Wrap-TTL", "1m".to_owned(), true),
        ("X-Vault-Wrap-TTL", "odd".to_owned(), true),
        ("X-Vault-Namespace", "root".to_owned(), true),
        ("X-Vault-Namespace", "/".to_owned(), true),
        ("X-Vault-Namespace", "none".to_owned(), true),
        ("Accept", "text/html".to_owned(), true),
        ("X-Vault-No-Request-Forwarding", "true".to_owned(), true),
    ]
}

/// Everything that differs between two initialised servers.
pub fn differences(ours: &Client, theirs: &Client) -> Vec<String> {
    let mut found = Vec::new();
    for (method, path, body) in requests() {
        let call = |client: &Client| {
            let answer = client.try_send(method, path, body.to_owned()).unwrap();
            (answer.status, answer.json)
        };
        found.extend(difference(&format!("{method} {path} {body}"), call(ours), call(theirs)));
    }
    for (name, value, token) in headers() {
        for (method, body) in [("GET", Value::Null), ("POST", json!({"data": {"x": "1"}}))] {
            let call = |client: &Client| {
                let with = client.with_header(name, value.replace("TOKEN", &client.token));
                let with = if token { with } else { with.with_token("") };
                let answer = with.call(method, "r/data/a/b", (!body.is_null()).then_some(&body));
                (answer.status, answer.json)
            };
            found.extend(difference(&format!("{name}: {value}, {method}"), call(ours), call(theirs)));
        }
    }
    found
}

fn difference(name: &str, ours: (u16, Value), theirs: (u16, Value)) -> Option<String> {
    let shaped = |value: &Value| {
        let mut found = BTreeSet::new();
        shape(value, "", &mut found);
        found
    };
    let keys = |value: &Value| -> BTreeSet<String> {
        shaped(value).into_iter().filter(|part| !part.contains(": ") && !MORE.contains(&part.as_str())).collect()
    };
    let allowed = ALLOWED.iter().any(|request| name.starts_with(request));
    let same = ours.0 == theirs.0 && keys(&ours.1) == keys(&theirs.1);
    (!same && !allowed).then(|| {
        let only = |a: &Value, b: &Value| keys(a).difference(&keys(b)).cloned().collect::<Vec<_>>();
        let (more, missing) = (only(&ours.1, &theirs.1), only(&theirs.1, &ours.1));
        format!("{name}: {} against {}; more {more:?}, missing {missing:?}: {}", ours.0, theirs.0, ours.1["errors"])
    })
}
