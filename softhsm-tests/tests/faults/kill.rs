//! kill -9 under load: what was acknowledged is there, and nothing half-written is seen.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use softhsm_tests::{Client, Seal, Server, Setup, eventually, running, signal};

const CLIENTS: usize = 8;

/// What one client was promised: the last version that was acknowledged.
#[derive(Default)]
struct Promised(AtomicU64);

fn path(client: usize) -> String {
    format!("kv/data/client{client}")
}

/// Writes version after version until there is no answer. Each says which it is, and some are large.
fn write_on(client: &Client, number: usize, promised: &Promised, go: &AtomicBool) {
    while go.load(Ordering::Relaxed) {
        let next = promised.0.load(Ordering::Relaxed) + 1;
        let filling = "x".repeat(if next.is_multiple_of(7) { 40_000 } else { 50 });
        let body =
            json!({"data": {"client": number, "version": next, "filling": filling}, "options": {"cas": next - 1}});
        match client.try_call("POST", &path(number), Some(&body)) {
            Some(answer) if answer.status == 200 => promised.0.store(next, Ordering::Relaxed),
            Some(answer) => panic!("client {number}, version {next}: {} {}", answer.status, answer.json),
            None => return,
        }
    }
}

/// The last write may have been done without its answer having got through; nothing else may differ.
fn check(client: &Client, number: usize, promised: &Promised) {
    let acknowledged = promised.0.load(Ordering::Relaxed);
    let history = client.get(&format!("kv/metadata/client{number}"));
    if acknowledged == 0 && history.status == 404 {
        return;
    }
    let history = history.is(200)["data"].clone();
    let current = history["current_version"].as_u64().unwrap();
    assert!(
        current == acknowledged || current == acknowledged + 1,
        "client {number}: {acknowledged} acknowledged, {current} there"
    );
    for version in history["versions"].as_object().unwrap().keys() {
        let found = client.get(&format!("{}?version={version}", path(number))).is(200)["data"]["data"].clone();
        assert_eq!(
            (&found["version"].to_string(), &found["client"]),
            (version, &json!(number)),
            "another version's value"
        );
    }
    promised.0.store(current, Ordering::Relaxed);
}

/// A token whose making was acknowledged works, with all its records.
fn check_tokens(server: &Server, tokens: &Mutex<Vec<(String, Value)>>) {
    for (token, accessor) in tokens.lock().unwrap().drain(..) {
        let seen = server.client().with_token(token).get("auth/token/lookup-self").is(200)["data"]["accessor"].clone();
        assert_eq!(seen, accessor);
        server.client().post("auth/token/revoke-accessor", json!({"accessor": accessor})).is(204);
    }
}

fn nothing_acknowledged_is_lost(storage: &'static str) {
    let mut server = Server::start(Setup::new(Seal::Shamir, storage));
    server.mount("kv", false);
    let promised: Vec<Promised> = (0..CLIENTS).map(|_| Promised::default()).collect();
    let tokens = Mutex::new(Vec::new());
    for round in 0..if softhsm_tests::long() { 200 } else { 10 } {
        let go = AtomicBool::new(true);
        let before: u64 = promised.iter().map(|one| one.0.load(Ordering::Relaxed)).sum();
        std::thread::scope(|scope| {
            for (number, promised) in promised.iter().enumerate() {
                let (client, go) = (server.client(), &go);
                scope.spawn(move || write_on(&client, number, promised, go));
            }
            let (client, go, tokens) = (server.client(), &go, &tokens);
            scope.spawn(move || {
                while go.load(Ordering::Relaxed) {
                    let body = json!({"policies": ["default"], "ttl": "1h"});
                    let Some(answer) = client.try_call("POST", "auth/token/create", Some(&body)) else { return };
                    let auth = answer.is(200)["auth"].clone();
                    tokens
                        .lock()
                        .unwrap()
                        .push((auth["client_token"].as_str().unwrap().to_owned(), auth["accessor"].clone()));
                }
            });
            // Somewhere in the middle, each time somewhere else.
            eventually("the clients write", || {
                let written: u64 = promised.iter().map(|one| one.0.load(Ordering::Relaxed)).sum();
                (written >= before + 40 + 7 * (round % 10)).then_some(())
            });
            // By turns the whole, and the server process alone, which takes the monitor with it.
            if round % 2 == 0 {
                server.kill();
            } else {
                signal(server.pid("server").unwrap(), "KILL");
                let mut child = server.child.take().unwrap();
                assert!(!eventually("the monitor ends", || child.try_wait().unwrap()).success());
            }
            go.store(false, Ordering::Relaxed);
        });
        server.run();
        server.unseal();
        for (number, promised) in promised.iter().enumerate() {
            check(&server.client(), number, promised);
        }
        check_tokens(&server, &tokens);
    }
    assert_eq!(server.stop(), 0, "{}", server.server_log());
}

#[test]
fn nothing_acknowledged_is_lost_on_sled() {
    nothing_acknowledged_is_lost("sled");
}

#[test]
fn nothing_acknowledged_is_lost_on_redb() {
    nothing_acknowledged_is_lost("redb");
}

#[test]
fn without_its_monitor_nothing_goes_on() {
    let mut server = Server::start(Setup::new(Seal::SoftHsm, "redb"));
    server.mount("kv", true);
    assert!(server.client().put("kv/data/a", "kept"));
    let pids: Vec<u32> = server.processes().into_iter().map(|(_, pid)| pid).collect();
    signal(server.pid("monitor").unwrap(), "KILL");
    let mut child = server.child.take().unwrap();
    eventually("it ends", || child.try_wait().unwrap());
    eventually("its children end", || pids.iter().all(|pid| !running(*pid)).then_some(()));
    // The data directory and the address are free again at once.
    server.run();
    server.unseal();
    assert_eq!(server.client().get("kv/data/a").ok()["data"]["data"]["value"], "kept");
}
