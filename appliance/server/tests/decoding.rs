//! What reaches the corridor, and what is refused before it.

mod common;

use common::{send, start};
use server::Limits;

#[tokio::test]
async fn methods_become_operations() {
    let server = start(Limits::default());
    for (line, headers, operation) in [
        ("GET /v1/a/b", &[][..], "read"),
        ("GET /v1/a/b?list=true", &[], "list"),
        ("LIST /v1/a/b", &[], "list"),
        ("POST /v1/a/b", &[], "update"),
        ("PUT /v1/a/b", &[], "update"),
        ("DELETE /v1/a/b", &[], "delete"),
        ("PATCH /v1/a/b", &["Content-Type: application/merge-patch+json; charset=utf-8"], "patch"),
        ("POST /v1/a/b", &["X-Http-Method-Override: list"], "list"),
        ("GET /v1/a/b", &["X-Http-Method-Override: DELETE"], "read"),
    ] {
        let data = send(server.address, line, headers, b"").await.data();
        assert_eq!(
            (data["operation"].as_str(), data["path"].as_str()),
            (Some(operation), Some("a/b")),
            "{line} {headers:?}"
        );
    }
    for (line, headers, status) in [
        ("OPTIONS /v1/a", &[][..], 405),
        ("TRACE /v1/a", &[], 405),
        ("FOO /v1/a", &[], 405),
        ("HEAD /v1/a", &[], 405),
        ("POST /v1/a", &["X-Http-Method-Override: FOO"], 405),
        ("PATCH /v1/a", &[], 415),
        ("PATCH /v1/a", &["Content-Type: application/json"], 415),
        ("GET /v1/a?list=maybe", &[], 400),
        ("GET /v1", &[], 404),
        ("GET /", &[], 404),
        ("GET /ui/", &[], 404),
        ("GET /v2/a", &[], 404),
    ] {
        let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, &common::request(line, headers, b"")).await.unwrap();
        let mut head = [0; 12];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut head).await.unwrap();
        assert_eq!(head, format!("HTTP/1.1 {status}").as_bytes(), "{line} {headers:?}");
    }
}

#[tokio::test]
async fn health_answers_to_head() {
    let server = start(Limits::default());
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let pair =
        [common::request("HEAD /v1/sys/health", &[], b""), common::request("GET /v1/x", &["Connection: close"], b"")];
    tokio::io::AsyncWriteExt::write_all(&mut stream, &pair.concat()).await.unwrap();
    let mut all = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut all).await.unwrap();
    assert!(all.starts_with("HTTP/1.1 200") && all.matches("request_id").count() == 1, "{all}");
}

#[tokio::test]
async fn the_query_is_the_body_of_a_request_without_one() {
    let server = start(Limits::default());
    let data = send(server.address, "GET /v1/a?version=2&t=x&t=y%20z&list=false", &[], b"").await.data();
    assert_eq!(data["body"].to_string(), r#"{"t":["x","y z"],"version":"2"}"#);
    let data = send(server.address, "DELETE /v1/a?versions=1", &[], b"{\"ignored\":1}").await.data();
    assert_eq!(data["body"].to_string(), r#"{"versions":"1"}"#);
    let data = send(server.address, "POST /v1/a?ignored=1", &[], b"{\"n\":1.50}").await.data();
    assert_eq!(data["body"].to_string(), r#"{"n":1.50}"#);
    for line in ["GET /v1/a?help=1", "POST /v1/a?help=true", "HELP /v1/a"] {
        assert_eq!(send(server.address, line, &[], b"").await.data()["help"], true, "{line}");
    }
}

#[tokio::test]
async fn headers_say_who_and_where() {
    let server = start(Limits::default());
    for (headers, token) in [
        (&["X-Vault-Token: hvs.a"][..], Some("hvs.a")),
        (&["Authorization: bearer hvs.b"], Some("hvs.b")),
        (&["Authorization: Bearer hvs.b", "X-Vault-Token: hvs.a"], Some("hvs.a")),
        (&["Authorization: Basic aHZz"], None),
        (&["X-Vault-Token:"], None),
        (&[], None),
    ] {
        let data = send(server.address, "GET /v1/a", headers, b"").await.data();
        assert_eq!(data["token"].as_str(), token, "{headers:?}");
        assert!(!data["headers"].to_string().contains("hvs."), "the token is among the headers: {data}");
    }
    let headers =
        ["X-Vault-Namespace: /team/a/", "X-Vault-Wrap-TTL: 1m30s", "X-Vault-Request: true", "X-Two: 1", "X-Two: 2"];
    let data = send(server.address, "GET /v1/a", &headers, b"").await.data();
    assert_eq!((data["namespace"].as_str(), data["wrap_ttl"].as_u64()), (Some("team/a"), Some(90)));
    let kept = data["headers"].to_string();
    assert!(kept.contains("\"x-two: 1\"") && kept.contains("\"x-two: 2\""), "{kept}");
    assert_eq!(data["address"].as_str(), Some("127.0.0.1"));
    for bad in
        ["X-Vault-Wrap-TTL: soon", "X-Vault-Wrap-TTL: -5", "X-Vault-Namespace: a/../b", "X-Vault-Namespace: a//b"]
    {
        assert_eq!(send(server.address, "GET /v1/a", &[bad], b"").await.status, 400, "{bad}");
    }
    assert_eq!(
        send(server.address, "GET /v1/a", &["X-Vault-Wrap-TTL: 0"], b"").await.data()["wrap_ttl"],
        framework::Json::Null
    );
}

#[tokio::test]
async fn bodies_are_objects() {
    let server = start(Limits::default());
    let json = &["Content-Type: application/json"][..];
    let form = &["Content-Type: application/x-www-form-urlencoded"][..];
    for (headers, body, fields) in [
        (json, &b"{\"a\":{\"b\":[1]}}"[..], r#"{"a":{"b":[1]}}"#),
        (json, b"", "{}"),
        (json, b"null", "{}"),
        (&[], b" {} \n", "{}"),
        (form, b"a=1&b=x%20y", r#"{"a":"1","b":"x y"}"#),
        (form, b"{\"a\":1}", r#"{"a":1}"#),
    ] {
        let data = send(server.address, "POST /v1/a", headers, body).await.data();
        assert_eq!(data["body"].to_string(), fields, "{headers:?}");
    }
    let deep = [b"{\"a\":".to_vec(), b"[".repeat(100_000)].concat();
    for bad in [&b"{bad"[..], b"[1]", b"\"secret\"", b"5", b"{} {}", b"{\"a\":\"\xff\xfe\"}", b"\0", &deep] {
        let response = send(server.address, "POST /v1/a", json, bad).await;
        assert_eq!(response.status, 400, "{response:?}");
        assert!(
            response.errors().contains("failed to parse JSON input") && !response.errors().contains("secret"),
            "{response:?}"
        );
    }
}

#[tokio::test]
async fn tricks_with_paths_are_400() {
    let server = start(Limits::default());
    for target in ["a/../b", "a/%2e%2e/b", "a//b", "/a", "a%00b", "a%ffb", "a%zz", "a/./b", "a%2f%2e%2e%2fb", "a?x=%zz"]
    {
        let response = send(server.address, &format!("GET /v1/{target}"), &[], b"").await;
        assert_eq!(response.status, 400, "{target}");
    }
    let data = send(server.address, "GET /v1/secret/data/a%2561%2Fb/", &[], b"").await.data();
    assert_eq!(data["path"].as_str(), Some("secret/data/a%61/b/"));
}

#[tokio::test]
async fn every_request_has_an_id_of_its_own() {
    let server = start(Limits::default());
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(send(server.address, "GET /v1/a", &[], b"").await.json()["request_id"].as_str().unwrap().to_owned());
    }
    ids.dedup();
    assert!(ids.len() == 3 && ids.iter().all(|id| id.len() == 36 && id.as_bytes()[14] == b'4'), "{ids:?}");
}
