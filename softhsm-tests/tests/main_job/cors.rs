//! Web pages of other origins.

use serde_json::json;
use softhsm_tests::Server;

pub fn origins(server: &Server) {
    let client = server.client();
    let page = |origin: &str| client.with_header("Origin", origin);
    page("https://other.example").get("sys/mounts").is(200);
    for (body, sentence) in [
        (json!({}), "at least one origin"),
        (json!({"allowed_origins": ["*", "https://ui.example"]}), "the only value"),
        (json!({"allowed_origins": "https://ui.example\r\nX: y"}), "printable ASCII"),
        (json!({"allowed_origins": "https://ui.example", "allowed_headers": "X Y"}), "printable ASCII"),
        (json!({"allowed_origins": "https://ui.example", "enable": false}), "DELETE"),
    ] {
        let answer = client.post("sys/config/cors", body);
        assert!(answer.status == 400 && answer.errors().contains(sentence), "{}", answer.json);
    }
    client.post("sys/config/cors", json!({"allowed_origins": "https://ui.example"})).is(204);
    page("https://ui.example").get("sys/mounts").is(200);
    client.get("sys/mounts").is(200);
    for path in ["sys/mounts", "sys/health", "nowhere"] {
        let refused = page("https://other.example").get(path);
        assert!(refused.status == 403 && refused.errors().contains("origin not allowed"), "{path}: {}", refused.json);
    }
    let shown = client.get("sys/config/cors").is(200)["data"].clone();
    assert_eq!((&shown["enabled"], &shown["allowed_origins"]), (&json!(true), &json!(["https://ui.example"])));
    client.delete("sys/config/cors").is(204);
    page("https://other.example").get("sys/mounts").is(200);
    assert_eq!(client.get("sys/config/cors").is(200)["data"], json!({"enabled": false}));
}
