//! Whole commands against a server that says what it is told to say.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use serde_json::json;

use super::{all, dispatch};
use crate::console::Console;
use crate::offline::Offline;

/// Takes every snapshot for sound, and knows no data directory.
const FILES: Offline = Offline {
    inspect: |snapshot| {
        let bytes = std::fs::metadata(snapshot).map_err(|error| error.to_string())?.len();
        Ok(json!({"id": "holdfast-7", "bytes": bytes}))
    },
    restore: |_, _| Err("there is no data directory".to_owned()),
    span: |config| Ok(json!({"first_record": config.len(), "last_record": 9})),
    rewind: |_, at| Ok(json!({"record": at})),
    undo: |_| Err("there is nothing to put back".to_owned()),
};

/// What one command did.
struct Run {
    code: u8,
    out: String,
    err: String,
    /// The requests as they arrived: head and body.
    requests: Vec<String>,
}

/// Runs a command line against a server that gives `answers` in turn, each a status and a body. `ADDRESS` in an answer
/// becomes the server's address.
fn run(line: &str, environment: &[(&str, &str)], answers: &[(&str, &str)]) -> Run {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = serve(listener, &address, answers);
    let lookup = |name: &str| match name {
        "VAULT_ADDR" => Some(address.clone()),
        name => environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()),
    };
    let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = dispatch(&arguments, &lookup, &FILES, &mut Console::new(&mut out, &mut err));
    let requests = server.join().unwrap();
    Run { code, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap(), requests }
}

fn serve(listener: TcpListener, address: &str, answers: &[(&str, &str)]) -> JoinHandle<Vec<String>> {
    let answers: Vec<String> = answers
        .iter()
        .map(|(status, body)| {
            let status = status.replace("ADDRESS", address);
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
        })
        .collect();
    std::thread::spawn(move || {
        answers
            .into_iter()
            .map(|answer| {
                let (mut stream, _) = listener.accept().unwrap();
                let request = receive(&mut stream);
                stream.write_all(answer.as_bytes()).unwrap();
                request
            })
            .collect()
    })
}

fn receive(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let mut part = [0; 4096];
        let count = stream.read(&mut part).unwrap();
        request.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        assert_ne!(count, 0, "the client hung up: {text}");
    }
}

const KV2: (&str, &str) = ("200 OK", r#"{"data":{"path":"team/kv/","options":{"version":"2"}}}"#);

#[test]
fn kv_put_asks_for_the_mount_and_writes_below_it() {
    let written = r#"{"request_id":"r","data":{"version":1,"custom_metadata":null,"deletion_time":""}}"#;
    let run = run("kv put team/kv/a/b x=1 -cas=0", &[("VAULT_TOKEN", "s.t")], &[KV2, ("200 OK", written)]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    assert!(run.requests[0].starts_with("GET /v1/sys/internal/ui/mounts/team/kv/a/b HTTP/1.1\r\n"));
    assert!(run.requests[1].starts_with("PUT /v1/team/kv/data/a/b HTTP/1.1\r\n"));
    assert!(run.requests[1].ends_with(r#"{"data":{"x":"1"},"options":{"cas":0}}"#));
    assert_eq!(
        run.out,
        "== Secret Path ==\nteam/kv/data/a/b\n\n======= Metadata =======\nKey                Value\n---                -----\n\
         custom_metadata    <nil>\ndeletion_time      n/a\nversion            1\n"
    );
}

#[test]
fn a_deleted_version_is_shown_though_its_status_is_404() {
    let deleted = r#"{"data":{"data":null,"metadata":{"version":2}}}"#;
    let run = run("kv get -mount=team/kv -format=json a", &[], &[KV2, ("404 Not Found", deleted)]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains("\"data\": null"));
}

#[test]
fn every_request_carries_the_headers_of_flags_and_environment() {
    let environment = [("HOLDFAST_TOKEN", "s.ours"), ("VAULT_TOKEN", "s.theirs"), ("BAO_NAMESPACE", "ns1")];
    let run = run("-header=X-Other=1 read -wrap-ttl=2m a/b?c", &environment, &[("204 No Content", "")]);
    let request = run.requests[0].to_lowercase();
    assert!(request.starts_with("get /v1/a/b%3fc http/1.1\r\n"), "{request}");
    for header in [
        "x-vault-request: true",
        "x-vault-token: s.ours",
        "x-vault-namespace: ns1/",
        "x-vault-wrap-ttl: 120",
        "x-other: 1",
    ] {
        assert!(request.contains(&format!("\r\n{header}\r\n")), "{header}: {request}");
    }
    assert_eq!((run.code, run.err.as_str()), (2, "No value found at a/b?c\n"));
}

#[test]
fn exit_codes_tell_whose_fault_it_is() {
    let refused = ("403 Forbidden", r#"{"errors":["permission denied"]}"#);
    let denied = run("list a", &[], &[refused]);
    assert_eq!(denied.code, 2);
    assert!(denied.err.contains("/v1/a?list=true\nCode: 403. Errors:\n\n* permission denied"), "{}", denied.err);
    let sealed = r#"{"type":"shamir","initialized":true,"sealed":true,"t":2,"n":3,"progress":1}"#;
    let leader = ("503 Service Unavailable", r#"{"errors":["Vault is sealed"]}"#);
    let status = run("status -field=ha_enabled", &[], &[("200 OK", sealed), leader]);
    assert_eq!((status.code, status.out.as_str()), (2, "true"));
    assert_eq!(run("status", &[], &[refused]).code, 1);
    assert_eq!(run("-address=http://127.0.0.1:1 read a", &[], &[]).code, 2);
    assert_eq!(run("-address=http://127.0.0.1:1 status", &[], &[]).code, 1);
    for line in [
        "read",
        "read a -bogus",
        "kv",
        "operator raft list-peers",
        "read -unlock-key=x a",
        "read -policy-override a",
        "read -format=xml a",
        "write a b",
        "kv undelete a",
    ] {
        assert_eq!(run(line, &[], &[]).code, 1, "{line}");
    }
    assert_eq!(run("bogus", &[], &[]).code, 127);
}

#[test]
fn one_redirect_is_followed_and_no_second() {
    let again = ("307 Temporary Redirect\r\nLocation: ADDRESS/v1/elsewhere", "");
    let followed = run("write a b=c", &[], &[again, ("204 No Content", "")]);
    assert_eq!((followed.code, followed.out.as_str()), (0, "Success! Data written to: a\n"));
    assert!(followed.requests[1].starts_with("PUT /v1/elsewhere ") && followed.requests[1].ends_with(r#"{"b":"c"}"#));
    assert_eq!(run("write a b=c", &[], &[again, again]).code, 2);
    assert_eq!(run("write -disable-redirects a b=c", &[], &[again]).code, 2);
}

#[test]
fn a_shown_request_is_not_sent_and_hides_the_token() {
    let run = run("write -output-curl-string a b=it's", &[("VAULT_TOKEN", "s.secret")], &[]);
    assert_eq!(run.code, 0);
    assert!(run.out.starts_with("curl -X PUT ") && run.out.contains(r#"-d '{"b":"it'\''s"}'"#), "{}", run.out);
    assert!(!run.out.contains("s.secret"));
}

#[test]
fn the_agent_is_asked_in_place_of_the_server() {
    let agent = "-address=http://127.0.0.1:1 -output-curl-string";
    let shown = run(&format!("read {agent} a"), &[("VAULT_AGENT_ADDR", "http://127.0.0.1:2")], &[]);
    assert!(shown.out.contains("http://127.0.0.1:2/v1/a"), "{}", shown.out);
    let shown = run(&format!("read {agent} -agent-address=http://127.0.0.1:3 a"), &[], &[]);
    assert!(shown.out.contains("http://127.0.0.1:3/v1/a"), "{}", shown.out);
}

#[test]
fn login_keeps_the_token_it_was_given() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().display().to_string();
    let environment = [("HOME", path.as_str())];
    let answer = ("200 OK", r#"{"auth":{"client_token":"s.new","policies":["default"],"lease_duration":60}}"#);
    let line = "login -no-print -method=userpass username=ada password=x";
    let login = run(line, &environment, &[answer]);
    assert_eq!((login.code, login.out.as_str()), (0, ""));
    assert!(login.requests[0].starts_with("PUT /v1/auth/userpass/login/ada "));
    assert!(login.requests[0].ends_with(r#"{"password":"x"}"#));
    let read = run("read a", &environment, &[("204 No Content", "")]);
    assert!(read.requests[0].to_lowercase().contains("x-vault-token: s.new"));
    assert_eq!(run("login", &environment, &[]).code, 1, "there is no terminal to ask at");
}

#[test]
fn auth_methods_are_moved_and_explained() {
    let moved = ("200 OK", r#"{"data":{"migration_id":"7"}}"#);
    let status = ("200 OK", r#"{"data":{"migration_info":{"status":"success"}}}"#);
    let run_move = run("auth move auth/a auth/b", &[], &[moved, status]);
    assert!(run_move.requests[0].ends_with(r#"{"from":"auth/a/","to":"auth/b/"}"#), "{}", run_move.requests[0]);
    assert!(run_move.code == 0 && run_move.out.contains("auth method auth/a/ to auth/b/"), "{}", run_move.out);
    let by_type = run("auth help cert", &[], &[]);
    assert!(by_type.code == 0 && by_type.out.contains("-method=cert"), "{}", by_type.out);
    let mounts = ("200 OK", r#"{"data":{"people/":{"type":"userpass"}}}"#);
    let by_path = run("auth help people/", &[], &[mounts]);
    assert!(by_path.code == 0 && by_path.out.contains("-method=userpass"), "{}", by_path.out);
    assert_eq!(run("auth help nowhere", &[], &[mounts]).code, 1);
}

#[test]
fn each_command_and_flag_is_declared_once_and_explains_itself() {
    let mut names = HashSet::new();
    for command in all() {
        assert!(names.insert(command.name), "{} is declared twice", command.name);
        let mut flags = HashSet::new();
        let help = run(&format!("{} -help", command.name), &[], &[]);
        assert_eq!(help.code, 0);
        for flag in command.all_flags() {
            assert!(flags.insert(flag.name), "{} has -{} twice", command.name, flag.name);
            assert!(help.out.contains(&flag.synopsis()), "{}: {}", command.name, help.out);
        }
    }
    let listed = run("-help", &[], &[]);
    assert!(listed.code == 0 && listed.out.contains("\n    kv "), "{}", listed.out);
}

#[test]
fn a_snapshot_gets_its_name_when_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.snap");
    let save = |word: &str| format!("operator {word} save {}", file.display());
    let saved = run(&save("raft snapshot"), &[], &[("200 OK", "all of it")]);
    assert_eq!((saved.code, saved.out.as_str(), saved.err.as_str()), (0, "", ""));
    assert!(saved.requests[0].starts_with("GET /v1/sys/storage/raft/snapshot "));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "all of it");
    let refused = run(&save("snapshot"), &[], &[("403 Forbidden", r#"{"errors":["permission denied"]}"#)]);
    assert!(refused.code == 2 && refused.err.contains("Error taking the snapshot: "), "{}", refused.err);
    // As if more was to come.
    let cut = run(&save("snapshot"), &[], &[("200 OK\r\nTransfer-Encoding: chunked", "9\r\nall")]);
    assert_eq!(cut.code, 2, "{}", cut.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "all of it", "the old one stays");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

    let restore = run(&format!("operator snapshot restore -force {}", file.display()), &[], &[("204 No Content", "")]);
    assert_eq!((restore.code, restore.err.as_str()), (0, ""));
    let request = &restore.requests[0];
    assert!(request.starts_with("POST /v1/sys/storage/raft/snapshot-force ") && request.ends_with("all of it"));
    assert_eq!(run("operator snapshot restore /nonexistent", &[], &[]).code, 2);
    let inspected = run(&format!("operator snapshot inspect -field=bytes {}", file.display()), &[], &[]);
    assert_eq!((inspected.code, inspected.out.as_str()), (0, "9"));
}

#[test]
fn data_directories_need_a_configuration_and_no_server() {
    let status = run("operator journal status -config=a -config=b -format=json", &[], &[]);
    assert_eq!((status.code, status.out.as_str()), (0, "{\n  \"first_record\": 2,\n  \"last_record\": 9\n}\n"));
    assert_eq!(run("operator journal replay -config=a -at=7 -field=record", &[], &[]).out, "7");
    for line in [
        "operator journal status",
        "operator journal replay -config=a",
        "operator snapshot undo -config=a",
        "operator snapshot restore -config=a /x",
        "operator snapshot restore -config=a -force /x",
    ] {
        let refused = run(line, &[], &[]);
        assert!(refused.code == 1 && !refused.err.is_empty(), "{line}");
    }
}
