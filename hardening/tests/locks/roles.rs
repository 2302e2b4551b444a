//! The monitor and its children: locks that stack, sockets handed over, no orphan.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use hardening::arena::{self, Policy};
use hardening::process::{
    Process, Signal, Signals, control_socket, describe_exit, die_with_parent, receive_descriptor, send_descriptor,
    spawn_role, wait_readable,
};

use crate::acts::lockdown;
use crate::{Case, child, child_prints};

pub(crate) const CASES: &[Case] = &[
    ("roles run, restart and end under a locked monitor", family),
    ("no child outlives the monitor", orphans),
    ("a role started by hand refuses", by_hand),
    ("signals and timeouts are waited for", signals),
];

const DEADLINE: Option<Duration> = Some(Duration::from_secs(20));

pub(crate) fn run(name: &str, rest: &[&str]) -> bool {
    match (name, rest) {
        ("monitor", [folder]) => monitor(Path::new(folder)),
        ("role", [role, folder]) => role_process(role, Path::new(folder)),
        ("bereaved", [folder]) => {
            let (_held, socket) = UnixStream::pair().unwrap();
            lock_monitor(Path::new(folder));
            // Until it is killed, or the role fails to start.
            start("server", folder, socket.into()).wait(DEADLINE).unwrap();
        }
        ("by-hand", []) => println!("{}", control_socket().unwrap_err()),
        ("signals", []) => caught(),
        _ => return false,
    }
    true
}

fn lock_monitor(folder: &Path) {
    let mut lockdown = lockdown("monitor", folder);
    lockdown.files.execute.push(std::env::current_exe().unwrap());
    assert!(lockdown.apply().unwrap().complete());
}

fn start(role: &str, folder: &str, socket: OwnedFd) -> Process {
    let program = std::env::current_exe().unwrap();
    let arguments = ["child", "role", role, folder];
    spawn_role(&program, arguments, std::iter::empty::<(&str, &str)>(), socket, |_| {}).unwrap()
}

fn family() -> Option<&'static str> {
    let folder = tempfile::tempdir().unwrap();
    let printed = child_prints(&["monitor", folder.path().to_str().unwrap()]);
    assert_eq!(printed.matches("all well").count(), 1, "{printed}");
    None
}

/// A monitor that is locked before it starts anybody.
fn monitor(folder: &Path) {
    lock_monitor(folder);
    let signals = Signals::catch(&[Signal::Child]).unwrap();
    let text = folder.to_str().unwrap();
    let (mut server_end, socket) = UnixStream::pair().unwrap();
    let mut server = start("server", text, socket.into());
    for _ in 0..2 {
        // The hsm's socket goes to the server; the second time round, the hsm was killed and started again.
        let (mut hsm_end, socket) = UnixStream::pair().unwrap();
        let mut hsm = start("hsm", text, socket.into());
        send_descriptor(&server_end, b"h", hsm_end.as_fd()).unwrap();
        let mut answer = [0; 4];
        server_end.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"pong");
        hsm_end.write_all(b"!").unwrap(); // makes it call ptrace
        let ready = wait_readable(&[server.as_fd(), signals.as_fd(), hsm.as_fd()], DEADLINE).unwrap();
        assert!(!ready[0] && (ready[1] || ready[2]));
        let status = hsm.wait(DEADLINE).unwrap().unwrap();
        assert!(describe_exit(status).contains("seccomp"), "{status}");
        hsm.terminate().unwrap(); // it has ended: nobody is signalled
    }
    assert!(wait_readable(&[signals.as_fd()], DEADLINE).unwrap()[0]);
    assert_eq!(signals.take(), [Signal::Child]);
    assert!(server.wait(Some(Duration::ZERO)).unwrap().is_none());
    server.terminate().unwrap();
    assert_eq!(server.wait(DEADLINE).unwrap().unwrap().signal(), Some(libc::SIGTERM));
    println!("all well");
}

/// Either child: locks itself inside the monitor's locks, then serves its control socket.
fn role_process(role: &str, folder: &Path) {
    let control = control_socket().unwrap();
    die_with_parent(&control).unwrap();
    let lockdown = lockdown(role, folder);
    lockdown.early().unwrap();
    lockdown.seal_files().unwrap();
    arena::initialise(Policy { require_lock: true, ..Policy::default() }).unwrap();
    lockdown.seal_syscalls().unwrap();
    println!("ready");
    let mut word = [0; 1];
    if role == "server" {
        while let Ok((1, Some(hsm))) = receive_descriptor(&control, &mut word) {
            let (mut hsm, mut answer) = (UnixStream::from(hsm), [0; 4]);
            hsm.write_all(b"?").unwrap();
            hsm.read_exact(&mut answer).unwrap();
            (&control).write_all(&answer).unwrap();
        }
    } else {
        while let Ok(1) = (&control).read(&mut word) {
            match word {
                [b'?'] => (&control).write_all(b"pong").unwrap(),
                // JUSTIFICATION: the forbidden call. SAFETY: integers only.
                _ => drop(unsafe { libc::syscall(libc::SYS_ptrace, libc::PTRACE_TRACEME, 0, 0, 0) }),
            }
        }
    }
    // The monitor has gone. A role that only noticed by its socket would still be here when the test has had enough.
    std::thread::sleep(2 * DEADLINE.unwrap());
}

fn orphans() -> Option<&'static str> {
    let folder = tempfile::tempdir().unwrap();
    let mut monitor = Command::new(std::env::current_exe().unwrap())
        .args(["child", "bereaved", folder.path().to_str().unwrap()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = monitor.stdout.take().unwrap();
    let mut ready = [0; 6];
    output.read_exact(&mut ready).unwrap();
    assert_eq!(&ready, b"ready\n");
    monitor.kill().unwrap();
    monitor.wait().unwrap();
    // The pipe ends when the last holder, the role, has ended.
    let (waiter, done) = (output.as_fd(), DEADLINE);
    assert!(wait_readable(&[waiter], done).unwrap()[0], "the role still runs");
    assert_eq!(output.read(&mut ready).unwrap(), 0);
    None
}

fn by_hand() -> Option<&'static str> {
    assert!(child_prints(&["by-hand"]).contains("not the monitor's socket"));
    None
}

fn signals() -> Option<&'static str> {
    assert_eq!(child(&["signals"]).status.code(), Some(0));
    None
}

fn caught() {
    let signals = Signals::catch(&[Signal::Terminate, Signal::Hangup]).unwrap();
    assert!(Signals::catch(&[Signal::Child]).is_err());
    assert_eq!(wait_readable(&[signals.as_fd()], Some(Duration::from_millis(1))).unwrap(), [false]);
    let own = rustix::process::getpid();
    for signal in [rustix::process::Signal::HUP, rustix::process::Signal::TERM, rustix::process::Signal::HUP] {
        rustix::process::kill_process(own, signal).unwrap();
    }
    assert_eq!(wait_readable(&[signals.as_fd()], None).unwrap(), [true]);
    assert_eq!(signals.take(), [Signal::Hangup, Signal::Terminate]);
    assert!(signals.take().is_empty());
}
