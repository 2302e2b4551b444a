//! The paths that OpenBao has and this server has not, each of which stands in `REFUSALS.md` with the reason.
//!
//! `make compare` prints them. What OpenBao has is read from a file; `UPDATE=1` writes that anew, from the `bao` in `BAO`.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use softhsm_tests::{Client, Seal, Server, Setup, eventually, free_address};

/// Operations by path; parts that are filled in are `{}`.
type Paths = BTreeMap<String, BTreeSet<String>>;

/// Auth methods whose paths are compared, too.
const METHODS: [&str; 3] = ["userpass", "approle", "cert"];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// What a server says that it has.
fn said_by(client: &Client) -> Paths {
    for method in METHODS {
        // Where there is no such method its paths are missing, and found so.
        client.post(&format!("sys/auth/{method}"), json!({"type": method}));
    }
    let document = client.get("sys/internal/specs/openapi").ok();
    let mut paths = Paths::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "post", "patch", "delete"] {
            if let Some(operation) = item.get(method) {
                paths.entry(normal(path)).or_default().extend(operations(method, operation));
            }
        }
    }
    paths.retain(|path, _| in_scope(path));
    paths
}

fn in_scope(path: &str) -> bool {
    let methods = METHODS.map(|method| format!("auth/{method}/"));
    ["sys/", "auth/token/", "cubbyhole/"]
        .into_iter()
        .chain(methods.iter().map(String::as_str))
        .any(|p| path.starts_with(p))
}

/// GET stands for a reading, a listing, or both: the parameter `list` tells.
fn operations(method: &str, operation: &Value) -> Vec<String> {
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let list = parameters.iter().find(|parameter| parameter["name"] == "list").map(|list| list["required"] == true);
    let names = match (method, list) {
        ("get", Some(true)) => vec!["list"],
        ("get", Some(false)) => vec!["get", "list"],
        _ => vec![method],
    };
    names.into_iter().map(str::to_owned).collect()
}

fn normal(path: &str) -> String {
    let segment = |segment: &str| if segment.starts_with('{') { "{}".to_owned() } else { segment.to_owned() };
    path.trim_matches('/').split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// One line for each path: the path, and its operations.
fn written(paths: &Paths) -> String {
    paths.iter().fold(String::new(), |mut text, (path, operations)| {
        let operations: Vec<&str> = operations.iter().map(String::as_str).collect();
        writeln!(text, "{path} {}", operations.join(" ")).unwrap();
        text
    })
}

fn read(text: &str) -> Paths {
    text.lines()
        .map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            (words.next().unwrap(), words.collect())
        })
        .collect()
}

/// A row of `REFUSALS.md`: a path (a `*` at its end stands for anything), the operations (none for all), the reason.
struct Refusal {
    path: String,
    operations: Vec<String>,
    reason: String,
}

impl Refusal {
    fn covers(&self, path: &str, operation: &str) -> bool {
        let here = match self.path.strip_suffix('*') {
            Some(start) => path.starts_with(start),
            None => path == self.path,
        };
        here && (self.operations.is_empty() || self.operations.iter().any(|name| name == operation))
    }
}

fn refusals() -> Vec<Refusal> {
    let text = std::fs::read_to_string(file("../REFUSALS.md")).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.strip_suffix(" |")?.splitn(3, " | ").collect();
        let [path, operations, reason] = cells.as_slice() else { return None };
        Some(Refusal {
            path: path.trim_end_matches('`').to_owned(),
            operations: operations.split(' ').filter(|name| *name != "all").map(str::to_owned).collect(),
            reason: (*reason).to_owned(),
        })
    };
    text.lines().filter_map(row).collect()
}

/// What `bao server -dev` has.
fn ask_openbao(bao: &Path) -> Paths {
    let address = free_address();
    let home = tempfile::tempdir().unwrap();
    let mut child = Command::new(bao)
        .args(["server", "-dev", "-dev-root-token-id=root", &format!("-dev-listen-address={address}")])
        .env("HOME", home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let client = Client::new(format!("http://{address}"), "root");
    let ready = || client.try_call("GET", "sys/mounts/secret", None).filter(|answer| answer.status == 200);
    eventually("bao server answers", ready);
    let paths = said_by(&client);
    child.kill().unwrap();
    child.wait().unwrap();
    paths
}

#[test]
fn what_is_missing_is_refused_for_a_reason() {
    let list = file("paths/openbao-2.7.2.txt");
    if std::env::var_os("UPDATE").is_some() {
        let bao = std::env::var_os("BAO").expect("UPDATE needs BAO, the path of a bao 2.7.2");
        std::fs::write(&list, written(&ask_openbao(Path::new(&bao)))).unwrap();
    }
    let theirs = read(&std::fs::read_to_string(list).unwrap());
    let server = Server::start(Setup {
        audit: false,
        extra: "raw_storage_endpoint = true\n".to_owned(),
        ..Setup::new(Seal::Shamir, "memory")
    });
    let ours = said_by(&server.client());
    let refusals = refusals();
    let (mut missing, mut used) = (Vec::new(), BTreeSet::new());
    for (path, operations) in &theirs {
        for operation in operations.iter().filter(|name| !ours.get(path).is_some_and(|ours| ours.contains(*name))) {
            match refusals.iter().position(|refusal| refusal.covers(path, operation)) {
                Some(row) => {
                    used.insert(row);
                    eprintln!("refused  {operation:6} {path}: {}", refusals[row].reason);
                }
                None => missing.push(format!("{operation:6} {path}")),
            }
        }
    }
    let known = theirs.values().map(BTreeSet::len).sum::<usize>();
    eprintln!("OpenBao has {known} operations on {} paths here.", theirs.len());
    for (row, refusal) in refusals.iter().enumerate() {
        if !used.contains(&row) {
            eprintln!("obsolete {}: OpenBao has no such path, or this server has it", refusal.path);
        }
    }
    assert!(missing.is_empty(), "neither here nor in REFUSALS.md:\n{}", missing.join("\n"));
}
