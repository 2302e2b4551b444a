//! What lies in the memory of the processes: nothing of a request soon after its answer, and nothing at all after a seal.
//!
//! Keys are looked for by the barrier's own tests, which know them; from outside they cannot be told.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use softhsm_tests::{PIN, Seal, Server, Setup};

/// How long a copy may stay. Far less than an idle connection does, whose end would take its buffers along.
const SOON: Duration = Duration::from_secs(4);

/// Things to look for, by name, in every form in which one may lie in memory.
#[derive(Default)]
struct Wanted(Vec<(String, Vec<u8>)>);

impl Wanted {
    fn add(&mut self, name: &str, bytes: &[u8]) {
        let mut forms = vec![bytes.to_vec(), hex(bytes).into_bytes(), hex(bytes).to_uppercase().into_bytes()];
        // Base64 looks different for each of the three places in a group of three where the bytes may begin.
        forms.extend((0..3).map(|skip| base64(&bytes[skip..])));
        self.0.extend(forms.into_iter().map(|form| (name.to_owned(), form)));
    }

    /// A new text that stands nowhere else.
    fn mark(&mut self, name: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let mark =
            format!("mark-{:08x}-{:08x}", std::process::id().wrapping_mul(0x9e37_79b9), n.wrapping_mul(0x85eb_ca6b));
        self.add(name, mark.as_bytes());
        mark
    }

    /// How often each of them lies in the process.
    fn count(&self, pid: u32) -> BTreeMap<&str, usize> {
        // By the first two bytes, so that most places are done with at one look.
        let mut by_start = vec![Vec::new(); 1 << 16];
        for (name, form) in &self.0 {
            by_start[usize::from(u16::from_le_bytes([form[0], form[1]]))].push((name.as_str(), form.as_slice()));
        }
        let mut counts = BTreeMap::new();
        for memory in memory(pid) {
            for at in 0..memory.len().saturating_sub(1) {
                for (name, form) in &by_start[usize::from(u16::from_le_bytes([memory[at], memory[at + 1]]))] {
                    if memory[at..].starts_with(form) {
                        *counts.entry(*name).or_default() += 1;
                    }
                }
            }
        }
        counts
    }

    /// In all processes of the server, the names of those there are, with their process.
    fn found(&self, server: &Server) -> Vec<String> {
        let processes = server.processes();
        let counts = processes.iter().flat_map(|(role, pid)| {
            self.count(*pid).into_iter().map(move |(name, count)| format!("{name}: {count} in {role}"))
        });
        counts.collect()
    }

    #[track_caller]
    fn is_gone(&self, server: &Server, when: &str) {
        let until = Instant::now() + SOON;
        loop {
            let begun = Instant::now();
            let found = self.found(server);
            if found.is_empty() {
                return;
            }
            assert!(begun < until, "{when}: {found:#?}");
        }
    }
}

/// What a process has written, mapping by mapping. What the kernel shows nobody (memfd_secret) is left out.
fn memory(pid: u32) -> Vec<Vec<u8>> {
    let file = File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let written = maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw")));
    let read = written.map(|line| {
        let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        let mut length = 0;
        while let Ok(more @ 1..) = file.read_at(&mut bytes[length..], from + length as u64) {
            length += more;
        }
        bytes.truncate(length);
        bytes
    });
    read.collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// Whole groups only: what follows would change the rest.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = bytes.chunks_exact(3).map(|group| u32::from_be_bytes([0, group[0], group[1], group[2]]));
    groups.flat_map(|group| [18, 12, 6, 0].map(|shift| DIGITS[(group >> shift) as usize & 63])).collect()
}

fn may_look() -> bool {
    let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        eprintln!("SKIP: only root may read the memory of other processes");
    }
    root
}

/// Uses the server as clients do: good requests and bad ones, things that stay and things that go.
fn plant(server: &Server) -> Wanted {
    let mut wanted = Wanted::default();
    let root = server.client();
    server.mount("kv", true);
    root.post("sys/mounts/plain", json!({"type": "kv"})).ok();
    let policy = r#"path "kv/*" { capabilities = ["create", "read", "update", "delete", "list"] }"#;
    root.post("sys/policies/acl/users", json!({"policy": policy})).ok();
    let login = || root.post("auth/token/create", json!({"policies": ["users"]})).ok()["auth"]["client_token"].clone();

    let token = login().as_str().unwrap().to_owned();
    wanted.add("token", token.as_bytes());
    let user = root.with_token(&token);
    for path in ["kept", "changed", "deleted"] {
        for n in 0..3 {
            let value = wanted.mark(&format!("value {n}, {path}"));
            assert!(user.put(&format!("kv/data/{path}"), &value));
            assert_eq!(user.get(&format!("kv/data/{path}")).ok()["data"]["data"]["value"], value.as_str());
        }
    }
    user.delete("kv/metadata/deleted").ok();
    let large = wanted.mark("large value").repeat(2000);
    root.post("plain/large", json!({"value": large})).ok();
    root.get("plain/large").ok();
    root.post("cubbyhole/mine", json!({"value": wanted.mark("value in a cubbyhole")})).ok();
    root.get("cubbyhole/mine").ok();

    let revoked = login().as_str().unwrap().to_owned();
    wanted.add("revoked token", revoked.as_bytes());
    root.with_token(&revoked).get("kv/data/kept").ok();
    root.post("auth/token/revoke", json!({"token": revoked})).ok();
    assert_eq!(root.with_token(&revoked).get("kv/data/kept").status, 403);
    let unknown = wanted.mark("token that was never given out");
    assert_eq!(root.with_token(&unknown).get("kv/data/kept").status, 403);
    assert_eq!(user.post("nowhere/at/all", json!({"value": wanted.mark("value for nowhere")})).status, 403);
    let old = wanted.mark("value of a refused write");
    assert_eq!(root.post("kv/data/kept", json!({"data": {"value": old}, "options": {"cas": 99}})).status, 400);

    wanted.add("root token", server.root_token.as_bytes());
    for (n, share) in server.shares.iter().enumerate() {
        wanted.add(&format!("share {n}"), &unhex(share));
    }
    wanted.add("PIN", PIN.as_bytes());
    wanted
}

/// What a server keeps is nothing, with a client's connections open, and after a seal.
fn keeps_nothing(server: &Server) {
    let wanted = plant(server);
    wanted.is_gone(server, "soon after the answers");

    // A request of which a part is there is found: the search does find what there is.
    let mut half = Wanted::default();
    let (token, value) = (half.mark("token of half a request"), half.mark("value in half a request"));
    let mut stream = TcpStream::connect(server.socket).unwrap();
    let head = "POST /v1/kv/data/half HTTP/1.1\r\nHost: h\r\nContent-Length: 999\r\n";
    write!(stream, "{head}X-Vault-Token: {token}\r\n\r\n{{\"data\":{{\"value\":\"{value}").unwrap();
    softhsm_tests::eventually("half a request is there", || (half.found(server).len() == 2).then_some(()));

    server.client().post("sys/seal", json!({})).ok();
    half.is_gone(server, "half a request, after the seal");
    wanted.is_gone(server, "after the seal");
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "the connection was closed");
}

#[test]
fn nothing_stays_with_shares() {
    if may_look() {
        keeps_nothing(&Server::start(Setup::new(Seal::Shamir, "sled")));
    }
}

#[test]
fn nothing_stays_with_an_hsm() {
    if may_look() {
        keeps_nothing(&Server::start(Setup::new(Seal::SoftHsm, "redb")));
    }
}

/// Neither in the environment that each process shows, nor in the monitor, which needs it for the next hsm process.
#[test]
fn nothing_stays_with_a_pin_from_the_environment() {
    if !may_look() {
        return;
    }
    let mut server = Server::prepare(Setup::new(Seal::SoftHsm, "memory"));
    std::fs::remove_file(server.folder.path().join("pin")).unwrap();
    server.environment.push(("VAULT_HSM_PIN".into(), PIN.into()));
    server.run();
    server.initialise();
    keeps_nothing(&server);
    // And it is still known where it is needed.
    let hsm = server.pid("hsm").unwrap();
    softhsm_tests::signal(hsm, "KILL");
    let next = softhsm_tests::eventually("the next hsm process", || server.pid("hsm").filter(|pid| *pid != hsm));
    softhsm_tests::eventually("it has logged in", || {
        (server.server_log().matches("HSM opened").count() > 1).then_some(())
    });
    let mut pin = Wanted::default();
    pin.add("PIN", PIN.as_bytes());
    assert_eq!(pin.count(next), BTreeMap::new());
}

#[test]
fn the_search_finds_what_is_there() {
    if !may_look() {
        return;
    }
    let mut wanted = Wanted::default();
    let [raw, coded, absent] = ["raw", "coded", "absent"].map(|name| wanted.mark(name));
    let coded = String::from_utf8(base64(format!("ab{coded}").as_bytes())).unwrap();
    let mut other = Command::new("sleep").arg("60").env("RAW", &raw).env("CODED", &coded).spawn().unwrap();
    let counts = softhsm_tests::eventually("the program runs", || {
        let counts = wanted.count(other.id());
        counts.contains_key("raw").then_some(counts)
    });
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(counts.contains_key("coded"), "{counts:?}");
    assert!(!counts.contains_key("absent"), "{counts:?} {absent}");
}

/// A client that leaves its connection open.
struct Idle {
    openssl: Child,
    to: ChildStdin,
    from: ChildStdout,
}

impl Idle {
    fn connect(server: &Server) -> Self {
        let trusted = server.folder.path().join("tls.crt");
        let mut openssl = Command::new("openssl")
            .args(["s_client", "-quiet", "-verify_return_error", "-connect", &server.socket.to_string(), "-CAfile"])
            .arg(trusted)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (to, from) = (openssl.stdin.take().unwrap(), openssl.stdout.take().unwrap());
        Self { openssl, to, from }
    }

    /// The answer, of which every one here ends with a line break.
    fn ask(&mut self, line: &str, token: &str, body: &str) -> String {
        let length = body.len();
        let head = format!("{line} HTTP/1.1\r\nHost: h\r\nX-Vault-Token: {token}\r\nContent-Length: {length}\r\n\r\n");
        self.to.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice()).unwrap();
        self.to.flush().unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}\n") {
            let mut bytes = [0; 4096];
            let length = self.from.read(&mut bytes).unwrap();
            assert!(length > 0, "{}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&bytes[..length]);
        }
        String::from_utf8(answer).unwrap()
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        let _ = self.openssl.kill();
        let _ = self.openssl.wait();
    }
}

#[test]
fn an_idle_tls_connection_holds_nothing_of_its_last_request() {
    if !may_look() {
        return;
    }
    let mut server = Server::prepare(Setup::new(Seal::Shamir, "memory"));
    let folder = server.folder.path();
    let key = KeyPair::generate().unwrap();
    let names = vec![server.socket.ip().to_string()];
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    std::fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
    std::fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    let files = ["tls_cert_file", "tls_key_file"].into_iter().zip(["tls.crt", "tls.key"]);
    let files: Vec<String> = files.map(|(key, file)| format!("{key} = \"{}\"", folder.join(file).display())).collect();
    server.edit_config("tls_disable = true", &files.join(" "));
    server.spawn();
    softhsm_tests::eventually("it listens", || TcpStream::connect(server.socket).ok());

    let mut client = Idle::connect(&server);
    let mut wanted = Wanted::default();
    for (what, length) in [("short", 1), ("long", 500)] {
        let token = wanted.mark(&format!("token of a {what} request"));
        let value = wanted.mark(&format!("value in a {what} request")).repeat(length);
        let answer = client.ask("POST /v1/kv/data/a", &token, &json!({"data": {"value": value}}).to_string());
        assert!(answer.starts_with("HTTP/1.1 503"), "sealed: {answer}");
        wanted.is_gone(&server, what);
    }
    // It was open all the time.
    assert!(client.ask("GET /v1/sys/seal-status", "", "").starts_with("HTTP/1.1 200"));
}
