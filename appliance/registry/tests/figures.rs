//! What the hot paths cost. `cargo test -p registry --test figures -- --ignored --nocapture`
// Helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::house_with;
use framework::{Ask, AuditSink, Error, Json, Map, MountInfo, Operation, Origin, Output, Secret};
use registry::{DeclaredDevice, Settings, TokenSpec};

/// Nanoseconds that this thread has been on a processor: other work on the machine does not count.
fn on_cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}

fn time(what: &str, rounds: u32, mut work: impl FnMut()) {
    (0..rounds / 10).for_each(|_| work());
    // The kernel may count in ticks: as a mean over a while that comes out right, as a minimum it would not.
    let rounds = rounds * 10;
    let from = on_cpu();
    (0..rounds).for_each(|_| work());
    println!("{what:<40} {:>8.3} us", (on_cpu() - from) as f64 / f64::from(rounds) / 1e3);
}

#[test]
#[ignore = "prints figures, checks nothing"]
fn figures() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let options: BTreeMap<String, String> = [("path".to_owned(), path.to_str().unwrap().to_owned())].into();
    let device = DeclaredDevice { path: "main".into(), kind: "file".into(), description: String::new(), options };
    let house = house_with(Settings { audit: vec![device], ..Settings::default() });
    let (store, now) = (&house.store, house.now());
    let parent = house.caller(&house.root).unwrap();
    let mount = house.registry.mount("auth/token").unwrap().unwrap();
    let spec =
        || TokenSpec { policies: vec!["default".into()], ttl: Duration::from_secs(3600), ..TokenSpec::default() };
    let create = || house.write(|view| house.registry.create_token(view, &parent, &mount.info, spec(), now)).unwrap();
    let token = create().auth.client_token.unwrap();

    time("identify", 200_000, || drop(house.registry.identify(store, &token, common::HOME, now).unwrap().unwrap()));
    let caller = house.caller(&token).unwrap();
    time("acl of one set", 200_000, || drop(house.registry.acl(store, &caller.policies, None, now).unwrap()));
    time("locate", 200_000, || drop(house.registry.locate("sys/internal/ui/mounts/secret/a/b").unwrap()));
    let keys = [
        framework::Key::new("logical/0b57/metadata/x").unwrap(),
        framework::Key::new("logical/0b57/versions/x").unwrap(),
    ];
    time("committed, two kv records", 200_000, || assert!(!house.registry.committed(&keys, store).unwrap().mounts));
    time("create a token (store in memory)", 2_000, || drop(create()));

    let origin = Origin {
        request_id: "8cd2967a-200d-b414-54c4-69ac129265a5".into(),
        remote_address: [127, 0, 0, 1].into(),
        remote_port: 48728,
        namespace: String::new(),
        wrap_ttl: None,
        client_certificates: Vec::new(),
    };
    let info = MountInfo {
        path: "secret/".into(),
        kind: "kv".into(),
        accessor: "kv_12345678".into(),
        options: BTreeMap::new(),
        default_ttl: Duration::ZERO,
        max_ttl: Duration::ZERO,
        token_rule: framework::TokenRule::default(),
    };
    let none = Map::new();
    let value: Map<String, Json> = serde_json::from_str(
        r#"{"data":{"username":"svc-payments","password":"0123456789abcdef0123456789abcdef","host":"db.internal"},
        "metadata":{"created_time":"2026-11-21T23:12:19.379585694Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":1}}"#,
    )
    .unwrap();
    let answer: Result<Output, Error> = Ok(Output { data: Some(value), ..Output::default() });
    let token: &Secret = &token;
    let ask = Ask {
        origin: &origin,
        headers: &Vec::new(),
        caller: &caller,
        remaining_uses: 0,
        token: Some(token),
        operation: Operation::Read,
        path: "secret/data/payments/db",
        mount: Some(&info),
        data: &none,
        clear: &[],
    };
    time("audit line of a kv read's request", 5_000, || house.registry.request(&ask, None).unwrap());
    time("audit line of a kv read's answer", 5_000, || house.registry.response(&ask, &answer).unwrap());
}
