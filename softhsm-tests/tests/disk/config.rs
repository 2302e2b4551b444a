//! Configurations, folders and files that cannot be used are refused with a message that says what to do.

use softhsm_tests::{Seal, Server, Setup};

use crate::refuses;

fn with(extra: &str) -> Server {
    Server::prepare(Setup { extra: extra.to_owned(), ..Setup::new(Seal::Shamir, "redb") })
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_a_suggestion() {
    let server = with("\ndefault_lease_tll = \"1h\"\n");
    let config = server.config().display().to_string();
    let lines = std::fs::read_to_string(server.config()).unwrap().lines().count();
    refuses(&server, &["default_lease_tll", &format!("{config}:{lines}"), "default_lease_ttl"]);
    server.edit_config("default_lease_tll = \"1h\"", "");
    server.edit_config("tls_disable", "tls_disabel");
    refuses(&server, &["tls_disabel", "tls_disable"]);
}

#[test]
fn wrong_types_contradictions_and_missing_parts_are_refused() {
    for (extra, words) in [
        ("max_lease_ttl = \"soon\"", vec!["max_lease_ttl"]),
        ("disable_mlock = \"perhaps\"", vec!["disable_mlock"]),
        ("default_lease_ttl = \"2h\"\nmax_lease_ttl = \"1h\"", vec!["default_lease_ttl", "max_lease_ttl"]),
        ("storage \"redb\" { path = \"/tmp/x\" }", vec!["second storage stanza"]),
        ("seal \"pkcs12\" {}", vec!["pkcs12", "pkcs11"]),
        ("listener \"tcp\" { address = \"0.0.0.0:0\" tls_disable = true }", vec!["loopback"]),
        ("hardening { mode = \"maybe\" }", vec!["enforce", "report"]),
        ("log_level = \"loud\"", vec!["log_level"]),
        ("storage {", vec![":"]),
    ] {
        refuses(&with(extra), &words);
    }
    let server = with("");
    std::fs::write(server.config(), "listener \"tcp\" { tls_disable = true }").unwrap();
    refuses(&server, &["no storage stanza", "storage \"sled\""]);
    std::fs::remove_file(server.config()).unwrap();
    refuses(&server, &["config.hcl"]);
}

#[test]
fn keys_without_effect_are_named_in_a_warning() {
    let mut server = with("ui = true\napi_addr = \"http://127.0.0.1:1\"\n");
    server.run();
    let log = server.server_log();
    assert!(log.contains("`ui` has no effect") && log.contains("`api_addr` has no effect"), "{log}");
}

#[test]
fn one_server_to_a_data_directory() {
    for storage in ["sled", "redb"] {
        let mut server = Server::start(Setup::new(Seal::Shamir, storage));
        server.mount("kv", false);
        refuses(&server, &["another server", &server.data().display().to_string(), "stop it first"]);
        assert!(server.client().put("kv/data/a", "still served"));
        server.kill();
        server.run();
        server.unseal();
        assert_eq!(server.client().get("kv/data/a").ok()["data"]["data"]["value"], "still served");
    }
}

#[test]
fn a_data_directory_of_another_version_is_refused() {
    let mut server = Server::start(Setup::new(Seal::Shamir, "redb"));
    assert_eq!(server.stop(), 0);
    let format = server.data().join("format");
    let ours = std::fs::read_to_string(&format).unwrap();
    std::fs::write(&format, ours.replace("holdfast data 1", "holdfast data 2")).unwrap();
    refuses(&server, &["holdfast data 2", "holdfast data 1", "start the version that wrote it"]);
    std::fs::remove_file(&format).unwrap();
    refuses(&server, &["no data directory", "format"]);
}

#[test]
fn an_audit_file_that_cannot_be_written_is_refused() {
    let server = with("");
    let log = server.audit_log().display().to_string();
    server.edit_config(&log, "/proc/holdfast/audit.log");
    refuses(&server, &["/proc/holdfast"]);
    // A folder where the file should be.
    server.edit_config("/proc/holdfast/audit.log", &server.folder.path().display().to_string());
    refuses(&server, &["audit"]);
}

#[test]
fn an_address_in_use_is_refused() {
    let server = with("");
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().to_string();
    server.edit_config(&server.socket.to_string(), &taken);
    refuses(&server, &[&taken]);
}
