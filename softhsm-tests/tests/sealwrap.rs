//! What the seal wraps: the declared list against every record on the disk, and rewraps that are interrupted.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use barrier::{Barrier, Coverage, SealSet, SealWrap, inspect};
use framework::hsm::{Answer, Question};
use framework::{Error, KeyId, Seal as _, Secret, Wrapped};
use serde_json::{Value, json};
use softhsm_tests::{Client, MODULE, PIN, Seal, Server, Setup, eventually};

/// Names the folder of the server whose disk is read.
const AUDITED: &str = "HOLDFAST_AUDITED";

/// The HSM, without any server.
struct Direct(pkcs11_seal::Hsm);

impl framework::Seal for Direct {
    fn key_id(&self) -> KeyId {
        KeyId("holdfast-seal".to_owned())
    }

    fn wrap(&self, _: &Secret, _: &[u8]) -> Result<Wrapped, Error> {
        Err(Error::Unsupported)
    }

    fn unwrap(&self, wrapped: &Wrapped, aad: &[u8]) -> Result<Secret, Error> {
        let Wrapped { key_id, mechanism, blob } = wrapped.clone();
        match self.0.answer(&Question::Unwrap { key_label: key_id.0, mechanism, blob, aad: aad.to_vec() }) {
            Answer::Plain(plain) => Ok(plain),
            other => panic!("{other:?}"),
        }
    }
}

/// Reads the disk of a server that was stopped, by way of the HSM alone, and prints each record's name and who wraps it.
#[test]
#[ignore = "run by `records`, in a process of its own: SoftHSM is told of its token by the environment"]
fn auditor() {
    let folder = PathBuf::from(std::env::var_os(AUDITED).unwrap());
    let pin = Secret::locked(PIN.as_bytes()).unwrap();
    let token = pkcs11_seal::TokenChoice::Label("holdfast".to_owned());
    let hsm = pkcs11_seal::Hsm::open(pkcs11_seal::Config::new(MODULE, token, pin, "holdfast-seal")).unwrap();
    let disk = storage::open(storage::Kind::Redb, Some(&folder.join("data")), Default::default()).unwrap();
    let seal = Arc::new(Direct(hsm));
    let barrier = Barrier::new(SealWrap::new(disk, SealSet::of(Arc::clone(&seal) as Arc<dyn framework::Seal>)));
    let record: Value = serde_json::from_slice(&barrier.seal_records().get("seal").unwrap().unwrap().value).unwrap();
    let root_key: Vec<u8> = serde_json::from_value(record["root_key"].clone()).unwrap();
    let root_key = seal.unwrap(&Wrapped::decode(&root_key).unwrap(), b"holdfast root key").unwrap();
    barrier.open(&root_key).unwrap();
    let mut page = barrier.survey(None).unwrap();
    while let Some(last) = page.last() {
        for found in &page {
            let by = match inspect(&found.record.value.0).unwrap() {
                Coverage::Wrapped { key_ids } => {
                    assert_eq!(key_ids.len(), 1);
                    key_ids[0].0.clone()
                }
                Coverage::Unwrapped => "nobody".to_owned(),
            };
            println!("\nAUDIT {by} {}", found.name.as_ref().unwrap().as_str());
        }
        page = barrier.survey(Some(&last.record.key)).unwrap();
    }
}

/// Every record on the disk of a server that is not running: its name, and whether the seal wraps it.
fn records(server: &Server) -> BTreeMap<String, bool> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["auditor", "--exact", "--ignored", "--nocapture"])
        .env(AUDITED, server.folder.path())
        .envs(server.hsm().environment())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
    let lines = said.lines().filter_map(|line| line.strip_prefix("AUDIT ")?.split_once(' '));
    lines.map(|(by, name)| (name.to_owned(), by == "holdfast-seal")).collect()
}

fn coverage(client: &Client) -> Value {
    client.get("sys/sealwrap/coverage?verify=true").ok()["data"].clone()
}

/// Waits for the rewrap to end; how it went.
fn rewrapped(client: &Client) -> Value {
    eventually("the rewrap ends", || {
        let progress = client.get("sys/sealwrap/rewrap").ok()["data"].clone();
        (progress["is_running"] == false).then_some(progress)
    })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

#[test]
fn the_disk_has_wrapped_what_is_declared_and_nothing_else() {
    let mut server = Server::start(Setup::new(Seal::SoftHsm, "redb"));
    let root = server.client();
    let mut folders = BTreeMap::new();
    for (path, body) in [
        ("mounts/kv2", json!({"type": "kv", "options": {"version": "2"}, "seal_wrap": true})),
        ("mounts/kv1", json!({"type": "kv", "seal_wrap": true})),
        ("mounts/plain", json!({"type": "kv", "options": {"version": "2"}})),
        ("auth/users", json!({"type": "userpass", "seal_wrap": true})),
        ("auth/roles", json!({"type": "approle", "seal_wrap": true})),
        ("auth/open", json!({"type": "userpass"})),
    ] {
        root.post(&format!("sys/{path}"), body).ok();
        let (table, name) = path.split_once('/').unwrap();
        let folder = if table == "auth" { "auth" } else { "logical" };
        let uuid = text(&root.get(&format!("sys/{table}")).ok()["data"][format!("{name}/")]["uuid"]);
        folders.insert(name, format!("{folder}/{uuid}/"));
    }
    for n in 0..3 {
        assert!(root.put(&format!("kv2/data/a/{n}"), "v") && root.put(&format!("plain/data/a/{n}"), "v"));
        root.post(&format!("kv1/a/{n}"), json!({"k": "v"})).ok();
        for users in ["users", "open"] {
            root.post(&format!("auth/{users}/users/u{n}"), json!({"password": "long enough"})).ok();
        }
    }
    for (role, local) in [("r", false), ("l", true)] {
        root.post(&format!("auth/roles/role/{role}"), json!({"local_secret_ids": local})).ok();
        root.post(&format!("auth/roles/role/{role}/secret-id"), json!({})).ok();
    }
    root.post("sys/policies/acl/p", json!({"policy": "path \"kv2/*\" { capabilities = [\"read\"] }"})).ok();
    let accessor = |body: Value| text(&root.post("auth/token/create", body).ok()["auth"]["accessor"]);
    let roots = [
        text(&root.get("auth/token/lookup-self").ok()["data"]["accessor"]),
        accessor(json!({"policies": ["root"], "ttl": "1h"})),
    ];
    accessor(json!({"policies": ["p"]}));
    let put_away = |path: &str| {
        let answer = root.with_header("X-Vault-Wrap-TTL", "1h").get(path).ok();
        text(&answer["wrap_info"]["accessor"])
    };
    let (wrapped_answer, plain_answer) = (put_away("kv2/data/a/1"), put_away("plain/data/a/1"));
    let report = coverage(&root);
    assert_eq!(server.stop(), 0);

    let mut declared = vec!["_/keyring".to_owned(), "core/token-key".to_owned(), "core/recovery-key".to_owned()];
    declared.extend(roots.map(|root| format!("sys/token/id/{root}")));
    declared.push(format!("cubbyhole/{wrapped_answer}/response"));
    for (mount, prefixes) in [
        ("kv2", &["versions/", "metadata/"][..]),
        ("kv1", &[""]),
        ("users", &["user/"]),
        ("roles", &["role/", "secret-id/", "local/secret-id/"]),
    ] {
        declared.extend(prefixes.iter().map(|prefix| format!("{}{prefix}", folders[mount])));
    }
    let records = records(&server);
    assert_eq!(records.get(&format!("cubbyhole/{plain_answer}/response")), Some(&false));
    for prefix in &declared {
        assert!(records.keys().any(|name| name.starts_with(prefix)), "nothing lies at {prefix}");
    }
    let wrong =
        |(name, wrapped): &(&String, &bool)| declared.iter().any(|prefix| name.starts_with(prefix)) != **wrapped;
    assert_eq!(records.iter().filter(wrong).collect::<Vec<_>>(), []);

    // The report's sums are those of the disk, in all and by mount.
    let sum = |rows: &Value, mount: &str, of: &str| -> u64 {
        let rows = rows.as_array().unwrap().iter().filter(|row| mount.is_empty() || row["mount"] == mount);
        rows.map(|row| row[of].as_u64().unwrap()).sum()
    };
    let on_disk = |folder: &str, wrapped: bool| {
        records.iter().filter(|(name, is)| name.starts_with(folder) && **is == wrapped).count() as u64
    };
    let folder_of = |mount: &str| folders[mount].clone();
    for (mount, folder) in [
        ("", String::new()),
        ("kv2/", folder_of("kv2")),
        ("kv1/", folder_of("kv1")),
        ("plain/", folder_of("plain")),
        ("auth/users/", folder_of("users")),
        ("auth/roles/", folder_of("roles")),
        ("cubbyhole/", "cubbyhole/".to_owned()),
    ] {
        let reported = (sum(&report["rows"], mount, "wrapped"), sum(&report["rows"], mount, "unwrapped"));
        assert_eq!(reported, (on_disk(&folder, true), on_disk(&folder, false)), "{mount}: {report}");
    }
    assert_eq!(
        (&report["fully_wrapped"], &report["keys"], &report["root_key"], &report["total"]["unreadable"]),
        (&json!(true), &json!(["holdfast-seal"]), &json!(["holdfast-seal"]), &json!(0))
    );
    assert_eq!(report["total"]["records"], json!(records.len()));
}

#[test]
fn a_rewrap_wraps_what_was_not_goes_on_after_a_kill_and_unwraps_what_need_not_be() {
    let off = "disable_sealwrap = true\n";
    let mut server = Server::start(Setup { extra: off.to_owned(), ..Setup::new(Seal::SoftHsm, "redb") });
    server.mount("kv2", true);
    for n in 0..150 {
        assert!(server.client().put(&format!("kv2/data/s{n}"), &n.to_string()));
    }
    let client = server.client();
    let report = coverage(&client);
    assert_eq!((&report["keys"], &report["total"]["wrapped"]), (&json!([]), &json!(0)), "{report}");
    assert_eq!(server.stop(), 0);
    assert_eq!(records(&server).values().filter(|wrapped| **wrapped).count(), 0, "only the root key is wrapped");

    server.edit_config(off, "");
    server.run();
    server.unseal();
    // Lazily: what is written gets its due form, and nothing else.
    assert!(client.put("kv2/data/s0", "0"));
    let unwrapped = |report: &Value| -> u64 {
        let rows = report["rows"].as_array().unwrap().iter().filter(|row| row["critical"] == true);
        rows.map(|row| row["unwrapped"].as_u64().unwrap()).sum()
    };
    let report = coverage(&client);
    let planned = client.post("sys/sealwrap/rewrap", json!({"dry_run": true})).is(200)["data"].clone();
    assert_eq!(report["fully_wrapped"], false);
    assert_eq!((&planned["to_wrap"], &planned["to_rewrap"]), (&json!(unwrapped(&report)), &json!(0)), "{planned}");
    assert_eq!(coverage(&client)["total"], report["total"], "a dry run does nothing");

    client.post("sys/sealwrap/rewrap", json!({"throttle": 100})).is(204);
    client.post("sys/sealwrap/rewrap", json!({})).is(200);
    let before = eventually("some are done", || {
        let progress = client.get("sys/sealwrap/rewrap").ok()["data"].clone();
        (progress["entries"]["processed"].as_u64() > Some(0)).then_some(progress)
    });
    server.kill();
    server.run();
    server.unseal();
    let after = client.get("sys/sealwrap/rewrap").ok()["data"].clone();
    assert_eq!((&before["is_running"], &after["started"]), (&json!(true), &before["started"]), "{before} {after}");
    assert!(after["entries"]["processed"].as_u64() >= before["entries"]["processed"].as_u64(), "{before} {after}");
    client.post("sys/sealwrap/rewrap", json!({"throttle": 0})).is(200);
    let done = rewrapped(&client)["entries"].clone();
    assert!(done["failed"] == 0 && done["processed"].as_u64() >= done["total"].as_u64(), "{done}");
    let report = coverage(&client);
    assert_eq!((&report["fully_wrapped"], unwrapped(&report)), (&json!(true), 0), "{report}");

    client.post("sys/mounts/kv2/tune", json!({"seal_wrap": false})).is(204);
    assert_eq!(client.get("sys/mounts/kv2").ok()["data"]["seal_wrap"], false);
    client.post("sys/sealwrap/rewrap", json!({})).is(204);
    rewrapped(&client);
    for n in 0..150 {
        assert_eq!(client.get(&format!("kv2/data/s{n}")).ok()["data"]["data"]["value"], n.to_string());
    }
    assert_eq!(server.stop(), 0);
    let wrapped = records(&server).into_iter().filter(|(name, wrapped)| *wrapped && name.starts_with("logical/"));
    assert_eq!(wrapped.count(), 0);
}
