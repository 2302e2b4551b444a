//! What the kernel says of the processes, and what becomes of them when one ends.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use softhsm_tests::{Client, Seal, Server, Setup, binary, eventually, free_address, running, signal};

/// The field of a file in `/proc/PID`, without its name.
fn field(pid: u32, file: &str, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {file}")).trim_start_matches(':').trim().to_owned()
}

#[test]
fn every_process_is_locked_down() {
    let server = Server::start(Setup::new(Seal::SoftHsm, "redb"));
    let processes = server.processes();
    let mut roles: Vec<&str> = processes.iter().map(|(role, _)| role.as_str()).collect();
    roles.sort_unstable();
    assert_eq!(roles, ["hsm", "monitor", "server"]);
    for (role, pid) in &processes {
        // Of every thread: a filter or a set of capabilities belongs to one.
        for thread in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
            let status = |name| field(*pid, &format!("task/{}/status", thread.file_name().to_string_lossy()), name);
            for (name, wanted) in [("Seccomp", "2"), ("NoNewPrivs", "1")] {
                assert_eq!(status(name), wanted, "{name} of {role}");
            }
            for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                assert_eq!(status(set), "0000000000000000", "{set} of {role}");
            }
        }
        let locked: u32 = field(*pid, "status", "VmLck").trim_end_matches(" kB").parse().unwrap();
        assert!(locked > 0 || role == "monitor", "{role} has locked no memory");
        let limits = field(*pid, "limits", "Max core file size");
        assert_eq!(limits.split_whitespace().take(2).collect::<Vec<_>>(), ["0", "0"], "core dumps of {role}");
        assert!(!can_be_looked_into(*pid), "{role} can be dumped and traced");
    }
}

/// Whether another process of the same user may look into this one. Root has to give up `CAP_SYS_PTRACE` to be asked at all.
fn can_be_looked_into(pid: u32) -> bool {
    let mut look = unprivileged("cat");
    look.arg(format!("/proc/{pid}/environ")).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

fn unprivileged(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all", program]);
    command
}

#[test]
fn the_look_into_a_process_succeeds_where_nothing_prevents_it() {
    let mut open = unprivileged("sleep").arg("60").spawn().unwrap();
    eventually("it can be looked into", || can_be_looked_into(open.id()).then_some(()));
    open.kill().unwrap();
    open.wait().unwrap();
}

#[test]
fn no_orphan_survives() {
    for role in ["monitor", "server"] {
        let mut server = Server::start(Setup::new(Seal::SoftHsm, "memory"));
        let processes = server.processes();
        signal(server.pid(role).unwrap(), "KILL");
        let mut child = server.child.take().unwrap();
        let status = eventually("the monitor ends", || child.try_wait().unwrap());
        assert!(!status.success(), "after the end of the {role}");
        eventually("all processes end", || processes.iter().all(|(_, pid)| !running(*pid)).then_some(()));
    }
}

#[test]
fn sigterm_ends_in_good_order_and_sighup_does_not_end() {
    let mut server = Server::start(Setup::new(Seal::SoftHsm, "redb"));
    server.mount("kv", true);
    let client = server.client();
    assert!(client.put("kv/data/a", "1"));
    // A rotated audit file is written to no more; the signal opens a new one.
    let rotated = server.audit_log().with_file_name("audit.log.1");
    std::fs::rename(server.audit_log(), &rotated).unwrap();
    signal(server.pid("monitor").unwrap(), "HUP");
    eventually("the audit file is opened anew", || {
        assert_eq!(client.get("kv/data/a").status, 200);
        server.audit_log().exists().then_some(())
    });
    let processes = server.processes();
    assert_eq!(processes.len(), 3);
    assert_eq!(server.stop(), 0, "{}", server.server_log());
    assert!(processes.iter().all(|(_, pid)| !running(*pid)));
    assert!(server.server_log().contains("stopped"));
}

/// A server for trying out, run by an ordinary user with so many KiB of memory to lock.
struct Trial {
    child: Child,
    client: Client,
    told: String,
    _folder: TempDir,
}

impl Trial {
    fn start(memlock: u32, flags: &[&str]) -> Self {
        // Where everybody may run it.
        let folder = tempfile::Builder::new().prefix("holdfast-dev-").tempdir().unwrap();
        let program = folder.path().join("holdfast");
        std::fs::copy(binary(), &program).unwrap();
        for path in [folder.path(), &program] {
            std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        let address = free_address();
        let nobody =
            "exec setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --inh-caps=-all \"$@\"";
        let mut child = Command::new("sh")
            .args(["-c", &format!("ulimit -l {memlock}; {nobody}"), "sh"])
            .arg(&program)
            .args(["server", "-dev", &format!("-dev-listen-address={address}")])
            .args(flags)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let told: Vec<String> =
            lines.by_ref().map_while(Result::ok).take_while(|line| !line.starts_with("Root Token")).collect();
        let told = told.join("\n");
        let token =
            told.split("VAULT_TOKEN='").nth(1).and_then(|rest| rest.split('\'').next()).unwrap_or_default().to_owned();
        Self { child, client: Client::new(format!("http://{address}"), token), told, _folder: folder }
    }

    /// Ends it; what it wrote to its log.
    fn end(mut self) -> String {
        signal(self.child.id(), "TERM");
        let status = eventually("it ends", || self.child.try_wait().unwrap());
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert!(status.success(), "{log}");
        log
    }
}

#[test]
fn an_ordinary_user_tries_it_out_with_every_lock() {
    if !is_root() {
        return eprintln!("SKIP: only root can become an ordinary user");
    }
    let trial = Trial::start(8192, &["-dev-root-token-id=try-it"]);
    assert!(
        trial.client.token == "try-it" && trial.told.contains(&format!("VAULT_ADDR='{}'", trial.client.base)),
        "{}",
        trial.told
    );
    assert!(trial.client.put("secret/data/hello", "world"));
    assert_eq!(trial.client.get("secret/data/hello").ok()["data"]["data"]["value"], "world");
    assert_eq!(field(trial.child.id(), "status", "Seccomp"), "2");
    assert!(field(trial.child.id(), "status", "Uid").starts_with("65534"));
    let log = trial.end();
    assert!(!log.contains("try-it"), "the log shows the token:\n{log}");
    assert!(!log.contains("not set"), "8 MiB are enough to lock everything:\n{log}");
}

#[test]
fn an_ordinary_user_is_told_what_is_not_locked() {
    if !is_root() {
        return eprintln!("SKIP: only root can become an ordinary user");
    }
    let trial = Trial::start(64, &[]);
    assert!(trial.client.token.starts_with("hvs."), "{}", trial.told);
    assert!(trial.client.put("secret/data/hello", "world"));
    let log = trial.end();
    assert!(log.contains("guarded memory: not set") && log.contains("LimitMEMLOCK"), "{log}");
}

fn is_root() -> bool {
    field(std::process::id(), "status", "Uid").starts_with('0')
}
