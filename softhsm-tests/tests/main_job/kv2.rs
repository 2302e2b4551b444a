//! KV version 2, mounted at `secret/`.

use serde_json::{Value, json};
use softhsm_tests::{Client, Server, eventually};

fn write(client: &Client, path: &str, value: Value) -> Value {
    client.post(&format!("secret/data/{path}"), json!({"data": value})).is(200)["data"].clone()
}

fn read(client: &Client, path: &str) -> Value {
    client.get(&format!("secret/data/{path}")).is(200)["data"]["data"].clone()
}

pub fn versions(server: &Server) {
    let client = server.client();
    let first = write(&client, "v", json!({"n": 1, "text": "ä\u{0}\"", "deep": {"list": [1, 2.5, null]}}));
    assert_eq!(
        (&first["version"], &first["deletion_time"], &first["destroyed"]),
        (&json!(1), &json!(""), &json!(false))
    );
    assert!(first["created_time"].as_str().unwrap().ends_with('Z') && first["custom_metadata"].is_null());
    assert_eq!(write(&client, "v", json!({"n": 2}))["version"], 2);
    let answer = client.get("secret/data/v?version=1").is(200);
    assert_eq!(answer["data"]["data"], json!({"n": 1, "text": "ä\u{0}\"", "deep": {"list": [1, 2.5, null]}}));
    assert_eq!(answer["data"]["metadata"], first);
    assert_eq!((&answer["mount_type"], &answer["lease_duration"]), (&json!("kv"), &json!(0)));
    assert_eq!(read(&client, "v"), json!({"n": 2}));
    assert_eq!(client.get("secret/data/v?version=3").is(404), json!({"errors": []}));
    assert_eq!(client.get("secret/data/nothing").is(404), json!({"errors": []}));
    for bad in [json!({"data": "text"}), json!({}), json!({"data": {"x": 1}, "options": {"cas": "x"}})] {
        assert_eq!(client.post("secret/data/v", bad).status, 400);
    }
    // A client that takes the mount for one of version 1 is told so.
    let lost = client.get("secret/v").is(404);
    assert!(
        lost["warnings"][0].as_str().unwrap().starts_with("Invalid path for a versioned K/V secrets engine."),
        "{lost}"
    );
}

pub fn check_and_set(server: &Server) {
    let client = server.client();
    let cas = |n: u64| client.post("secret/data/cas", json!({"data": {"n": n}, "options": {"cas": n}}));
    assert_eq!(cas(1).status, 400);
    assert_eq!(cas(0).is(200)["data"]["version"], 1);
    let refused = cas(0);
    assert!(
        refused.status == 400 && refused.errors().contains("check-and-set parameter did not match the current version")
    );
    assert_eq!(cas(1).status, 200);
    client.post("secret/metadata/cas", json!({"cas_required": true})).is(204);
    let refused = client.post("secret/data/cas", json!({"data": {"n": 9}}));
    assert!(refused.errors().contains("check-and-set parameter required for this call"), "{}", refused.json);
    assert_eq!(read(&client, "cas"), json!({"n": 1}));

    // Of many who want to write the same version, one does.
    write(&client, "race", json!({"n": 0}));
    let won = std::thread::scope(|scope| {
        let race = |n: u64| {
            let client = client.clone();
            move || client.post("secret/data/race", json!({"data": {"n": n}, "options": {"cas": 1}})).status == 200
        };
        let racers: Vec<_> = (0..8).map(|n| scope.spawn(race(n))).collect();
        racers.into_iter().filter(|_| true).map(|racer| racer.join().unwrap()).filter(|won| *won).count()
    });
    assert_eq!(won, 1);
}

pub fn patch_and_subkeys(server: &Server) {
    let client = server.client();
    write(&client, "p", json!({"keep": "1", "drop": "2", "deep": {"a": "1", "b": {"c": "2"}}}));
    let patch = json!({"data": {"drop": null, "new": "3", "deep": {"a": "9"}}, "options": {"cas": 1}});
    assert_eq!(client.patch("secret/data/p", patch).is(200)["data"]["version"], 2);
    assert_eq!(read(&client, "p"), json!({"keep": "1", "new": "3", "deep": {"a": "9", "b": {"c": "2"}}}));
    assert_eq!(client.patch("secret/data/p", json!({"data": {}, "options": {"cas": 1}})).status, 400);
    assert_eq!(client.patch("secret/data/nothing", json!({"data": {"a": "1"}})).status, 404);
    let subkeys = client.get("secret/subkeys/p").is(200)["data"].clone();
    assert_eq!(subkeys["subkeys"], json!({"keep": null, "new": null, "deep": {"a": null, "b": {"c": null}}}));
    assert_eq!(subkeys["metadata"]["version"], 2);
    assert_eq!(client.get("secret/subkeys/p?depth=1").is(200)["data"]["subkeys"]["deep"], json!(null));
    assert_eq!(client.get("secret/subkeys/p?version=1").is(200)["data"]["subkeys"]["drop"], json!(null));
}

pub fn delete_undelete_destroy(server: &Server) {
    let client = server.client();
    for n in 1..=4 {
        write(&client, "d", json!({"n": n}));
    }
    client.delete("secret/data/d").is(204);
    let gone = client.get("secret/data/d").is(404);
    assert!(gone["data"]["data"].is_null() && gone["data"]["metadata"]["version"] == 4, "{gone}");
    assert!(!gone["data"]["metadata"]["deletion_time"].as_str().unwrap().is_empty());
    client.post("secret/delete/d", json!({"versions": [1, "2"]})).is(204);
    assert_eq!(client.get("secret/data/d?version=1").status, 404);
    assert_eq!(client.get("secret/data/d?version=3").is(200)["data"]["data"], json!({"n": 3}));
    client.post("secret/undelete/d", json!({"versions": [1, 4]})).is(204);
    assert_eq!(read(&client, "d"), json!({"n": 4}));
    client.call("PUT", "secret/destroy/d", Some(&json!({"versions": [1]}))).is(204);
    client.post("secret/undelete/d", json!({"versions": [1]})).is(204);
    let destroyed = client.get("secret/data/d?version=1").is(404);
    assert_eq!(destroyed["data"]["metadata"]["destroyed"], true);
    assert_eq!(client.post("secret/delete/d", json!({})).status, 400);
    client.delete("secret/metadata/d").is(204);
    assert_eq!(client.get("secret/metadata/d").status, 404);
    assert_eq!(write(&client, "d", json!({}))["version"], 1, "removed with its history");
}

pub fn metadata(server: &Server) {
    let client = server.client();
    client
        .post("secret/metadata/m", json!({"max_versions": 3, "custom_metadata": {"owner": "a", "team": "b"}}))
        .is(204);
    write(&client, "m", json!({"x": 1}));
    let found = client.get("secret/metadata/m").is(200)["data"].clone();
    assert_eq!((&found["current_version"], &found["max_versions"]), (&json!(1), &json!(3)));
    assert_eq!(found["custom_metadata"], json!({"owner": "a", "team": "b"}));
    assert_eq!(found["versions"].as_object().unwrap().keys().collect::<Vec<_>>(), ["1"]);
    client.patch("secret/metadata/m", json!({"custom_metadata": {"team": null, "more": "c"}})).is(204);
    let found = client.get("secret/metadata/m").is(200)["data"].clone();
    assert_eq!((&found["custom_metadata"], &found["max_versions"]), (&json!({"owner": "a", "more": "c"}), &json!(3)));
    assert_eq!(client.get("secret/data/m").is(200)["data"]["metadata"]["custom_metadata"]["more"], "c");
    assert_eq!(client.post("secret/metadata/m", json!({"custom_metadata": {"k": "v".repeat(513)}})).status, 400);
    assert_eq!(client.patch("secret/metadata/nothing", json!({"max_versions": 1})).status, 404);
}

pub fn limits_of_versions(server: &Server) {
    let client = server.client();
    client.post("secret/metadata/few", json!({"max_versions": 2})).is(204);
    for n in 1..=4 {
        write(&client, "few", json!({"n": n}));
    }
    let found = client.get("secret/metadata/few").is(200)["data"].clone();
    assert_eq!((&found["oldest_version"], &found["current_version"]), (&json!(3), &json!(4)));
    assert_eq!(client.get("secret/data/few?version=2").status, 404);

    client.post("secret/metadata/brief", json!({"delete_version_after": "1s"})).is(204);
    let written = write(&client, "brief", json!({"x": 1}));
    assert!(!written["deletion_time"].as_str().unwrap().is_empty());
    assert_eq!(read(&client, "brief"), json!({"x": 1}));
    eventually("the version expires", || (client.get("secret/data/brief").status == 404).then_some(()));

    client.post("secret/config", json!({"max_versions": 1, "delete_version_after": "30m"})).is(204);
    let config = client.get("secret/config").is(200)["data"].clone();
    assert_eq!((&config["max_versions"], &config["delete_version_after"]), (&json!(1), &json!("30m0s")));
    assert_eq!(config["cas_required"], false);
    write(&client, "by-config", json!({"n": 1}));
    let second = write(&client, "by-config", json!({"n": 2}));
    assert!(!second["deletion_time"].as_str().unwrap().is_empty());
    assert_eq!(client.get("secret/data/by-config?version=1").status, 404);
    client.post("secret/config", json!({"max_versions": 0, "delete_version_after": "0s"})).is(204);
}

pub fn listing(server: &Server) {
    let client = server.client();
    for name in ["b", "a", "dir/x", "dir/y/z", "dir-z"] {
        write(&client, &format!("list/{name}"), json!({"x": 1}));
    }
    let keys = |path: &str| client.list(path).is(200)["data"]["keys"].clone();
    assert_eq!(keys("secret/metadata/list"), json!(["a", "b", "dir-z", "dir/"]));
    assert_eq!(keys("secret/metadata/list/dir/"), json!(["x", "y/"]));
    assert_eq!(
        client.get("secret/metadata/list?list=true").is(200)["data"]["keys"],
        json!(["a", "b", "dir-z", "dir/"])
    );
    let (mut after, mut paged) = (String::new(), Vec::new());
    loop {
        let page = client.list(&format!("secret/metadata/list?limit=3&after={after}"));
        if page.status == 404 {
            break;
        }
        let page: Vec<String> = serde_json::from_value(page.is(200)["data"]["keys"].clone()).unwrap();
        assert!(page.len() <= 3);
        after.clone_from(page.last().unwrap());
        paged.extend(page);
    }
    assert_eq!(paged, ["a", "b", "dir-z", "dir/"]);
    assert_eq!(client.list("secret/metadata/list/a").status, 404);
    let detailed = client.list("secret/detailed-metadata/list").is(200)["data"].clone();
    assert_eq!(detailed["keys"].as_array().unwrap().len(), 4);
    assert_eq!(detailed["key_info"]["a"]["current_version"], 1);
    assert!(detailed["key_info"]["dir/"].is_null());
}
