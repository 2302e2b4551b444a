//! The life of a mount.

use serde_json::json;
use softhsm_tests::{Server, eventually};

pub fn life_of_a_mount(server: &Server) {
    let client = server.client();
    let kv = |version: &str| json!({"type": "kv", "description": "d", "options": {"version": version}, "config": {"max_lease_ttl": "2h"}});
    client.post("sys/mounts/team/kv", kv("2")).is(204);
    let mounts = client.get("sys/mounts").is(200);
    let mount = &mounts["data"]["team/kv/"];
    assert_eq!(
        (&mount["type"], &mount["options"]["version"], &mount["description"]),
        (&json!("kv"), &json!("2"), &json!("d"))
    );
    assert_eq!(mounts["team/kv/"], *mount, "beside the envelope too");
    assert!(mount["accessor"].as_str().unwrap().starts_with("kv_") && mount["uuid"].is_string());
    assert_eq!(
        (&mount["config"]["max_lease_ttl"], &mount["seal_wrap"], &mount["local"]),
        (&json!(7200), &json!(false), &json!(false))
    );
    for default in ["sys/", "cubbyhole/"] {
        assert!(mounts["data"][default].is_object(), "{default}");
    }
    assert_eq!(client.get("sys/auth").is(200)["data"]["token/"]["type"], "token");
    for (path, body) in [
        ("team/kv", kv("2")),
        ("team", kv("2")),
        ("team/kv/below", kv("2")),
        ("sys/x", kv("2")),
        ("three", kv("3")),
        ("odd", json!({"type": "no-such-engine"})),
        ("odd", json!({"type": "kv", "plugin_version": "v1"})),
    ] {
        assert_eq!(client.post(&format!("sys/mounts/{path}"), body).status, 400, "{path}");
    }

    client.post("sys/mounts/team/kv/tune", json!({"default_lease_ttl": "30m", "description": "new"})).is(204);
    let tuned = client.get("sys/mounts/team/kv/tune").is(200)["data"].clone();
    assert_eq!(
        (&tuned["default_lease_ttl"], &tuned["max_lease_ttl"], &tuned["description"]),
        (&json!(1800), &json!(7200), &json!("new"))
    );
    assert_eq!(client.post("sys/mounts/team/kv/tune", json!({"default_lease_ttl": "3h"})).status, 400);

    assert!(client.put("team/kv/data/a", "moved along"));
    let id = client.post("sys/remount", json!({"from": "team/kv", "to": "moved"})).is(200)["migration_id"].clone();
    let status =
        client.get(&format!("sys/remount/status/{}", id.as_str().unwrap())).is(200)["data"]["migration_info"].clone();
    assert_eq!((&status["status"], &status["target_mount"]), (&json!("success"), &json!("moved/")));
    assert_eq!(client.get("moved/data/a").is(200)["data"]["data"]["value"], "moved along");
    assert_eq!(client.get("team/kv/data/a").status, 404);
    assert_eq!(client.post("sys/remount", json!({"from": "team/kv", "to": "x"})).status, 400);

    client.delete("sys/mounts/moved").is(204);
    let gone = client.get("moved/data/a").is(404);
    assert!(gone["errors"].to_string().contains("no handler for route"), "{gone}");
    client.post("sys/mounts/moved", kv("2")).is(204);
    eventually("the new mount answers", || (client.get("moved/data/a").status == 404).then_some(()));
    assert_eq!(client.list("moved/metadata").status, 404, "a new mount knows nothing of the old one");
    assert_eq!(client.delete("sys/mounts/sys").status, 400);
    client.delete("sys/mounts/moved").is(204);
}
