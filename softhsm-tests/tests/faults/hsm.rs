//! The HSM process dies or hangs under load: what needs no HSM goes on, what needs it fails with a reason, and it comes back.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use softhsm_tests::{Seal, Server, Setup, eventually, running, signal};

/// What clients saw while something happened to the HSM process.
#[derive(Default)]
struct Seen {
    plain: AtomicUsize,
    wrapped: AtomicUsize,
    refused: AtomicUsize,
}

/// Runs `fault` while clients write to a mount that the seal wraps and to one that it does not.
fn under_load(server: &Server, fault: impl FnOnce()) -> Seen {
    let (seen, done) = (Seen::default(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for n in 0..6 {
            let (client, seen, done) = (server.client(), &seen, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    if n % 2 == 0 {
                        let path = format!("plain/data/s{n}");
                        client.post(&path, json!({"data": {"n": n}})).is(200);
                        assert_eq!(client.get(&path).is(200)["data"]["data"]["n"], n);
                        seen.plain.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    let answer = client.post(&format!("wrapped/data/s{n}"), json!({"data": {"n": n}}));
                    match answer.status {
                        200 => seen.wrapped.fetch_add(1, Ordering::Relaxed),
                        503 => {
                            assert!(
                                answer.errors().contains("hsm unavailable: ") || answer.errors().contains("busy"),
                                "{}",
                                answer.json
                            );
                            seen.refused.fetch_add(1, Ordering::Relaxed)
                        }
                        other => panic!("{other} {}", answer.json),
                    };
                }
            });
        }
        eventually("both mounts take writes", || {
            (seen.plain.load(Ordering::Relaxed) > 5 && seen.wrapped.load(Ordering::Relaxed) > 5).then_some(())
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(fault));
        done.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
    seen
}

fn server() -> Server {
    let server = Server::start(Setup::new(Seal::SoftHsm, "redb"));
    server.mount("plain", false);
    server.mount("wrapped", true);
    server
}

/// A write to the wrapped mount by a fresh process succeeds; how long that took.
fn recovery(server: &Server, old: u32) -> Duration {
    let since = Instant::now();
    eventually("another hsm process runs", || server.pid("hsm").filter(|pid| *pid != old && running(*pid)));
    eventually("the HSM is in use again", || server.client().put("wrapped/data/after", "1").then_some(()));
    since.elapsed()
}

#[test]
fn a_killed_hsm_process_is_back_within_five_seconds() {
    let server = server();
    for _ in 0..if softhsm_tests::long() { 10 } else { 3 } {
        let mut took = Duration::MAX;
        let seen = under_load(&server, || {
            let old = server.pid("hsm").unwrap();
            signal(old, "KILL");
            took = recovery(&server, old);
        });
        assert_eq!(server.status()["sealed"], false);
        assert!(took < Duration::from_secs(5), "{took:?}");
        assert!(seen.plain.load(Ordering::Relaxed) > 5);
    }
    assert_eq!(server.client().get("wrapped/data/s1").is(200)["data"]["data"]["n"], 1);
}

#[test]
fn a_hung_hsm_process_is_killed_and_replaced() {
    let server = server();
    let mut old = 0;
    let seen = under_load(&server, || {
        old = server.pid("hsm").unwrap();
        signal(old, "STOP");
        recovery(&server, old);
    });
    assert!(!running(old));
    assert!(seen.refused.load(Ordering::Relaxed) > 0, "a call to a hung HSM ends by its deadline");
    assert_eq!(server.status()["sealed"], false);
    assert!(server.server_log().contains("the hsm process does not answer: killed"));
}

/// The whole server comes back unsealed each time, with nobody typing.
#[test]
fn restarts_in_a_row_unseal_by_themselves() {
    let mut server = server();
    for n in 0..5 {
        assert!(server.client().put(&format!("wrapped/data/r{n}"), "kept"));
        if n % 2 == 0 {
            server.kill()
        } else {
            assert_eq!(server.stop(), 0)
        }
        server.run();
        server.unseal();
        for earlier in 0..=n {
            assert_eq!(
                server.client().get(&format!("wrapped/data/r{earlier}")).is(200)["data"]["data"]["value"],
                "kept"
            );
        }
    }
}
