//! An HSM that is set up wrong: one attempt, a message that says what to do, and no harm done.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;
use softhsm_tests::{MODULE, PIN, Seal, Server, Setup, eventually};

/// An initialised server that was stopped.
fn stopped() -> Server {
    let mut server = Server::start(Setup::new(Seal::SoftHsm, "redb"));
    server.mount("kv", true);
    assert!(server.client().put("kv/data/a", "kept"));
    assert_eq!(server.stop(), 0);
    server
}

/// It starts, stays sealed, and says why.
fn sealed_because(server: &mut Server, words: &[&str]) {
    server.run();
    let said = eventually("it says why", || {
        let status = server.status();
        assert_eq!(status["sealed"], true);
        status["seal_trouble"]
            .as_str()
            .filter(|trouble| words.iter().all(|word| trouble.contains(word)))
            .map(str::to_owned)
    });
    let refused = server.client().get("kv/data/a");
    assert_eq!((refused.status, refused.errors()), (503, r#"["Vault is sealed"]"#.to_owned()), "{said}");
    eventually("the log says so", || words.iter().all(|word| server.server_log().contains(word)).then_some(()));
    assert_eq!(server.stop(), 0);
}

fn unseals_again(mut server: Server) {
    server.run();
    server.unseal();
    assert_eq!(server.client().get("kv/data/a").ok()["data"]["data"]["value"], "kept");
}

fn pin_file(server: &Server) -> PathBuf {
    server.folder.path().join("pin")
}

#[test]
fn a_wrong_pin_is_told_and_the_right_one_works_after_a_restart() {
    let mut server = stopped();
    std::fs::write(pin_file(&server), "wrong-4711").unwrap();
    sealed_because(&mut server, &["CKR_PIN_INCORRECT", "C_Login"]);
    assert!(!server.server_log().contains("wrong-4711"));
    std::fs::write(pin_file(&server), PIN).unwrap();
    unseals_again(server);
}

/// Counted by OpenSC's library between, which writes down every call.
#[test]
fn a_wrong_pin_is_tried_once_however_often_the_hsm_is_asked() {
    let spies = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"];
    let mut spies = spies.iter().map(|folder| format!("{folder}/pkcs11-spy.so"));
    let Some(spy) = spies.find(|path| PathBuf::from(path).exists()) else {
        return eprintln!("SKIP: pkcs11-spy.so of OpenSC is not installed");
    };
    let mut server = Server::prepare(Setup::new(Seal::SoftHsm, "memory"));
    let folder = server.folder.path().join("spy");
    std::fs::create_dir(&folder).unwrap();
    let calls = folder.join("calls");
    let watched = format!("{spy}\"\n  paths = [\"{}\", \"/usr/lib/softhsm\"]", folder.display());
    server.edit_config(&format!("{MODULE}\""), &watched);
    server.environment = vec![("PKCS11SPY".into(), MODULE.into()), ("PKCS11SPY_OUTPUT".into(), calls.clone().into())];
    let init =
        |server: &Server| server.client().post("sys/init", json!({"recovery_shares": 1, "recovery_threshold": 1}));
    let logins = || std::fs::read_to_string(&calls).unwrap().lines().filter(|line| line.contains("C_Login")).count();

    std::fs::write(pin_file(&server), "wrong-4711").unwrap();
    server.run();
    for _ in 0..5 {
        let refused = init(&server);
        assert!(refused.status == 503 && refused.errors().contains("CKR_PIN_INCORRECT"), "{}", refused.json);
    }
    assert_eq!(server.stop(), 0);
    assert_eq!(logins(), 1);

    std::fs::write(pin_file(&server), PIN).unwrap();
    server.run();
    init(&server).ok();
    assert_eq!(logins(), 2, "and the right one works");
}

#[test]
fn a_wrong_library_is_told() {
    let mut server = stopped();
    server.edit_config(MODULE, "/usr/lib/softhsm/no-such-library.so");
    sealed_because(&mut server, &["/usr/lib/softhsm/no-such-library.so"]);
    server.edit_config("/usr/lib/softhsm/no-such-library.so", MODULE);
    unseals_again(server);
}

#[test]
fn a_missing_token_or_key_is_told() {
    let mut server = stopped();
    server.edit_config("token_label = \"holdfast\"", "token_label = \"elsewhere\"");
    sealed_because(&mut server, &["elsewhere"]);
    server.edit_config("token_label = \"elsewhere\"", "token_label = \"holdfast\"");
    let tokens = server.folder.path().join("tokens");
    std::fs::rename(&tokens, server.folder.path().join("old")).unwrap();
    softhsm_tests::SoftHsm::new(server.folder.path());
    sealed_because(&mut server, &["holdfast-seal", "hsm init"]);
    std::fs::remove_dir_all(&tokens).unwrap();
    std::fs::rename(server.folder.path().join("old"), &tokens).unwrap();
    server.edit_config("key_label = \"holdfast-seal\"", "key_label = \"other-seal\"");
    let (code, said) = server.refused();
    assert!(code == 1 && said.contains("needs the seal key \"holdfast-seal\""), "{said}");
    server.edit_config("other-seal", "holdfast-seal");
    unseals_again(server);
}

/// Another key under the same label is not the key that the storage was initialised with.
#[test]
fn another_key_under_the_same_label_is_told() {
    let mut server = stopped();
    let tokens = server.folder.path().join("tokens");
    std::fs::rename(&tokens, server.folder.path().join("old")).unwrap();
    softhsm_tests::SoftHsm::new(server.folder.path());
    let init = server.command(&["hsm", "init", &server.config_flag()]).output().unwrap();
    assert!(init.status.success());
    sealed_because(&mut server, &["seal key changed"]);
    std::fs::remove_dir_all(&tokens).unwrap();
    std::fs::rename(server.folder.path().join("old"), &tokens).unwrap();
    unseals_again(server);
}

#[test]
fn a_second_key_is_neither_made_nor_used() {
    let mut server = stopped();
    let again = server.command(&["hsm", "init", &server.config_flag()]).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("already has a key labelled"), "{again:?}");
    let made = Command::new("pkcs11-tool")
        .env("SOFTHSM2_CONF", server.folder.path().join("softhsm2.conf"))
        .args(["--module", MODULE, "--token-label", "holdfast", "--login", "--pin", PIN])
        .args(["--keygen", "--key-type", "AES:32", "--label", "holdfast-seal", "--id", "4711"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    sealed_because(&mut server, &["holdfast-seal", "2 "]);
}

/// Without its HSM a server is not initialised, and says why; with it, it is.
#[test]
fn init_needs_the_hsm() {
    let mut server = Server::prepare(Setup::new(Seal::SoftHsm, "memory"));
    server.edit_config("key_label = \"holdfast-seal\"", "key_label = \"other-seal\"");
    server.run();
    let refused = server.client().post("sys/init", json!({"recovery_shares": 1, "recovery_threshold": 1}));
    assert!(refused.status == 503 && refused.errors().contains("other-seal"), "{} {}", refused.status, refused.json);
    assert_eq!(refused.json["code"], "hsm_unavailable");
    assert_eq!(server.status()["initialized"], false);
    assert_eq!(server.stop(), 0);
    server.edit_config("other-seal", "holdfast-seal");
    server.run();
    server.initialise();
}
