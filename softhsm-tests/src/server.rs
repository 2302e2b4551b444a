//! A server under test.

use std::ffi::OsString;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;
use crate::eventually;
use crate::token::SoftHsm;
use crate::trace::Trace;

/// The binary under test: `HOLDFAST_BIN`.
pub fn binary() -> PathBuf {
    std::env::var_os("HOLDFAST_BIN")
        .map(PathBuf::from)
        .expect("HOLDFAST_BIN names the binary under test: run `make test`")
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Seal {
    Shamir,
    SoftHsm,
    /// SoftHSM behind a module that plays AWS CloudHSM.
    CloudHsm,
}

impl Seal {
    /// Whether an HSM unseals.
    pub fn is_hsm(self) -> bool {
        self != Self::Shamir
    }
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Setup {
    pub seal: Seal,
    pub storage: &'static str,
    /// Further lines of configuration.
    pub extra: String,
    /// Further settings of the module that plays CloudHSM.
    pub shim: String,
    /// With a declared file audit device.
    pub audit: bool,
    /// The system calls of its processes are recorded.
    pub traced: bool,
}

impl Setup {
    pub fn new(seal: Seal, storage: &'static str) -> Self {
        Self { seal, storage, extra: String::new(), shim: String::new(), audit: true, traced: false }
    }
}

pub struct Server {
    pub folder: TempDir,
    pub setup: Setup,
    /// On a loopback address of its own, so that no two servers and no client's connection meet on one port.
    pub socket: SocketAddr,
    pub child: Option<Child>,
    pub root_token: String,
    pub shares: Vec<String>,
    /// Further flags of `holdfast server`.
    pub flags: Vec<&'static str>,
    /// Further variables of the environment.
    pub environment: Vec<(OsString, OsString)>,
    softhsm: Option<SoftHsm>,
}

impl Server {
    /// Writes the configuration and makes the seal key, but starts nothing.
    pub fn prepare(setup: Setup) -> Self {
        let folder = tempfile::Builder::new().prefix("holdfast-test-").tempdir().unwrap();
        let softhsm = match setup.seal {
            Seal::Shamir => None,
            Seal::SoftHsm => Some(SoftHsm::new(folder.path())),
            Seal::CloudHsm => Some(SoftHsm::cloudhsm(folder.path(), &setup.shim)),
        };
        let socket = free_address();
        let server = Self {
            folder,
            setup,
            socket,
            child: None,
            root_token: String::new(),
            shares: Vec::new(),
            flags: Vec::new(),
            environment: Vec::new(),
            softhsm,
        };
        server.write_config();
        if server.softhsm.is_some() {
            server.make_key("pkcs11");
        }
        server
    }

    /// A server that is initialised and unsealed.
    pub fn start(setup: Setup) -> Self {
        let mut server = Self::prepare(setup);
        server.run();
        server.initialise();
        server
    }

    /// Has an HSM from the next start on, which the storage is then to be moved to.
    pub fn give_hsm(&mut self) {
        self.setup.seal = Seal::SoftHsm;
        self.softhsm = Some(SoftHsm::new(self.folder.path()));
        self.write_config();
        self.make_key("pkcs11");
    }

    /// Makes the seal key of the stanza with this name.
    pub fn make_key(&self, seal: &str) {
        let flag = format!("-seal={seal}");
        let made = self.command(&["hsm", "init", &self.config_flag(), &flag]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    pub fn write_config(&self) {
        let storage = match self.setup.storage {
            "memory" => "storage \"memory\" {}\n".to_owned(),
            kind => format!("storage \"{kind}\" {{ path = \"{}\" }}\n", self.data().display()),
        };
        let seal = self.softhsm.as_ref().map(SoftHsm::stanza).unwrap_or_default();
        let audit = format!("audit \"file\" \"main\" {{ path = \"{}\" }}\n", self.audit_log().display());
        let listener = format!("listener \"tcp\" {{ address = \"{}\" tls_disable = true }}\n", self.socket);
        let audit = if self.setup.audit { audit } else { String::new() };
        std::fs::write(self.config(), format!("{storage}{seal}{audit}{listener}{}", self.setup.extra)).unwrap();
        std::fs::create_dir_all(self.audit_log().parent().unwrap()).unwrap();
    }

    /// Changes the configuration for the next start.
    pub fn edit_config(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.config()).unwrap();
        assert!(text.contains(from), "{from} is not in\n{text}");
        std::fs::write(self.config(), text.replace(from, to)).unwrap();
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("config.hcl")
    }

    pub fn config_flag(&self) -> String {
        format!("-config={}", self.config().display())
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn audit_log(&self) -> PathBuf {
        self.folder.path().join("log/audit.log")
    }

    pub fn server_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    /// The binary with this server's environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.with_environment(Command::new(binary()), arguments)
    }

    fn with_environment(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.args(arguments).env("HOME", self.folder.path()).env("VAULT_ADDR", self.address()).stdin(Stdio::null());
        command.envs(self.softhsm.iter().flat_map(SoftHsm::environment));
        command
    }

    /// The token; panics if shares unseal.
    pub fn hsm(&self) -> &SoftHsm {
        self.softhsm.as_ref().expect("this server has no HSM")
    }

    /// What its processes called, if that is recorded.
    pub fn trace(&self) -> Trace {
        Trace::new(&self.folder.path().join("trace"))
    }

    pub fn address(&self) -> String {
        format!("http://{}", self.socket)
    }

    /// Starts the process and waits until it answers.
    pub fn run(&mut self) {
        self.spawn();
        eventually("the server answers", || {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                panic!("the server ended with {status}:\n{}", self.server_log());
            }
            self.client().try_call("GET", "sys/seal-status", None)
        });
    }

    /// Starts the process.
    pub fn spawn(&mut self) {
        let log =
            std::fs::File::options().create(true).append(true).open(self.folder.path().join("server.log")).unwrap();
        let flag = self.config_flag();
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        let program = binary();
        let program = if self.setup.traced { self.trace().command(program.as_os_str()) } else { Command::new(program) };
        let child = self
            .with_environment(program, &["server", &flag])
            .args(&self.flags)
            .envs(environment)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Starts it where it must refuse to start; its exit code and what it said.
    pub fn refused(&self) -> (i32, String) {
        let flag = self.config_flag();
        let mut child = self.command(&["server", &flag]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let status = eventually("the server gives up", || child.try_wait().unwrap());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status.code().unwrap_or(-1), said)
    }

    pub fn initialise(&mut self) {
        let answer = self.client().post("sys/init", json!({"secret_shares": 3, "secret_threshold": 2})).ok();
        self.root_token = answer["root_token"].as_str().unwrap().to_owned();
        let shares = if answer["keys"].as_array().is_some_and(|keys| !keys.is_empty()) {
            &answer["keys"]
        } else {
            &answer["recovery_keys"]
        };
        self.shares = shares.as_array().unwrap().iter().map(|share| share.as_str().unwrap().to_owned()).collect();
        self.unseal();
    }

    /// Brings shares, or waits for the HSM.
    pub fn unseal(&self) {
        if self.setup.seal == Seal::Shamir {
            for share in self.shares.iter().take(2) {
                self.client().post("sys/unseal", json!({"key": share})).ok();
            }
        }
        eventually("unsealed", || (self.status()["sealed"] == false).then_some(()));
    }

    pub fn status(&self) -> Value {
        self.client().get("sys/seal-status").ok()
    }

    /// A client with the root token.
    pub fn client(&self) -> Client {
        Client::new(self.address(), self.root_token.clone())
    }

    /// A KV v2 mount at `path`.
    pub fn mount(&self, path: &str, seal_wrap: bool) {
        let body = json!({"type": "kv", "options": {"version": "2"}, "seal_wrap": seal_wrap});
        self.client().post(&format!("sys/mounts/{path}"), body).ok();
    }

    /// The processes of this server, by role.
    pub fn processes(&self) -> Vec<(String, u32)> {
        let monitor = self.child.as_ref().unwrap().id();
        let mut all = vec![("monitor".to_owned(), monitor)];
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            let Ok(line) = std::fs::read_to_string(entry.path().join("cmdline")) else { continue };
            let parts: Vec<&str> = line.split('\0').collect();
            if parent(pid) == Some(monitor) && parts.get(1) == Some(&"role") {
                all.push((parts[2].to_owned(), pid));
            }
        }
        all
    }

    pub fn pid(&self, role: &str) -> Option<u32> {
        self.processes().into_iter().find(|(name, _)| name == role).map(|(_, pid)| pid)
    }

    /// kill -9 of the monitor; its children must follow it.
    pub fn kill(&mut self) {
        let processes = self.processes();
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        eventually("no orphan survives", || processes.iter().all(|(_, pid)| !running(*pid)).then_some(()));
    }

    /// An orderly end; its exit code.
    pub fn stop(&mut self) -> i32 {
        let mut child = self.child.take().unwrap();
        signal(child.id(), "TERM");
        eventually("the server ends", || child.try_wait().unwrap()).code().unwrap_or(-1)
    }
}

/// An address that nobody else uses.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let ip = Ipv4Addr::new(127, NEXT.fetch_add(1, Ordering::Relaxed), high, low);
    TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- server log\n{}", self.server_log());
        } else {
            let violations = self.softhsm.as_ref().map(SoftHsm::violations).unwrap_or_default();
            assert!(violations.is_empty(), "the server misused its HSM:\n{violations}");
        }
    }
}

/// Sends a signal by name.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

/// Whether a process lives; one that has ended and is not waited for does not. A process whose first thread has ended lives
/// as long as its others: they still hold its files.
pub fn running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    !stat.is_empty() && (!stat.contains(") Z ") || threads > 1)
}

fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}
