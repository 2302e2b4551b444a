//! What a locked role can and cannot do.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::mpsc;
use std::thread;

use hardening::State;
use hardening::lockdown::{Lockdown, Mode, Role};

use crate::{Case, child, child_prints, everyday};

pub(crate) const CASES: &[Case] = &[
    ("the kernel shows every role locked", status),
    ("forbidden system calls end the process", killed),
    ("libraries' attempts are refused", refused),
    ("files outside are out of reach", outside),
    ("only listed ports", ports),
    ("locked roles still work", work),
    ("threads that ran before the filter have it too", threads),
    ("a lock that cannot be set stops the start, or is reported", modes),
];

const ROLES: [&str; 3] = ["monitor", "server", "hsm"];

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// The lock-down of a role with one folder to write in.
pub(crate) fn lockdown(role: &str, folder: &Path) -> Lockdown {
    let role = match role {
        "monitor" => Role::Monitor,
        "server" => Role::Server,
        _ => Role::Hsm,
    };
    let mut lockdown = Lockdown::new(Mode::Enforce, role);
    lockdown.files.read_write.push(folder.to_owned());
    lockdown
}

fn locked(role: &str, folder: &str) {
    let report = lockdown(role, Path::new(folder)).apply().unwrap();
    assert!(report.complete());
}

pub(crate) fn run(name: &str, rest: &[&str]) -> bool {
    match (name, rest) {
        ("status", [role, folder]) => {
            locked(role, folder);
            print!("{}", fs::read_to_string("/proc/self/status").unwrap());
        }
        ("act", [role, folder, act]) => {
            locked(role, folder);
            println!("errno {}", forbidden(act).raw_os_error().unwrap_or(0));
        }
        ("outside", [role, folder, other]) => {
            locked(role, folder);
            reach(Path::new(folder), Path::new(other));
        }
        ("ports", [folder]) => limited_ports(Path::new(folder)),
        ("work", [role, folder]) => {
            let sockets = everyday::Sockets::open();
            locked(role, folder);
            everyday::work(role, Path::new(folder), sockets);
        }
        ("abort", [role, folder]) => {
            locked(role, folder);
            std::process::abort();
        }
        ("thread", [role, folder]) => older_thread(role, Path::new(folder)),
        ("modes", [folder]) => second_thread(Path::new(folder)),
        _ => return false,
    }
    true
}

fn status() -> Option<&'static str> {
    let folder = folder();
    let root = rustix::process::geteuid().is_root();
    for role in ROLES {
        let status = child_prints(&["status", role, folder.path().to_str().unwrap()]);
        let mut expected = vec!["Seccomp:\t2", "NoNewPrivs:\t1", "Seccomp_filters:\t3"];
        let zero = ["CapInh", "CapPrm", "CapEff", "CapAmb"].map(|set| format!("{set}:\t0000000000000000"));
        expected.extend(zero.iter().map(String::as_str));
        if root {
            expected.push("CapBnd:\t0000000000000000");
        }
        for line in expected {
            assert!(status.lines().any(|found| found == line), "{role}: {line}: {status}");
        }
    }
    (!root).then_some("CapBnd only: an ordinary user cannot empty the bounding set")
}

/// Makes a forbidden call and returns what came of it.
fn forbidden(act: &str) -> io::Error {
    let path = c"/bin/true".as_ptr();
    let nothing: [*const libc::c_char; 1] = [std::ptr::null()];
    // JUSTIFICATION: forbidden calls have no safe wrapper.
    // SAFETY: the pointers are valid for the calls that use them; calls that would change this process are refused.
    let result = unsafe {
        match act {
            "execve" => libc::syscall(libc::SYS_execve, path, nothing.as_ptr(), nothing.as_ptr()),
            "execveat" => libc::syscall(libc::SYS_execveat, 0, path, nothing.as_ptr(), nothing.as_ptr(), 0),
            "ptrace" => libc::syscall(libc::SYS_ptrace, libc::PTRACE_TRACEME, 0, 0, 0),
            "process_vm_readv" => libc::syscall(libc::SYS_process_vm_readv, 1, 0, 0, 0, 0, 0),
            "fork" => libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0),
            "namespace" => libc::syscall(libc::SYS_clone, libc::CLONE_NEWUSER | libc::SIGCHLD, 0, 0, 0, 0),
            "unshare" => libc::syscall(libc::SYS_unshare, libc::CLONE_NEWUSER),
            "io_uring" => libc::syscall(libc::SYS_io_uring_setup, 1, 0),
            "bpf" => libc::syscall(libc::SYS_bpf, 0, 0, 0),
            "kill" => libc::syscall(libc::SYS_kill, libc::getppid(), 0),
            "memfd" => libc::syscall(libc::SYS_memfd_create, path, 0),
            "socket" => libc::syscall(libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0),
            "raw" => libc::syscall(libc::SYS_socket, libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
            "packet" => libc::syscall(libc::SYS_socket, libc::AF_PACKET, libc::SOCK_RAW, 0),
            "netlink" => libc::syscall(libc::SYS_socket, libc::AF_NETLINK, libc::SOCK_RAW, 0),
            "udp" => libc::syscall(libc::SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0),
            "dumpable" => libc::syscall(libc::SYS_prctl, libc::PR_SET_DUMPABLE, 1, 0, 0, 0),
            "setrlimit" => libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_CORE, &[0u64; 2], 0),
            "ioctl" => libc::syscall(libc::SYS_ioctl, 0, libc::TIOCSTI, path),
            "clone3" => libc::syscall(libc::SYS_clone3, 0, 0),
            "mmap" => libc::syscall(
                libc::SYS_mmap,
                0,
                4096,
                libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            ),
            "mprotect" => {
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                let page = libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
                libc::syscall(libc::SYS_mprotect, page, 4096, libc::PROT_READ | libc::PROT_EXEC)
            }
            _ => panic!("no act {act}"),
        }
    };
    if result < 0 { io::Error::last_os_error() } else { io::Error::from_raw_os_error(0) }
}

fn act(role: &str, act: &str) -> (ExitStatus, String) {
    let folder = folder();
    let output = child(&["act", role, folder.path().to_str().unwrap(), act]);
    (output.status, String::from_utf8(output.stdout).unwrap())
}

fn killed() -> Option<&'static str> {
    let both = [
        "execve",
        "execveat",
        "ptrace",
        "process_vm_readv",
        "fork",
        "namespace",
        "unshare",
        "io_uring",
        "bpf",
        "kill",
        "memfd",
    ];
    let of_the_monitor =
        ["execveat", "ptrace", "process_vm_readv", "namespace", "unshare", "io_uring", "bpf", "kill", "memfd"];
    // The server has all its sockets by then.
    let of_the_server = ["socket", "raw", "packet", "netlink", "udp", "ioctl"];
    let all = [("server", &both[..]), ("server", &of_the_server), ("hsm", &both), ("monitor", &of_the_monitor)];
    for (role, acts) in all {
        for name in acts {
            let (status, printed) = act(role, name);
            assert_eq!(status.signal(), Some(libc::SIGSYS), "{role} {name}: {status} {printed}");
        }
    }
    None
}

fn refused() -> Option<&'static str> {
    let permission = "errno 1\n";
    let hsm = ["socket", "raw", "netlink", "udp", "ioctl", "dumpable", "setrlimit", "mmap", "mprotect"];
    let monitor = ["raw", "packet", "netlink", "ioctl"];
    for (role, acts) in [("server", &hsm[5..]), ("hsm", &hsm), ("monitor", &monitor)] {
        for name in acts {
            assert_eq!(act(role, name).1, permission, "{role} {name}");
        }
        assert_eq!(act(role, "clone3").1, format!("errno {}\n", libc::ENOSYS), "{role}");
    }
    // Landlock, not seccomp, says what the monitor may execute.
    assert_eq!(act("monitor", "execve").1, format!("errno {}\n", libc::EACCES));
    None
}

fn outside() -> Option<&'static str> {
    for role in ROLES {
        let (inside, other) = (folder(), folder());
        fs::write(other.path().join("theirs"), b"untouched").unwrap();
        let paths = [&inside, &other].map(|folder| folder.path().to_str().unwrap().to_owned());
        child_prints(&["outside", role, &paths[0], &paths[1]]);
        assert_eq!(fs::read(other.path().join("theirs")).unwrap(), b"untouched");
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1);
    }
    None
}

fn reach(inside: &Path, other: &Path) {
    fs::write(inside.join("mine"), b"1").unwrap();
    let theirs = other.join("theirs");
    let attempts: [(&str, io::Result<()>); 7] = [
        ("read", File::open(&theirs).map(drop)),
        ("write", OpenOptions::new().write(true).open(&theirs).map(drop)),
        ("make", File::create(other.join("new")).map(drop)),
        ("list", fs::read_dir(other).map(drop)),
        ("remove", fs::remove_file(&theirs)),
        ("rename out", fs::rename(inside.join("mine"), other.join("moved"))),
        ("read", File::open("/etc/passwd").map(drop)),
    ];
    for (what, result) in attempts {
        let kind = result.expect_err(what).kind();
        assert!(matches!(kind, ErrorKind::PermissionDenied | ErrorKind::CrossesDevices), "{what}: {kind:?}");
    }
}

fn ports() -> Option<&'static str> {
    let folder = folder();
    let printed = child_prints(&["ports", folder.path().to_str().unwrap()]);
    printed.contains("skip").then_some("this kernel's Landlock has no network rules (ABI 4)")
}

fn limited_ports(folder: &Path) {
    let allowed = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut lockdown = lockdown("server", folder);
    lockdown.tcp_connect = Some(vec![allowed.local_addr().unwrap().port()]);
    lockdown.tcp_bind = Some(vec![]);
    // Without the filter, under which a server makes no socket at all.
    let mut report = lockdown.early().unwrap();
    report.append(lockdown.seal_files().unwrap());
    if report.get("landlock connect").unwrap().state == State::Unavailable {
        println!("skip");
        return;
    }
    TcpStream::connect(allowed.local_addr().unwrap()).unwrap();
    let denied = TcpStream::connect(other.local_addr().unwrap()).unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::PermissionDenied);
    assert_eq!(TcpListener::bind("127.0.0.1:0").unwrap_err().kind(), ErrorKind::PermissionDenied);
}

fn work() -> Option<&'static str> {
    for role in ROLES {
        let folder = folder();
        let path = folder.path().to_str().unwrap();
        child_prints(&["work", role, path]);
        assert_eq!(child(&["abort", role, path]).status.signal(), Some(libc::SIGABRT), "{role}");
    }
    None
}

fn threads() -> Option<&'static str> {
    let folder = folder();
    for role in ["server", "hsm"] {
        let output = child(&["thread", role, folder.path().to_str().unwrap()]);
        assert_eq!(output.status.signal(), Some(libc::SIGSYS), "{role}: {}", output.status);
    }
    None
}

fn older_thread(role: &str, folder: &Path) {
    let lockdown = lockdown(role, folder);
    lockdown.early().unwrap();
    lockdown.seal_files().unwrap();
    let (sender, receiver) = mpsc::channel::<()>();
    let older = thread::spawn(move || {
        receiver.recv().unwrap();
        forbidden("memfd")
    });
    lockdown.seal_syscalls().unwrap();
    sender.send(()).unwrap();
    println!("{}", older.join().unwrap());
}

fn modes() -> Option<&'static str> {
    let folder = folder();
    child_prints(&["modes", folder.path().to_str().unwrap()]);
    None
}

fn second_thread(folder: &Path) {
    let (sender, receiver) = mpsc::channel::<()>();
    let other = thread::spawn(move || receiver.recv());
    let mut lockdown = lockdown("server", folder);
    let error = lockdown.early().unwrap_err();
    assert_eq!(error.item.name, "single thread");
    assert!(error.to_string().contains("mode = \"report\""), "{error}");
    lockdown.mode = Mode::Report;
    lockdown.files.read_only.push("/no/such/path".into());
    let report = lockdown.apply().unwrap();
    assert!(!report.complete());
    assert!(report.to_string().contains("single thread: not set (2 threads run"), "{report}");
    assert!(report.get("landlock paths").unwrap().detail.contains("/no/such/path"), "{report}");
    assert_eq!(report.get("seccomp").unwrap().state, State::Set);
    drop(sender);
    let _ = other.join();
}
