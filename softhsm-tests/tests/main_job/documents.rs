//! What the server says of its own API.

use serde_json::json;
use softhsm_tests::Server;

/// Every route has a schema of its answer, and of its body where it takes one; what is streamed is bytes.
pub fn openapi(server: &Server) {
    let document = server.client().get("sys/internal/specs/openapi").is(200);
    assert_eq!(document["openapi"], "3.0.2");
    let paths = document["paths"].as_object().unwrap();
    for wanted in ["/secret/data/{path}", "/sys/mounts", "/sys/seal-status", "/auth/token/create", "/cubbyhole/{path}"]
    {
        assert!(paths.contains_key(wanted), "{wanted} is not among {:?}", paths.keys());
    }
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            let content = operation["responses"]["200"]["content"].as_object().unwrap();
            let (media_type, answer) = content.iter().next().unwrap();
            let expected = if media_type == "application/json" { "object" } else { "string" };
            assert_eq!(answer["schema"]["type"], expected, "{method} {path}");
        }
    }
    let data = &document["paths"]["/secret/data/{path}"];
    let body = &data["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"];
    assert!(body["data"]["description"].is_string() && body["options"]["type"] == "object", "{body}");
    let answer =
        &data["get"]["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["data"]["properties"];
    assert!(answer["metadata"].is_object(), "{answer}");
    assert_eq!(document["paths"]["/sys/seal"]["post"]["x-vault-sudo"], true);
    assert_eq!(document["paths"]["/sys/health"]["get"]["x-vault-unauthenticated"], true);

    let specs = "sys/internal/specs/openapi";
    let generic = server.client().get(&format!("{specs}?generic_mount_paths=true")).is(200);
    let read = &generic["paths"]["/{secret_mount_path}/data/{path}"]["get"];
    assert!(read["parameters"].to_string().contains("secret_mount_path"), "{read}");
    assert!(generic["paths"].get("/sys/mounts").is_some());
    let named = server.client().post(specs, json!({"context": "x"})).is(200);
    assert_eq!(named["paths"]["/sys/mounts"]["get"]["operationId"], "get-sys-mounts-x");
    // Nobody is told of nothing, and a token of nobody's is refused.
    assert_eq!(server.client().with_token("").get(specs).is(200)["paths"], json!({}));
    assert_eq!(server.client().with_token("hvs.x").get(specs).status, 403);
}

pub fn help_and_the_ui(server: &Server) {
    let client = server.client();
    let help = client.get("secret/data/x?help=1").is(200)["data"]["help"].to_string();
    assert!(help.contains("cas") && help.contains("data/{path*}"), "{help}");
    assert_eq!(client.with_token("hvs.x").get("secret/data/x?help=1").status, 403);
    let all = client.get("sys/internal/ui/mounts").is(200)["data"].clone();
    assert_eq!((&all["secret"]["secret/"]["type"], &all["auth"]["token/"]["type"]), (&json!("kv"), &json!("token")));
    let one = client.get("sys/internal/ui/mounts/secret/some/where").is(200)["data"].clone();
    assert_eq!((&one["path"], &one["options"]["version"]), (&json!("secret/"), &json!("2")));
    assert_eq!(client.get("sys/internal/ui/mounts/nothing/here").status, 403);
    // Without a token nothing of the mounts is shown.
    let nobody = client.with_token("").get("sys/internal/ui/mounts").is(200)["data"]["secret"].clone();
    assert!(nobody.as_object().is_none_or(serde_json::Map::is_empty), "{nobody}");
    client.post("sys/mounts/secret/tune", json!({"listing_visibility": "unauth"})).is(204);
    let nobody = client.with_token("").get("sys/internal/ui/mounts").is(200)["data"]["secret"].clone();
    assert_eq!(nobody, json!({"secret/": {"type": "kv", "description": "", "options": {"version": "2"}}}));
    client.post("sys/mounts/secret/tune", json!({"listing_visibility": "hidden"})).is(204);
    assert_eq!(client.with_token("hvs.x").get("sys/internal/ui/mounts").status, 403);
    assert_eq!(client.get("sys/internal/ui/mounts/auth/token").is(200)["data"]["path"], "token/");
    assert_eq!(client.get("sys/internal/ui/namespaces").is(200)["data"], json!({}));
    assert_eq!(client.get("sys/key-status").is(200)["data"]["term"], 1);
}
