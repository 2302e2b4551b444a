//! What the processes of a server ask of the kernel, as `strace` records it.
//!
//! The recorder starts the program, so that no lock of its own making keeps it out, and sees each call before seccomp does.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::eventually;

/// A recording of one or several runs.
pub struct Trace(PathBuf);

/// A call, and who made it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Call {
    /// `monitor`, `server` or `hsm`.
    pub role: String,
    /// The process had its own filter by then.
    pub locked: bool,
    /// The kernel's name.
    pub name: String,
}

/// One thread's calls in their order.
struct Thread {
    /// When, in seconds since 1970; the name; and what follows it.
    calls: Vec<(f64, String, String)>,
}

impl Trace {
    /// Recordings go to files in this folder.
    pub fn new(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        Self(folder.to_owned())
    }

    /// Whether recording is possible here.
    pub fn possible() -> bool {
        let quiet = || Stdio::null();
        Command::new("strace")
            .args(["-D", "true"])
            .stdout(quiet())
            .stderr(quiet())
            .status()
            .is_ok_and(|it| it.success())
    }

    /// Runs `program` recorded. It is the child, the recorder its grandchild.
    pub fn command(&self, program: &OsStr) -> Command {
        let run = std::fs::read_dir(&self.0).unwrap().count();
        let mut command = Command::new("strace");
        command.args(["-D", "-ff", "-ttt", "-q", "-X", "raw", "-s", "8", "-o"]).arg(self.0.join(format!("run{run}")));
        command.arg(program);
        command
    }

    /// Every call that was recorded, once all that was recorded has ended.
    pub fn calls(&self) -> BTreeSet<Call> {
        let mut runs: BTreeMap<String, BTreeMap<u32, Thread>> = BTreeMap::new();
        for entry in std::fs::read_dir(&self.0).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let (run, id) = name.split_once('.').unwrap();
            let thread = eventually("the recorder has written everything", || Thread::read(&path));
            runs.entry(run.to_owned()).or_default().insert(id.parse().unwrap(), thread);
        }
        runs.values().flat_map(calls).collect()
    }
}

impl Thread {
    /// `None` while it still runs.
    fn read(path: &Path) -> Option<Self> {
        let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        let ended = text.lines().any(|line| line.contains("+++ exited with") || line.contains("+++ killed by"));
        let calls = text.lines().filter_map(|line| {
            let (time, rest) = line.split_once(' ')?;
            let (name, rest) = rest.split_once('(')?;
            let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            plain.then(|| (time.parse().unwrap(), name.to_owned(), rest.to_owned()))
        });
        ended.then(|| Self { calls: calls.collect() })
    }

    fn calls(&self, name: &str) -> impl Iterator<Item = &(f64, String, String)> {
        self.calls.iter().filter(move |(_, called, _)| called == name)
    }
}

/// The calls of one run, by role.
fn calls(threads: &BTreeMap<u32, Thread>) -> BTreeSet<Call> {
    // Which thread a thread was started by; threads that were not are processes.
    let mut started_by: BTreeMap<u32, u32> = BTreeMap::new();
    for (id, thread) in threads {
        for (_, _, rest) in thread.calls("clone").filter(|(_, _, rest)| flags(rest) & CLONE_THREAD > 0) {
            started_by.insert(rest.rsplit("= ").next().unwrap().trim().parse().unwrap(), *id);
        }
    }
    let mut all = BTreeSet::new();
    for (id, thread) in threads {
        let mut process = *id;
        while let Some(starter) = started_by.get(&process) {
            process = *starter;
        }
        let first = &threads[&process];
        // Its own filter is whole with the last of its programs.
        let locked_at = first.calls("seccomp").last().map_or(f64::INFINITY, |(time, _, _)| *time);
        for (time, name, _) in &thread.calls {
            let role = role(first).to_owned();
            all.insert(Call { role, locked: *time > locked_at, name: name.clone() });
        }
    }
    all
}

const CLONE_THREAD: u64 = 0x1_0000;

fn flags(rest: &str) -> u64 {
    let text = rest.split("flags=0x").nth(1).unwrap();
    let digits = text.split(|digit: char| !digit.is_ascii_hexdigit()).next().unwrap();
    u64::from_str_radix(digits, 16).unwrap()
}

/// By what the process became with its last execve: `[".../holdfast", "role", "server", …]`.
fn role(process: &Thread) -> &'static str {
    let became = process.calls("execve").last().map_or("", |(_, _, rest)| rest.as_str());
    if became.contains("\"role\", \"server\"") {
        "server"
    } else if became.contains("\"role\", \"hsm\"") {
        "hsm"
    } else {
        "monitor"
    }
}
