//! Every rule of the seccomp tables is needed: with a missing one, a process would have been killed in some suite; a redundant
//! one is found here, by recording what the roles really call once they are locked.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};
use softhsm_tests::{Call, Seal, Server, Setup, Trace, binary, eventually, free_address, signal};

/// The rules, as the program lists them.
fn rules() -> Vec<Value> {
    let output = Command::new(binary()).args(["compliance", "syscalls", "-format=json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A day in the life of a server, and the next.
fn work(trace: &mut BTreeSet<Call>, seal: Seal, storage: &'static str) {
    let mut server = Server::prepare(Setup { traced: true, ..Setup::new(seal, storage) });
    // A second listener, for a certificate to be read again.
    softhsm_tests::certify(server.folder.path(), server.socket.ip(), 2060);
    let (listener, folder) = (free_address(), server.folder.path().display());
    let files = format!("tls_cert_file = \"{folder}/tls.crt\" tls_key_file = \"{folder}/tls.key\"");
    server.setup.extra = format!("listener \"tcp\" {{ address = \"{listener}\" {files} }}\n");
    server.write_config();
    if storage != "memory" {
        // Of a mode that has to be changed.
        std::fs::create_dir(server.data()).unwrap();
    }
    server.run();
    server.initialise();
    server.mount("kv", seal == Seal::SoftHsm);
    let client = server.client();
    let load: Vec<_> = (0..4)
        .map(|who| {
            let client = client.clone();
            std::thread::spawn(move || {
                for number in 0..50 {
                    let path = format!("kv/data/{who}/{number}");
                    assert!(client.put(&path, &"x".repeat(number * 500)));
                    client.get(&path).ok();
                }
                client.list(&format!("kv/metadata/{who}")).ok();
                client.delete(&format!("kv/metadata/{who}/1")).ok();
            })
        })
        .collect();
    load.into_iter().for_each(|thread| thread.join().unwrap());
    // A rotation that leaves a file of another mode, and a device in a folder that is not there yet.
    std::fs::rename(server.audit_log(), server.audit_log().with_file_name("audit.log.1")).unwrap();
    std::fs::write(server.audit_log(), "").unwrap();
    signal(server.pid("monitor").unwrap(), "HUP");
    eventually("the audit file is opened anew", || {
        client.get("kv/data/0/2").ok();
        (std::fs::metadata(server.audit_log()).unwrap().len() > 0).then_some(())
    });
    let second = server.audit_log().with_file_name("folder").join("second.log");
    client.post("sys/audit/second", json!({"type": "file", "options": {"file_path": second}})).is(204);
    for (_, pid) in server.processes() {
        signal(pid, "STOP");
        signal(pid, "CONT");
    }
    if let Some(hsm) = server.pid("hsm") {
        signal(hsm, "KILL");
        eventually("another hsm process", || server.pid("hsm").filter(|new| *new != hsm));
        eventually("it wraps", || client.put("kv/data/after", "x").then_some(()));
    }
    if storage != "memory" {
        assert_eq!(server.stop(), 0, "{}", server.server_log());
        server.run();
        server.unseal();
        client.get("kv/data/0/2").ok();
    }
    client.post("sys/seal", json!({})).is(204);
    assert_eq!(server.stop(), 0, "{}", server.server_log());
    trace.extend(server.trace().calls());
}

#[test]
fn every_rule_is_needed() {
    if !Trace::possible() {
        return eprintln!("SKIP: no strace, or no right to trace: redundant seccomp rules go unnoticed");
    }
    let mut trace = BTreeSet::new();
    work(&mut trace, Seal::SoftHsm, "sled");
    work(&mut trace, Seal::SoftHsm, "redb");
    work(&mut trace, Seal::Shamir, "memory");
    let rules = rules();
    let text = |rule: &Value, name: &str| rule[name].as_str().unwrap().to_owned();
    let keys: BTreeSet<(String, String)> = rules.iter().map(|rule| (text(rule, "table"), text(rule, "name"))).collect();
    let mut wrong = Vec::new();
    for (table, name) in keys {
        let of_rule: Vec<&Value> =
            rules.iter().filter(|rule| rule["table"] == *table && rule["name"] == *name).collect();
        // For roles that are not locked yet; they run under the monitor's filter.
        let early = table.starts_with("startup");
        // The monitor's list has its children's, which it does not use itself.
        let inherited = table != "common" && of_rule.len() > 1;
        let by = |role: &str| of_rule.iter().any(|rule| rule["role"] == *role) && !(inherited && role == "monitor");
        let met = trace.iter().any(|call| call.name == name && call.locked != early && (early || by(&call.role)));
        match (of_rule[0]["called_in_tests"].as_str().unwrap(), met) {
            ("always", false) => wrong.push(format!("{table}: {name} is never called: take it out, or say when it is")),
            ("never", true) => wrong.push(format!("{table}: {name} is called, against its mark")),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
