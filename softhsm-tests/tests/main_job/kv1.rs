//! KV version 1.

use serde_json::json;
use softhsm_tests::Server;

pub fn everything(server: &Server) {
    let client = server.client();
    client.post("sys/mounts/one", json!({"type": "kv", "options": {"version": "1"}})).is(204);
    client.post("one/a/b", json!({"user": "u", "n": 1, "deep": {"x": [true, null]}})).is(204);
    let read = client.get("one/a/b").ok();
    assert_eq!(read["data"], json!({"user": "u", "n": 1, "deep": {"x": [true, null]}}));
    assert_eq!(
        (&read["lease_id"], &read["lease_duration"], &read["renewable"]),
        (&json!(""), &json!(2_764_800), &json!(false))
    );
    client.post("one/a/b", json!({"ttl": "90s", "new": "1"})).is(204);
    let read = client.get("one/a/b").ok();
    assert_eq!((&read["lease_duration"], &read["data"]["user"]), (&json!(90), &json!(null)), "a write replaces");
    client.post("one/a/c", json!({"x": "1"})).is(204);
    client.post("one/z", json!({"x": "1"})).is(204);
    assert_eq!(client.list("one/").ok()["data"]["keys"], json!(["a/", "z"]));
    assert_eq!(client.get("one/a?list=true").ok()["data"]["keys"], json!(["b", "c"]));
    assert_eq!(client.list("one/a?after=b&limit=5").ok()["data"]["keys"], json!(["c"]));
    client.delete("one/a/b").is(204);
    assert_eq!(client.get("one/a/b").is(404), json!({"errors": []}));
    client.delete("one/a/b").is(204);
    assert_eq!(client.list("one/nothing").status, 404);
    assert_eq!(client.post("one/empty", json!({})).status, 400);
    assert_eq!(client.patch("one/z", json!({"x": "2"})).status, 405);
}
