//! The audit log.

use serde_json::{Value, json};
use softhsm_tests::Server;

fn log(server: &Server) -> Vec<Value> {
    let text = std::fs::read_to_string(server.audit_log()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The HMAC that the log shows for a text.
fn hash(server: &Server, input: &str) -> Value {
    let hash = server.client().post("sys/audit-hash/main", json!({"input": input})).is(200)["hash"].clone();
    assert!(hash.as_str().unwrap().starts_with("hmac-sha256:"));
    hash
}

/// Two lines for every request, refused ones included, and no value in clear.
pub fn lines(server: &Server) {
    let client = server.client();
    client.post("secret/data/audited", json!({"data": {"password": "Pa55-in-the-clear"}})).is(200);
    client.with_token("hvs.Refused-and-recorded").get("secret/data/audited").is(403);
    client.get("nowhere/at/all").is(404);

    let all = lines_of(server, "secret/data/audited");
    let [request, response, refused_request, refused_response] = all.as_slice() else { panic!("{all:#?}") };
    assert_eq!((&request["type"], &response["type"]), (&json!("request"), &json!("response")));
    assert_eq!(request["request"]["id"], response["request"]["id"]);
    assert_eq!((&request["request"]["operation"], &request["request"]["mount_type"]), (&json!("create"), &json!("kv")));
    assert_eq!(request["request"]["remote_address"], "127.0.0.1");
    assert_eq!(request["request"]["data"]["data"]["password"], hash(server, "Pa55-in-the-clear"));
    assert_eq!(request["auth"]["client_token"], hash(server, &client.token));
    assert_eq!((&request["auth"]["policies"], &request["auth"]["display_name"]), (&json!(["root"]), &json!("root")));
    assert!(response["response"]["data"]["created_time"].is_string());
    assert_eq!((&refused_request["type"], &refused_response["type"]), (&json!("request"), &json!("response")));
    assert!(refused_request["error"].as_str().unwrap().contains("permission denied"), "{refused_request}");
    assert_eq!(lines_of(server, "nowhere/at/all").len(), 2);

    let text = std::fs::read_to_string(server.audit_log()).unwrap();
    for clear in ["Pa55-in-the-clear", &client.token, "hvs.Refused-and-recorded"] {
        assert!(!text.contains(clear), "{clear} is in the audit log");
    }
    // Every request since the first has its answer.
    let of = |kind: &str| log(server).iter().filter(|line| line["type"] == kind).count();
    assert_eq!(of("request"), of("response"));
}

fn lines_of(server: &Server, path: &str) -> Vec<Value> {
    log(server).into_iter().filter(|line| line["request"]["path"] == path).collect()
}

pub fn devices(server: &Server) {
    let client = server.client();
    let second = server.audit_log().with_file_name("second.log");
    let enable = |path: &str, options: Value| {
        client.post(&format!("sys/audit/{path}"), json!({"type": "file", "options": options}))
    };
    enable("second", json!({"file_path": second, "log_raw": "true"})).is(204);
    let devices = client.get("sys/audit").is(200)["data"].clone();
    assert_eq!((&devices["second/"]["type"], &devices["second/"]["path"]), (&json!("file"), &json!("second/")));
    assert!(devices["main/"].is_object());
    client.post("one/raw", json!({"value": "shown-in-raw"})).is(204);
    assert!(std::fs::read_to_string(&second).unwrap().contains("shown-in-raw"));
    client.delete("sys/audit/second").is(204);
    let before = std::fs::metadata(&second).unwrap().len();
    client.get("one/raw").is(200);
    assert_eq!(std::fs::metadata(&second).unwrap().len(), before);
    assert_eq!(client.delete("sys/audit/main").status, 400, "a declared device stays");
    for (path, options) in [
        ("second", json!({"file_path": "/nowhere/that/may/be/written/audit.log"})),
        ("second", json!({"colour": "red"})),
        ("main", json!({"file_path": second})),
    ] {
        assert_eq!(enable(path, options.clone()).status, 400, "{path} {options}");
    }
    assert_eq!(client.post("sys/audit/x", json!({"type": "carrier-pigeon"})).status, 400);
}

pub fn request_headers(server: &Server) {
    let client = server.client();
    let headers = "sys/config/auditing/request-headers";
    client.post(&format!("{headers}/X-Clear"), json!({})).is(204);
    client.post(&format!("{headers}/X-Hidden"), json!({"hmac": true})).is(204);
    for bad in ["X-Vault-Token", "authorization", "X%20Y", "X%0AY", "%C3%A9"] {
        client.post(&format!("{headers}/{bad}"), json!({})).is(400);
    }
    let wanted = json!({"x-clear": {"hmac": false}, "x-hidden": {"hmac": true}});
    assert_eq!(client.get(headers).is(200)["data"]["headers"], wanted);

    let created = client.post("auth/token/create", json!({"policies": ["root"], "num_uses": 3})).is(200);
    let token = created["auth"]["client_token"].as_str().unwrap();
    let limited = client.with_token(token).with_header("X-Clear", "seen").with_header("X-Hidden", "unseen");
    limited.with_header("X-Other", "never").get("secret/data/with-headers").is(404);
    client.delete(&format!("{headers}/x-clear")).is(204);
    limited.get("secret/data/with-headers").is(404);

    let lines = lines_of(server, "secret/data/with-headers");
    let hidden = hash(server, "unseen");
    for (line, seen, left) in
        [(0, json!(["seen"]), 3), (1, json!(["seen"]), 3), (2, Value::Null, 2), (3, Value::Null, 2)]
    {
        let recorded = &lines[line]["request"]["headers"];
        assert_eq!((&recorded["x-clear"], &recorded["x-hidden"]), (&seen, &json!([hidden])), "line {line}");
        assert_eq!((&recorded["x-other"], &lines[line]["auth"]["remaining_uses"]), (&Value::Null, &json!(left)));
    }
    client.delete(&format!("{headers}/x-hidden")).is(204);
}
