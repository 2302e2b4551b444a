//! Snapshots of a running server: taken, checked, restored and refused, as an operator does it by the command line.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use softhsm_tests::{Client, Seal, Server, Setup, eventually, long};

/// Stands in every secret, path and policy of these tests.
const MARK: &str = "unmistakable";

/// Runs a client command with the root token.
fn run(server: &Server, line: &str) -> (i32, String) {
    let words: Vec<&str> = line.split(' ').collect();
    let output = server.command(&words).env("VAULT_TOKEN", &server.root_token).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.code().unwrap_or(-1), said)
}

#[track_caller]
fn ok(server: &Server, line: &str) -> String {
    let (code, said) = run(server, line);
    assert_eq!(code, 0, "{line}: {said}");
    said
}

#[track_caller]
fn refused(server: &Server, line: &str, why: &str) {
    let (code, said) = run(server, line);
    assert!(code == 2 && said.contains(why), "{line}: {code}, {why:?} is not in {said}");
}

fn secret(server: &Server) -> Value {
    server.client().get(&format!("{MARK}/data/{MARK}")).ok()["data"]["data"]["number"].clone()
}

fn write(server: &Server, number: u64) {
    let body = json!({"data": {"number": number, "value": format!("{MARK} value")}});
    server.client().post(&format!("{MARK}/data/{MARK}"), body).ok();
}

/// A server with a secret, and a snapshot of it, after which the secret has changed.
fn with_snapshot(seal: Seal, storage: &'static str) -> (Server, PathBuf) {
    let server = Server::start(Setup::new(seal, storage));
    server.mount(MARK, true);
    let policy = json!({"policy": format!("path \"{MARK}/*\" {{ capabilities = [\"read\"] }}")});
    server.client().post(&format!("sys/policies/acl/{MARK}"), policy).ok();
    for other in 0..50 {
        let path = format!("{MARK}/data/{other}/{MARK}");
        server.client().post(&path, json!({"data": {"x": format!("{MARK}{other}")}})).ok();
    }
    write(&server, 1);
    let file = server.folder.path().join("one.snap");
    ok(&server, &format!("operator raft snapshot save {}", file.display()));
    write(&server, 2);
    server.mount("later", false);
    (server, file)
}

/// Waits for the server that starts anew after a restore.
fn comes_back(server: &Server) {
    // Sealed is what it is on the way, whatever it was; with an HSM it may be over before anybody looks.
    let log = || server.server_log().matches("the server starts anew").count();
    eventually("the server starts anew", || (log() > 0).then_some(()));
    eventually("the server answers", || server.client().try_call("GET", "sys/seal-status", None));
    if server.setup.seal == Seal::Shamir {
        assert_eq!(server.status()["sealed"], true);
    }
    server.unseal();
}

#[test]
fn what_was_saved_comes_back_and_what_came_later_is_gone() {
    for (seal, storage) in [(Seal::SoftHsm, "sled"), (Seal::Shamir, "redb")] {
        let (mut server, file) = with_snapshot(seal, storage);
        let later = server.client().post("auth/token/create", json!({})).ok()["auth"]["client_token"].clone();
        let restored = ok(&server, &format!("operator snapshot restore {}", file.display()));
        assert_eq!(restored, "");
        // What is acknowledged from now on must not be lost with the old data.
        let body = json!({"data": {"number": 9}});
        let answer = server.client().try_call("POST", &format!("{MARK}/data/{MARK}"), Some(&body));
        comes_back(&server);
        assert_eq!(secret(&server), if answer.is_some_and(|answer| answer.status == 200) { 9 } else { 1 });
        assert_eq!(server.client().get("later/config").status, 404);
        let later = server.client().with_token(later.as_str().unwrap());
        assert_eq!(later.get("auth/token/lookup-self").status, 403);
        assert!(server.data().join("replaced/journal").is_dir() && !server.data().join("incoming").exists());
        // It goes on from there, through another start too.
        write(&server, 3);
        assert_eq!(server.stop(), 0);
        server.run();
        server.unseal();
        assert_eq!(secret(&server), 3);
        let audit = std::fs::read_to_string(server.audit_log()).unwrap();
        assert!(audit.matches("sys/storage/raft/snapshot").count() >= 4, "request and response of both");
    }
}

#[test]
fn a_file_says_what_it_is_and_no_secret() {
    let (server, file) = with_snapshot(Seal::SoftHsm, "redb");
    let shown = ok(&server, &format!("operator snapshot inspect -format=json {}", file.display()));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert!(shown["records"].as_u64() > Some(50) && shown["version"] == 1, "{shown}");
    // gzip, tar and sha256sum take it as it is.
    let folder = server.folder.path().join("unpacked");
    std::fs::create_dir(&folder).unwrap();
    let tool = |name: &str, arguments: &[&str]| {
        let run = Command::new(name).args(arguments).current_dir(&folder).output().unwrap();
        assert!(run.status.success(), "{name}: {}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8_lossy(&run.stdout).into_owned()
    };
    tool("tar", &["xzf", file.to_str().unwrap()]);
    assert_eq!(tool("sha256sum", &["-c", "--strict", "SHA256SUMS"]).matches(": OK").count(), 3);
    for name in ["meta.json", "state.bin", "journal.bin", "SHA256SUMS", "SHA256SUMS.sealed"] {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let token = server.root_token.as_str();
        for word in [MARK, "later", "secret", "capabilities", token, &token[4..]] {
            assert!(!bytes.windows(word.len()).any(|found| found == word.as_bytes()), "{word:?} stands in {name}");
        }
    }
}

#[test]
fn what_this_seal_does_not_open_is_refused_unless_forced() {
    let (mut ours, file) = with_snapshot(Seal::Shamir, "redb");
    let (theirs, foreign) = with_snapshot(Seal::Shamir, "redb");
    let other_seal = with_snapshot(Seal::SoftHsm, "redb");
    let restore = |file: &Path, force: &str| format!("operator snapshot restore {force}{}", file.display());
    refused(&ours, &restore(&foreign, ""), "possibly the snapshot is using a different set of unseal keys");
    refused(&ours, &restore(&other_seal.1, ""), "the snapshot is under a pkcs11 seal");
    refused(&ours, &restore(&other_seal.1, "-force "), "the snapshot is under a pkcs11 seal");
    // The sums may be made right for altered files, but not vouched for.
    let altered = altered(&ours, &file);
    refused(&ours, &restore(&altered, ""), "the snapshot was altered");
    let mut cut = std::fs::read(&file).unwrap();
    cut.truncate(cut.len() / 2);
    let half = ours.folder.path().join("half.snap");
    std::fs::write(&half, cut).unwrap();
    refused(&ours, &restore(&half, ""), "cut short");
    refused(&ours, &restore(&half, "-force "), "cut short");
    let reader = ours.client().post("auth/token/create", json!({"policies": ["default"]})).ok();
    let root = std::mem::replace(&mut ours.root_token, reader["auth"]["client_token"].as_str().unwrap().to_owned());
    refused(&ours, &restore(&file, ""), "permission denied");
    refused(&ours, &format!("operator snapshot save {}", half.display()), "permission denied");
    ours.root_token = root;
    assert_eq!(secret(&ours), 2, "nothing was changed");

    ok(&ours, &restore(&foreign, "-force "));
    ours.shares = theirs.shares.clone();
    ours.root_token = theirs.root_token.clone();
    comes_back(&ours);
    assert_eq!(secret(&ours), 1);
    ours.client().post("sys/seal", json!({})).ok();
    refused(&ours, &format!("operator snapshot save {}", half.display()), "Vault is sealed");
}

/// The snapshot with another time in it, and sums that are right for that.
fn altered(server: &Server, file: &Path) -> PathBuf {
    let altered = server.folder.path().join("altered.snap");
    let script = "set -e; d=$(mktemp -d); cd $d; tar xzf $0; sed -i 's/\"Created\":\"..../\"Created\":\"2001/' meta.json; \
                  sha256sum meta.json state.bin journal.bin > SHA256SUMS; \
                  tar czf $1 --format=ustar meta.json state.bin journal.bin SHA256SUMS SHA256SUMS.sealed; rm -r $d";
    let status = Command::new("sh").args(["-c", script]).args([file, &altered]).status().unwrap();
    assert!(status.success());
    altered
}

#[test]
fn offline_it_makes_a_new_machine_out_of_nothing() {
    let (mut server, file) = with_snapshot(Seal::SoftHsm, "sled");
    let restore = format!("operator snapshot restore {} {}", server.config_flag(), file.display());
    let (code, said) = run(&server, &restore);
    assert!(code == 1 && said.contains("has the data directory"), "{said}");
    server.stop();
    std::fs::remove_dir_all(server.data()).unwrap();
    let said = ok(&server, &restore);
    assert!(said.contains("Success!") && said.contains("holdfast-"), "{said}");
    server.run();
    server.unseal();
    assert_eq!(secret(&server), 1);
}

#[test]
fn the_store_goes_back_to_a_time_and_forward_again() {
    let mut server = Server::prepare(Setup::new(Seal::SoftHsm, "redb"));
    server.edit_config("storage \"redb\" {", "storage \"redb\" { journal_retention = \"1h\" ");
    server.run();
    server.initialise();
    server.mount(MARK, true);
    write(&server, 1);
    let config = server.config_flag();
    let before = ok(&server, "operator key-status -format=json");
    assert!(before.contains("term"), "{before}");
    server.stop();
    let shown = |server: &Server, line: &str| -> Value { serde_json::from_str(&ok(server, line)).unwrap() };
    let status = format!("operator journal status -format=json {config}");
    let then = shown(&server, &status);
    server.run();
    server.unseal();
    write(&server, 2);
    let (code, said) = run(&server, &format!("operator journal replay {config} -at=1"));
    assert!(code == 1 && said.contains("has the data directory"), "{said}");
    server.stop();
    let now = shown(&server, &status);
    assert!(now["last_record"].as_u64() > then["last_record"].as_u64() && now["first_record"] == 0, "{now}");
    let at = then["last_time"].as_str().unwrap();
    let moment = shown(&server, &format!("operator journal replay -format=json {config} -at={at}"));
    assert_eq!((&moment["record"], &moment["time"]), (&then["last_record"], &then["last_time"]));
    for (number, next) in [(1, true), (2, false)] {
        server.run();
        server.unseal();
        assert_eq!(secret(&server), number);
        server.stop();
        if next {
            ok(&server, &format!("operator snapshot undo {config}"));
        }
    }
    let (code, said) = run(&server, &format!("operator journal replay {config} -at=tomorrow"));
    assert!(code == 1 && said.contains("neither the number of a record nor a time"), "{said}");
}

/// kill -9 at any moment of a restore: the next start has the old data or the new.
#[test]
fn a_kill_during_a_restore_leaves_the_old_data_or_the_new() {
    let rounds = if long() { 200 } else { 10 };
    let (mut server, file) = with_snapshot(Seal::SoftHsm, "redb");
    let (mut old, mut new) = (0, 0);
    for round in 0..rounds {
        write(&server, 2);
        let mut restoring = server
            .command(&["operator", "snapshot", "restore", file.to_str().unwrap()])
            .env("VAULT_TOKEN", &server.root_token)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Spread over the time that it takes.
        std::thread::sleep(Duration::from_millis(round * 250 / rounds));
        server.kill();
        let answered = restoring.wait().unwrap().success();
        server.run();
        server.unseal();
        match secret(&server).as_u64() {
            Some(2) if !answered => old += 1,
            Some(1) => new += 1,
            found => panic!("round {round}: {found:?}, answered: {answered}"),
        }
    }
    eprintln!("{old} kills left the old data, {new} the new");
}

/// The unchanged `bao` saves and restores, where there is one.
#[test]
fn the_bao_client_saves_and_restores() {
    let Some(bao) = std::env::var_os("BAO") else { return eprintln!("SKIP: BAO names no bao") };
    let (server, _) = with_snapshot(Seal::SoftHsm, "redb");
    let file = server.folder.path().join("bao.snap");
    let snapshot = |verb: &str| {
        let mut command = Command::new(&bao);
        command.args(["operator", "raft", "snapshot", verb]).arg(&file);
        command.env("BAO_ADDR", server.address()).env("BAO_TOKEN", &server.root_token).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
    };
    snapshot("save");
    write(&server, 3);
    snapshot("restore");
    comes_back(&server);
    assert_eq!(secret(&server), 2);
}

/// A snapshot that its client stops reading, and one that its client stops sending, hold up nobody else.
#[test]
fn a_client_that_stalls_holds_up_nobody() {
    let (server, file) = with_snapshot(Seal::Shamir, "redb");
    let stall = |head: &str, body: &[u8]| {
        let mut stream = std::net::TcpStream::connect(server.socket).unwrap();
        let head = format!("{head} HTTP/1.1\r\nHost: x\r\nX-Vault-Token: {}\r\n", server.root_token);
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        stream
    };
    let snapshot = std::fs::read(&file).unwrap();
    let sending = [b"Content-Length: 10000000\r\n\r\n", &snapshot[..snapshot.len() / 2]].concat();
    let _sends = stall("POST /v1/sys/storage/raft/snapshot", &sending);
    let client: Client = server.client();
    eventually("the other is under way", || (client.get("sys/storage/raft/snapshot").status == 503).then_some(()));
    write(&server, 4);
    assert_eq!(secret(&server), 4);
    drop(_sends);
    let file = server.folder.path().join("after.snap");
    eventually("a snapshot can be taken again", || {
        (run(&server, &format!("operator snapshot save {}", file.display())).0 == 0).then_some(())
    });
    assert!(!server.data().join("incoming").exists());
}
