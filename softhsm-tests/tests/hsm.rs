//! `holdfast hsm …`, and servers whose way to wrap changes.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::{Value, json};
use softhsm_tests::{Seal, Server, Setup};

/// `holdfast hsm VERB -format=json`: exit code and what it printed.
fn hsm(server: &Server, arguments: &[&str]) -> (i32, Value, String) {
    let flag = server.config_flag();
    let arguments = [&["hsm"], arguments, &[&flag, "-format=json"]].concat();
    let output = server.command(&arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap_or_default(), said)
}

fn verdicts(examination: &Value, wanted: &str) -> Vec<String> {
    let findings = examination["findings"].as_array().unwrap().iter();
    findings.filter(|finding| finding["verdict"] == wanted).map(|finding| finding["check"].to_string()).collect()
}

#[test]
fn the_doctor_passes_cloudhsm_and_says_what_softhsm_fails() {
    let cloudhsm = Server::prepare(Setup::new(Seal::CloudHsm, "memory"));
    let (code, found, said) = hsm(&cloudhsm, &["doctor"]);
    assert_eq!((code, &found["passed"], &found["profile"]), (0, &json!(true), &json!("cloudhsm")), "{found} {said}");
    assert_eq!((verdicts(&found, "fail"), verdicts(&found, "differs")), (vec![], vec![]));

    let softhsm = Server::prepare(Setup::new(Seal::SoftHsm, "memory"));
    let (code, found, said) = hsm(&softhsm, &["doctor"]);
    assert_eq!((code, &found["passed"]), (1, &json!(false)), "{found} {said}");
    assert_eq!(verdicts(&found, "fail"), [r#""IV left to the token""#]);
    assert!(verdicts(&found, "differs").contains(&r#""read-only sessions""#.to_owned()), "{found}");
    let (code, found, _) = hsm(&softhsm, &["doctor", "-profile=softhsm"]);
    assert_eq!((code, verdicts(&found, "fail")), (1, vec![r#""IV left to the token""#.to_owned()]), "{found}");

    std::fs::write(softhsm.folder.path().join("pin"), "wrong-4711").unwrap();
    let (code, found, _) = hsm(&softhsm, &["doctor"]);
    assert_eq!((code, verdicts(&found, "fail")), (1, vec![r#""way in""#.to_owned()]));
    assert!(found["findings"][0]["detail"].as_str().unwrap().contains("CKR_PIN_INCORRECT"));
}

#[test]
fn keys_are_made_shown_and_not_made_again() {
    let server = Server::prepare(Setup::new(Seal::CloudHsm, "memory"));
    server.edit_config("holdfast-seal", "another-seal");
    let (code, planned, said) = hsm(&server, &["init", "-dry-run"]);
    assert_eq!((code, &planned["attributes"]["CKA_EXTRACTABLE"]), (0, &json!(false)), "{said}");
    assert!(planned["outcome"].as_str().unwrap().starts_with("nothing made (dry run)"), "{planned}");
    let labels = |server: &Server| -> Vec<String> {
        let (code, keys, said) = hsm(server, &["keys"]);
        assert_eq!(code, 0, "{said}");
        keys.as_array().unwrap().iter().map(|key| key["key_label"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(labels(&server), ["holdfast-seal"]);
    assert_eq!(hsm(&server, &["init"]).0, 0);
    let (code, status, said) = hsm(&server, &["status"]);
    assert_eq!((code, &status["key_label"]), (0, &json!("another-seal")), "{said}");
    assert!(status["outcome"].as_str().unwrap().contains("IV by the token"), "{status}");
    let (code, bench, said) = hsm(&server, &["bench", "-duration=1s", "-threads=2"]);
    assert_eq!((code, &bench["threads"]), (0, &json!(2)), "{said}");
    assert!(
        bench["speeds"].as_array().unwrap().iter().all(|speed| speed["per_second"].as_f64() > Some(1.0)),
        "{bench}"
    );
    assert_eq!(hsm(&server, &["init"]).0, 1);
    assert_eq!(labels(&server).len(), 2);
}

/// What each mechanism wrapped is read under every other, and what is written then is wrapped by the one configured.
#[test]
fn the_mechanism_may_change_under_a_server() {
    let mut server = Server::start(Setup::new(Seal::SoftHsm, "redb"));
    server.mount("wrapped", true);
    assert!(server.client().put("wrapped/data/by-gcm", "1"));
    assert_eq!(server.stop(), 0);

    let label = "key_label = \"holdfast-seal\"";
    let cbc = format!("{label}\n  mechanism = \"0x1085\"\n  hmac_key_label = \"holdfast-hmac\"");
    server.edit_config(label, &cbc);
    let (code, made, said) = hsm(&server, &["init"]);
    assert_eq!((code, made["outcome"].as_str().unwrap().contains("holdfast-hmac")), (0, true), "{made} {said}");
    server.run();
    server.unseal();
    assert!(server.client().put("wrapped/data/by-cbc", "2"));
    let read = |server: &Server, name: &str| {
        server.client().get(&format!("wrapped/data/{name}")).ok()["data"]["data"]["value"].clone()
    };
    assert_eq!((read(&server, "by-gcm"), read(&server, "by-cbc")), (json!("1"), json!("2")));
    assert_eq!(server.stop(), 0);

    // Back again: the key that authenticates is still needed for what AES-CBC wrapped.
    server.edit_config("mechanism = \"0x1085\"", "mechanism = \"CKM_AES_GCM\"");
    server.run();
    server.unseal();
    assert_eq!((read(&server, "by-gcm"), read(&server, "by-cbc")), (json!("1"), json!("2")));
    assert_eq!(server.stop(), 0);
    assert!(server.server_log().contains("hmac_key_label is only for values wrapped with mechanism 0x1085"));
}
