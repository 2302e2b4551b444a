//! Moving a storage from one seal to another, and several seals at once, with two tokens in SoftHSM.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests fail the test they help"
)]

use std::time::Duration;

use serde_json::{Value, json};
use softhsm_tests::{Seal, Server, Setup, eventually, long};

/// Writes a seal-wrapped secret.
fn keep(server: &Server, name: &str) {
    server.client().post(&format!("wrapped/data/{name}"), json!({"data": {"value": name}})).ok();
}

fn kept(server: &Server, name: &str) -> bool {
    let answer = server.client().get(&format!("wrapped/data/{name}"));
    answer.status == 200 && answer.json["data"]["data"]["value"] == name
}

fn migrate(server: &Server, share: usize) -> Value {
    server.client().post("sys/unseal", json!({"key": server.shares[share], "migrate": true})).ok()
}

/// Starts it with a changed configuration, in which another seal waits for a quorum, and moves.
fn run_and_move(server: &mut Server) {
    server.run();
    let status = server.status();
    assert_eq!((&status["sealed"], &status["migration"]), (&json!(true), &json!(true)));
    assert_eq!(migrate(server, 0)["progress"], 1);
    let moved = migrate(server, 1);
    assert_eq!((&moved["sealed"], &moved["migration"]), (&json!(false), &json!(false)));
}

/// The seal backends by name: whether each is disabled, and healthy.
fn backends(server: &Server) -> Vec<(String, bool, bool)> {
    let status = server.client().get("sys/seal-backend-status").ok();
    let flag = |backend: &Value, name: &str| backend[name].as_bool().unwrap();
    let one = |backend: &Value| {
        (backend["name"].as_str().unwrap().to_owned(), flag(backend, "disabled"), flag(backend, "healthy"))
    };
    status["backends"].as_array().unwrap().iter().map(one).collect()
}

/// A server behind shares, with one seal-wrapped mount.
fn server(seal: Seal) -> Server {
    let server = Server::start(Setup::new(seal, "sled"));
    server.mount("wrapped", true);
    keep(&server, "first");
    server
}

#[test]
fn a_storage_moves_from_shares_to_an_hsm_to_another_and_back() {
    let mut server = server(Seal::Shamir);
    assert!(
        server
            .client()
            .post("sys/unseal", json!({"key": server.shares[0], "migrate": true}))
            .errors()
            .contains("no migration seal found")
    );
    server.stop();
    server.give_hsm();
    server.run();
    assert_eq!(server.status()["recovery_seal"], true);
    let without = server.client().post("sys/unseal", json!({"key": server.shares[0]}));
    assert!(without.errors().contains("migrate option not provided and seal migration is pending"));
    for share in 1..3 {
        let flags = ["operator", "unseal", "-migrate", &server.shares[share]];
        let done = server.command(&flags).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    assert!(server.status()["sealed"] == false && kept(&server, "first"));
    keep(&server, "by-the-first");

    // To another token, which logs in with a PIN of its own in a process of its own.
    server.stop();
    server.setup.extra = server.hsm().another("second", "");
    server.write_config();
    server.edit_config("key_label = \"holdfast-seal\"\n", "key_label = \"holdfast-seal\"\n  disabled = \"true\"\n");
    server.make_key("second");
    run_and_move(&mut server);
    assert_eq!(server.processes().iter().filter(|(role, _)| role == "hsm").count(), 2);
    keep(&server, "by-the-second");
    assert!(["first", "by-the-first", "by-the-second"].iter().all(|name| kept(&server, name)));
    let expected = [("second".to_owned(), false, true), ("pkcs11-disabled".to_owned(), true, true)];
    assert_eq!(backends(&server), expected);
    server.stop();
    server.run();
    server.unseal();
    assert!(kept(&server, "by-the-first"));

    // The old key is needed as long as stored values are wrapped by it.
    server.stop();
    let whole = std::fs::read_to_string(server.config()).unwrap();
    let (head, rest) = whole.split_once("seal \"pkcs11\"").unwrap();
    let (_, without_old) = rest.split_once("}\n").unwrap();
    std::fs::write(server.config(), format!("{head}{without_old}")).unwrap();
    let (code, said) = server.refused();
    assert!(code == 1 && said.contains("needs the seal key \"holdfast-seal\""), "{code} {said}");

    // Back to shares, which are those that were given out in the beginning.
    std::fs::write(server.config(), whole.replace("name = \"second\"", "name = \"second\"\n  disabled = true"))
        .unwrap();
    run_and_move(&mut server);
    assert_eq!(server.status()["type"], "shamir");
    server.stop();
    server.setup.seal = Seal::Shamir;
    server.run();
    server.unseal();
    assert!(["first", "by-the-first", "by-the-second"].iter().all(|name| kept(&server, name)));
}

/// Killed at any moment of a move, the server finds its storage under the old seal or under the new one.
#[test]
fn a_kill_during_a_move_leaves_a_storage_that_opens() {
    let mut server = server(Seal::SoftHsm);
    server.stop();
    server.setup.extra = server.hsm().another("second", "  disabled = true\n");
    server.write_config();
    server.make_key("second");
    let mut moved = 0;
    for round in 0..if long() { 200 } else { 10 } {
        // The stanzas change places.
        let text = std::fs::read_to_string(server.config()).unwrap();
        let (mark, off) = ("  key_label = \"holdfast-seal\"\n", "  disabled = true\n");
        let swapped = match text.contains(&format!("{mark}{off}")) {
            true => text
                .replace(off, "")
                .replace("  key_label = \"second-seal\"\n", &format!("  key_label = \"second-seal\"\n{off}")),
            false => text.replace(off, "").replace(mark, &format!("{mark}{off}")),
        };
        std::fs::write(server.config(), swapped).unwrap();
        server.run();
        assert_eq!(migrate(&server, 0)["progress"], 1);
        let (client, share) = (server.client(), server.shares[1].clone());
        let last = std::thread::spawn(move || {
            client.try_call("POST", "sys/unseal", Some(&json!({"key": share, "migrate": true}))).is_some()
        });
        std::thread::sleep(Duration::from_millis(round % 10 * 4));
        server.kill();
        let answered = last.join().unwrap();
        server.run();
        if eventually("opens or waits", || opens_or_waits(&server)) {
            assert!(!answered, "round {round}: an answered move is undone");
            migrate(&server, 0);
            migrate(&server, 1);
        } else {
            moved += 1;
        }
        assert!(kept(&server, "first"), "round {round}");
        server.stop();
    }
    eprintln!("{moved} of the moves were done when the server was killed");
}

/// Whether the storage waits to be moved; `None` while that is not known.
fn opens_or_waits(server: &Server) -> Option<bool> {
    let status = server.status();
    if status["migration"] == true { Some(true) } else { (status["sealed"] == false).then_some(false) }
}

#[test]
fn of_two_hsms_either_unseals_and_a_seal_key_rotates() {
    let mut server = server(Seal::SoftHsm);
    server.stop();
    let second = server.hsm().another("second", "  priority = 2\n");
    server.setup.extra = second.clone();
    server.write_config();
    let (code, said) = server.refused();
    assert!(code == 1 && said.contains("enable_multiseal"), "{said}");
    server.setup.extra = format!("{second}enable_multiseal = true\n");
    server.write_config();
    server.make_key("second");
    server.run();
    server.unseal();
    let both = [("pkcs11".to_owned(), false, true), ("second".to_owned(), false, true)];
    eventually("both take part", || (backends(&server) == both).then_some(()));
    let holds = |server: &Server| server.server_log().contains("the HSMs that hold the root key are others now");
    eventually("the second holds the root key", || holds(&server).then_some(()));
    keep(&server, "by-both");
    // What was there before is wrapped by both as well, the root token first of all.
    eventually("everything is rewrapped", || {
        let report = server.client().get("sys/sealwrap/coverage").ok()["data"].clone();
        (report["fully_wrapped"] == true && report["keys"].as_array().unwrap().len() == 2).then_some(())
    });

    // The first is lost.
    server.stop();
    server.edit_config("token_label = \"holdfast\"", "token_label = \"lost\"");
    server.run();
    server.unseal();
    assert!(kept(&server, "by-both") && kept(&server, "first"));
    assert_eq!(backends(&server)[0], ("pkcs11".to_owned(), false, false));
    keep(&server, "by-the-second-alone");
    server.stop();

    // It is back, and is left.
    server.edit_config("token_label = \"lost\"", "token_label = \"holdfast\"\n  disabled = true");
    server.run();
    server.unseal();
    assert!(["first", "by-both", "by-the-second-alone"].iter().all(|name| kept(&server, name)));
    server.stop();
}
