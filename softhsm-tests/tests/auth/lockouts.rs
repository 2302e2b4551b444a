//! Users who fail too often.

use serde_json::{Value, json};
use softhsm_tests::{Seal, Server, Setup, eventually};

use crate::{enable, nobody, server};

fn attempt(server: &Server, user: &str, password: &str) -> u16 {
    nobody(server).post(&format!("auth/userpass/login/{user}"), json!({"password": password})).status
}

fn locked(server: &Server) -> Value {
    server.client().get("sys/locked-users").is(200)["data"].clone()
}

#[test]
fn users_are_locked_out_and_let_in_again() {
    let server = server("");
    let root = server.client();
    enable(&server, "userpass", "userpass");
    for user in ["ada", "bob"] {
        root.post(&format!("auth/userpass/users/{user}"), json!({"password": "pw"})).is(204);
    }
    // A success in between starts the count anew.
    for _ in 0..4 {
        assert_eq!(attempt(&server, "ada", "no"), 400);
    }
    assert_eq!(attempt(&server, "ada", "pw"), 200);
    for _ in 0..5 {
        assert_eq!(attempt(&server, "Ada", "no"), 400);
    }
    assert_eq!(
        [attempt(&server, "ada", "no"), attempt(&server, "ada", "pw"), attempt(&server, "bob", "pw")],
        [403, 403, 200]
    );
    // Nobody can tell a name that is not there, and it is shown to nobody.
    for status in [400, 400, 400, 400, 400, 403] {
        assert_eq!(attempt(&server, "eve", "no"), status);
    }
    let accessor = root.get("sys/auth/userpass").is(200)["data"]["accessor"].clone();
    let mount = json!({"mount_accessor": accessor, "counts": 1, "alias_identifiers": ["ada"]});
    let by_namespace = json!([{"namespace_id": "root", "namespace_path": "", "counts": 1, "mount_accessors": [mount]}]);
    assert_eq!(locked(&server), json!({"by_namespace": by_namespace, "total": 1}));
    let accessor = accessor.as_str().unwrap();
    root.post(&format!("sys/locked-users/{accessor}/unlock/nobody"), json!({})).is(204);
    root.post(&format!("sys/locked-users/{accessor}/unlock/ada"), json!({})).is(204);
    assert_eq!((attempt(&server, "ada", "pw"), &locked(&server)["total"]), (200, &json!(0)));
}

#[test]
fn racing_guesses_are_counted_and_roles_are_locked_out_too() {
    let server = server("");
    let root = server.client();
    enable(&server, "approle", "approle");
    root.post("auth/approle/role/ci", json!({})).is(204);
    let role_id = root.get("auth/approle/role/ci/role-id").is(200)["data"]["role_id"].clone();
    let guess = || nobody(&server).post("auth/approle/login", json!({"role_id": role_id, "secret_id": "guess"})).status;
    let told = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..30).map(|_| scope.spawn(guess)).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).filter(|status| *status == 400).count()
    });
    assert_eq!(told, 5, "no more guesses than the threshold are told from a lockout");
    let secret_id = root.post("auth/approle/role/ci/secret-id", json!({})).is(200)["data"]["secret_id"].clone();
    let good = json!({"role_id": role_id, "secret_id": secret_id});
    assert_eq!(nobody(&server).post("auth/approle/login", good).status, 403);
    assert!(locked(&server).to_string().contains(role_id.as_str().unwrap()));
}

#[test]
fn the_configuration_and_the_mount_say_when() {
    let server =
        server("user_lockout \"all\" { lockout_threshold = 2 }\nuser_lockout \"approle\" { disable_lockout = true }\n");
    let root = server.client();
    enable(&server, "userpass", "userpass");
    enable(&server, "approle", "approle");
    root.post("auth/userpass/users/ada", json!({"password": "pw"})).is(204);
    assert_eq!([0; 3].map(|_| attempt(&server, "ada", "no")), [400, 400, 403]);
    root.post("auth/approle/role/ci", json!({"role_id": "ci"})).is(204);
    for _ in 0..7 {
        nobody(&server).post("auth/approle/login", json!({"role_id": "ci", "secret_id": "no"})).is(400);
    }
    let lockout = json!({"user_lockout_config": {"lockout_threshold": "1", "lockout_duration": "1s"}});
    root.post("sys/auth/userpass/tune", lockout).is(204);
    root.post("auth/userpass/users/bob", json!({"password": "pw"})).is(204);
    assert_eq!([attempt(&server, "bob", "no"), attempt(&server, "bob", "pw")], [400, 403]);
    eventually("the lockout ends", || (attempt(&server, "bob", "pw") == 200).then_some(()));
    root.post("sys/auth/userpass/tune", json!({"user_lockout_config": {"lockout_disable": true}})).is(204);
    assert_eq!(attempt(&server, "ada", "pw"), 200);
}

#[test]
fn a_lockout_outlives_a_restart() {
    let mut server = Server::start(Setup::new(Seal::Shamir, "redb"));
    enable(&server, "userpass", "userpass");
    server.client().post("auth/userpass/users/ada", json!({"password": "pw"})).is(204);
    for _ in 0..5 {
        attempt(&server, "ada", "no");
    }
    assert_eq!(server.stop(), 0);
    server.run();
    server.unseal();
    assert_eq!((attempt(&server, "ada", "pw"), &locked(&server)["total"]), (403, &json!(1)));
}
