//! The HSM fails in every way it can, one way at a time: nothing acknowledged is lost, no value comes back wrong, nobody
//! waits beyond his deadline, and when it is over everything works again with nobody's help.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use softhsm_tests::{Client, Fault, Order, Seal, Server, Setup, eventually, long};

/// Functions that a server calls. Those of the second list are called when the token is opened, which the fault then
/// makes happen.
const USED: [&str; 6] = ["C_EncryptInit", "C_Encrypt", "C_DecryptInit", "C_Decrypt", "C_OpenSession", "C_CloseSession"];
const OPENING: [&str; 12] = [
    "C_Initialize",
    "C_Finalize",
    "C_GetInfo",
    "C_GetSlotList",
    "C_GetTokenInfo",
    "C_Login",
    "C_FindObjectsInit",
    "C_FindObjects",
    "C_FindObjectsFinal",
    "C_GetAttributeValue",
    "C_OpenSession",
    "C_EncryptInit",
];

const FUNCTION_FAILED: u64 = 0x06;
const DEVICE_ERROR: u64 = 0x30;
const DEVICE_REMOVED: u64 = 0x32;

/// A kind of failure, and what it orders at a call. A refused PIN is none of these: that needs an operator.
fn classes() -> Vec<(&'static str, Vec<Order>)> {
    let code = |number| vec![Order::Return(number)];
    let after = |number| vec![Order::Do, Order::Return(number)];
    let wait = |time| Order::Delay(Duration::from_millis(time));
    vec![
        ("CKR_HOST_MEMORY", code(0x02)),
        ("CKR_GENERAL_ERROR", code(0x05)),
        // The HSM's own answer 187 (0xBB): its library has waited and tried again before it says so.
        ("throttled", vec![wait(150), Order::Return(FUNCTION_FAILED)]),
        ("CKR_DEVICE_ERROR", code(DEVICE_ERROR)),
        ("CKR_DEVICE_MEMORY", code(0x31)),
        ("CKR_DEVICE_REMOVED", code(DEVICE_REMOVED)),
        ("CKR_FUNCTION_CANCELED", code(0x50)),
        ("CKR_KEY_HANDLE_INVALID", code(0x60)),
        ("CKR_OBJECT_HANDLE_INVALID", code(0x82)),
        ("CKR_OPERATION_ACTIVE", code(0x90)),
        ("CKR_SESSION_CLOSED", code(0xb0)),
        ("CKR_SESSION_COUNT", code(0xb1)),
        ("CKR_SESSION_HANDLE_INVALID", code(0xb3)),
        ("sessions lost", vec![Order::LoseSessions, Order::Return(0xb3)]),
        ("CKR_TOKEN_NOT_PRESENT", code(0xe0)),
        ("CKR_USER_NOT_LOGGED_IN", code(0x101)),
        ("CKR_CRYPTOKI_NOT_INITIALIZED", code(0x190)),
        ("a vendor's code", code(0x8000_0187)),
        ("done, but the answer was lost", after(DEVICE_ERROR)),
        ("done, and denied", after(FUNCTION_FAILED)),
        ("slow", vec![wait(300)]),
        ("hung", vec![Order::Hang]),
        ("crashed", vec![Order::Crash]),
    ]
}

/// A generator that gives the same for the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// What one client writes, and may read back: its counter only ever goes up.
#[derive(Default)]
struct Ledger {
    attempted: AtomicU64,
    acknowledged: AtomicU64,
    refused: AtomicU64,
}

/// Longest that a call may take: the server's deadline for the HSM is 5 s, and this machine may be busy.
const PATIENCE: Duration = Duration::from_secs(12);

impl Ledger {
    fn path(client: usize) -> String {
        format!("wrapped/data/client-{client}")
    }

    /// One write, if it comes back at all within its time.
    fn write(&self, client: &Client, number: usize) {
        let next = self.attempted.fetch_add(1, Ordering::SeqCst) + 1;
        let since = Instant::now();
        let answer = client.post(&Self::path(number), json!({"data": {"value": next, "client": number}}));
        assert!(since.elapsed() < PATIENCE, "a write took {:?}", since.elapsed());
        match answer.status {
            200 => self.acknowledged.store(next, Ordering::SeqCst),
            503 => {
                let code = answer.json["code"].as_str().unwrap_or("busy");
                assert!(code == "hsm_unavailable" || answer.errors().contains("busy"), "{}", answer.json);
                self.refused.fetch_add(1, Ordering::SeqCst);
            }
            other => panic!("{other} {}", answer.json),
        };
    }

    /// One read: nothing older than what was acknowledged before, nothing that was never written.
    fn read(&self, client: &Client, number: usize) {
        let least = self.acknowledged.load(Ordering::SeqCst);
        let since = Instant::now();
        let answer = client.get(&Self::path(number));
        assert!(since.elapsed() < PATIENCE, "a read took {:?}", since.elapsed());
        match answer.status {
            200 => {
                let data = &answer.json["data"]["data"];
                let value = data["value"].as_u64().unwrap();
                let most = self.attempted.load(Ordering::SeqCst);
                assert!(least <= value && value <= most && data["client"] == number, "{least} {value} {most} {data}");
            }
            404 if least == 0 => {}
            503 => _ = self.refused.fetch_add(1, Ordering::SeqCst),
            other => panic!("{other} {}", answer.json),
        }
    }
}

const CLIENTS: usize = 4;

/// A token that is not wrapped, as root tokens are.
const NEEDS_NO_HSM: &str = "token-of-somebody-else";

/// Runs `during` while clients write, read, and use what needs no HSM.
fn under_load(server: &Server, ledgers: &[Ledger], during: impl FnOnce()) {
    let done = AtomicBool::new(false);
    let failed = Mutex::new(None);
    thread::scope(|scope| {
        for (number, ledger) in ledgers.iter().enumerate() {
            let (client, done) = (server.client(), &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    ledger.write(&client, number);
                    ledger.read(&client, number);
                }
            });
        }
        let (client, done) = (server.client().with_token(NEEDS_NO_HSM), &done);
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                client.post("plain/data/s", json!({"data": {"n": 1}})).is(200);
                client.get("plain/data/s").is(200);
                assert_eq!(client.get("sys/seal-status").is(200)["sealed"], false);
            }
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(during));
        done.store(true, Ordering::Relaxed);
        *failed.lock().unwrap() = outcome.err();
    });
    if let Some(panic) = failed.into_inner().unwrap() {
        std::panic::resume_unwind(panic);
    }
}

fn server() -> Server {
    let server = Server::start(Setup::new(Seal::CloudHsm, "redb"));
    server.mount("plain", false);
    server.mount("wrapped", true);
    let root = server.client();
    let policy = "path \"plain/*\" { capabilities = [\"create\", \"read\", \"update\"] }";
    root.post("sys/policies/acl/plain", json!({"policy": policy})).ok();
    root.post("auth/token/create", json!({"id": NEEDS_NO_HSM, "policies": ["plain"]})).ok();
    server
}

/// Everything works again, and everything acknowledged is there.
fn recovered(server: &Server, ledgers: &[Ledger]) {
    eventually("the HSM is in use again", || server.client().put("wrapped/data/after", "1").then_some(()));
    eventually("it is said to be healthy", || {
        (server.client().get("sys/seal-backend-status").ok()["healthy"] == true).then_some(())
    });
    for (number, ledger) in ledgers.iter().enumerate() {
        let before = ledger.refused.load(Ordering::SeqCst);
        ledger.read(&server.client(), number);
        assert_eq!(ledger.refused.load(Ordering::SeqCst), before, "a read was refused after the end of the fault");
    }
    assert_eq!(server.hsm().violations(), "");
}

/// One fault, struck while clients are at work; what was struck.
fn schedule(server: &mut Server, ledgers: &[Ledger], seed: u64) -> String {
    let classes = classes();
    let combinations = (USED.len() + OPENING.len()) * classes.len();
    let chosen = usize::try_from(seed).unwrap() % combinations;
    let (function, (class, orders)) = (chosen / classes.len(), &classes[chosen % classes.len()]);
    let (function, opening) = match USED.get(function) {
        Some(used) => (*used, false),
        None => (OPENING[function - USED.len()], true),
    };
    let mut dice = Dice(seed);
    // A call that hangs is cut off after the deadline, a crash costs a restart: several of them say no more than one.
    let hard = matches!(orders.first(), Some(Order::Hang | Order::Crash));
    let times = if hard { 1 } else { 1 + usize::try_from(dice.throw(12)).unwrap() };
    let skip = usize::try_from(dice.throw(if opening { 2 } else { 6 })).unwrap();
    let name = format!("seed {seed}: {function}, {class}, {times} times after {skip}");
    // Values are unwrapped again only where no key is at hand: after a restart.
    if function.starts_with("C_Decrypt") {
        assert_eq!(server.stop(), 0, "{name}: {}", server.server_log());
        server.run();
        server.unseal();
    }
    under_load(server, ledgers, || {
        let faults = server.hsm().faults();
        let before = faults.struck();
        faults.inject(Fault { function: function.to_owned(), skip, times, orders: orders.clone() });
        if opening {
            faults.inject(Fault::once("C_Encrypt", [Order::LoseSessions, Order::Return(DEVICE_ERROR)]));
        } else if function.contains("Session") {
            // Sessions are kept as long as nothing fails.
            faults.inject(Fault { times: 3, ..Fault::once("C_Encrypt", [Order::Return(FUNCTION_FAILED)]) });
        }
        let since = Instant::now();
        let wanted = before + 1 + usize::from(opening);
        while faults.struck() < wanted && since.elapsed() < Duration::from_secs(3) {
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(Duration::from_millis(dice.throw(400)));
        faults.clear();
        recovered(server, ledgers);
    });
    name
}

#[test]
fn any_function_may_fail_in_any_way() {
    let combinations = u64::try_from((USED.len() + OPENING.len()) * classes().len()).unwrap();
    let seeds: Vec<u64> = match std::env::var("HOLDFAST_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) if long() => (0..500.max(combinations)).collect(),
        // Spread over functions and classes: 37 has no divisor in common with their number.
        Err(_) => (0..12).map(|n| n * 37 % combinations).collect(),
    };
    let mut server = server();
    let ledgers: Vec<Ledger> = (0..CLIENTS).map(|_| Ledger::default()).collect();
    for seed in seeds {
        eprintln!("seed {seed}");
        let name = schedule(&mut server, &ledgers, seed);
        eprintln!("{name}: recovered");
    }
    // What was acknowledged has outlived it all.
    assert_eq!(server.stop(), 0);
    server.run();
    server.unseal();
    recovered(&server, &ledgers);
    assert!(ledgers.iter().all(|ledger| ledger.acknowledged.load(Ordering::SeqCst) > 0));
}

/// Five minutes without an HSM (ten seconds in the short run): what is at hand is read, what needs the HSM is refused with a
/// reason, nothing seals, and it comes back.
#[test]
fn an_outage_takes_only_what_needs_the_hsm() {
    let server = server();
    let client = server.client();
    assert!(client.put("wrapped/data/hot", "kept"));
    let outage = Duration::from_secs(if long() { 300 } else { 10 });
    server.hsm().faults().inject(Fault::always("*", [Order::Return(DEVICE_REMOVED)]));
    let since = Instant::now();
    let mut refused = 0;
    while since.elapsed() < outage {
        assert_eq!(client.get("wrapped/data/hot").is(200)["data"]["data"]["value"], "kept");
        assert!(client.put("plain/data/s", "1"));
        let write = client.post("wrapped/data/cold", json!({"data": {"n": 1}}));
        if write.status == 503 {
            refused += 1;
            assert_eq!(write.json["code"], "hsm_unavailable");
            assert!(write.errors().contains("CKR_DEVICE_REMOVED"), "{}", write.json);
        }
        assert_eq!(server.status()["sealed"], false);
        thread::sleep(Duration::from_millis(100));
    }
    assert!(refused > 10, "{refused}");
    let status = client.get("sys/seal-backend-status").ok();
    assert_eq!((&status["healthy"], &status["backends"][0]["name"]), (&json!(false), &json!("pkcs11")));
    assert!(status["unhealthy_since"].as_str().unwrap().ends_with('Z'), "{status}");
    assert!(server.server_log().contains("CKR_DEVICE_REMOVED"));
    server.hsm().faults().clear();
    eventually("the HSM is in use again", || client.put("wrapped/data/cold", "1").then_some(()));
    assert_eq!(client.get("sys/seal-backend-status").ok()["healthy"], true);
}

/// A wrong password is tried once in the life of a server, though its hsm process is killed and started again.
#[test]
fn a_refused_pin_survives_the_hsm_process() {
    let mut server = Server::prepare(Setup::new(Seal::CloudHsm, "memory"));
    let logins = server.hsm().faults().calls("C_Login");
    std::fs::write(server.folder.path().join("pin"), "holdfast:wrong-4711").unwrap();
    server.run();
    let init = || server.client().post("sys/init", json!({"recovery_shares": 1, "recovery_threshold": 1}));
    for _ in 0..5 {
        eventually("it says why", || init().errors().contains("CKR_PIN_INCORRECT").then_some(()));
        let pid = eventually("an hsm process runs", || server.pid("hsm"));
        softhsm_tests::signal(pid, "KILL");
        eventually("another one runs", || server.pid("hsm").filter(|other| *other != pid));
    }
    eventually("it says why", || init().errors().contains("CKR_PIN_INCORRECT").then_some(()));
    assert_eq!(server.hsm().faults().calls("C_Login") - logins, 1);
    assert!(server.server_log().contains("not tried again until this server is restarted"));
}
