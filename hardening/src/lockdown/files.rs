//! Landlock: which files, ports, signals and abstract sockets are within reach.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};

use super::{Lockdown, Role};
use crate::report::{Report, State};

/// The newest ABI whose meaning has been tested here. The crate asks an older kernel for what it knows.
const NEWEST: ABI = ABI::V7;

const NAME: &str = "landlock";

const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});

/// No devices, no pipes, no sockets, no links, no execution.
const WRITE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir | Refer
});

const EXECUTE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir | Execute});

/// Every process: read.
const EVERYBODY_READS: [&str; 5] =
    ["/dev/urandom", "/dev/random", "/proc/self", "/sys/devices/system/cpu", "/sys/fs/cgroup"];

/// Every process: write.
const EVERYBODY_WRITES: [&str; 1] = ["/dev/null"];

/// The monitor's children resolve `/proc/self` to their own entries.
const MONITOR_READS: [&str; 1] = ["/proc"];

/// The dynamic loader, which the kernel executes for every program. A static program needs none.
const MONITOR_EXECUTES: [&str; 2] = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"];

/// What the loader reads: for the monitor's children, and for the libraries an hsm loads.
const LOADER_READS: [&str; 6] =
    ["/etc/ld.so.cache", "/etc/ld.so.preload", "/lib", "/lib64", "/usr/lib", "/etc/ssl/openssl.cnf"];

/// The resolver of glibc.
const RESOLVER_READS: [&str; 8] = [
    "/etc/resolv.conf",
    "/run/systemd/resolve",
    "/etc/nsswitch.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
];

pub(super) fn lock(lockdown: &Lockdown) -> Report {
    let mut report = Report::default();
    let mut absent = Vec::new();
    match restrict(lockdown, &mut absent) {
        Ok((status, abi)) => judge(&status, abi, lockdown, &mut report),
        Err(error) => report.add(NAME, State::NotSet, error.to_string()),
    }
    if !absent.is_empty() {
        report.add("landlock paths", State::Unavailable, format!("left out, since absent: {}", absent.join(", ")));
    }
    report
}

fn judge(status: &RulesetStatus, abi: LandlockStatus, lockdown: &Lockdown, report: &mut Report) {
    let effective = match abi {
        LandlockStatus::Available { effective_abi, .. } => effective_abi,
        _ => ABI::Unsupported,
    };
    if *status == RulesetStatus::NotEnforced {
        let why = "this kernel has no Landlock: it must be built in and named in `lsm=` on the kernel's command line";
        report.add(NAME, State::NotSet, why);
        return;
    }
    report.add(NAME, State::Set, format!("ABI {effective}: all other files are out of reach"));
    let mut depends = |name, since: ABI, holds: &str| {
        if effective >= since {
            report.add(name, State::Set, holds);
        } else {
            report.add(name, State::Unavailable, format!("needs Landlock ABI {since}, this kernel has {effective}"));
        }
    };
    depends("landlock truncate", ABI::V3, "files cannot be cut short outside the writable paths");
    if let Some(ports) = &lockdown.tcp_bind {
        depends("landlock bind", ABI::V4, &format!("TCP ports {ports:?}"));
    }
    if let Some(ports) = &lockdown.tcp_connect {
        depends("landlock connect", ABI::V4, &format!("TCP ports {ports:?}"));
    }
    depends("landlock ioctl", ABI::V5, "no ioctl on devices opened from now on");
    depends("landlock scope", ABI::V6, "no signals and no abstract sockets out of this process and its children");
}

fn restrict(lockdown: &Lockdown, absent: &mut Vec<String>) -> Result<(RulesetStatus, LandlockStatus), RulesetError> {
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(NEWEST))?.scope(Scope::from_all(NEWEST))?;
    if lockdown.tcp_bind.is_some() {
        ruleset = ruleset.handle_access(AccessNet::BindTcp)?;
    }
    if lockdown.tcp_connect.is_some() {
        ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
    }
    let mut created = ruleset.create()?;
    for port in lockdown.tcp_bind.iter().flatten() {
        created = created.add_rule(NetPort::new(*port, AccessNet::BindTcp))?;
    }
    for port in lockdown.tcp_connect.iter().flatten() {
        created = created.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    let files = &lockdown.files;
    let named = |paths: &'static [&'static str]| paths.iter().map(Path::new);
    // What a system lacks of these is nothing to report.
    let mut unreported = Vec::new();
    created = add(created, named(&EVERYBODY_READS), READ, &mut unreported)?;
    created = add(created, named(&EVERYBODY_WRITES), WRITE, &mut unreported)?;
    if lockdown.role == Role::Monitor {
        created = add(created, named(&MONITOR_READS), READ, &mut unreported)?;
        created = add(created, named(&MONITOR_EXECUTES), EXECUTE, &mut unreported)?;
    }
    if lockdown.role != Role::Server {
        created = add(created, named(&LOADER_READS), READ, &mut unreported)?;
    }
    if lockdown.resolves_names || lockdown.hsm_network || lockdown.role == Role::Monitor {
        created = add(created, named(&RESOLVER_READS), READ, &mut unreported)?;
    }
    created = add(created, files.read_only.iter(), READ, absent)?;
    created = add(created, files.read_write.iter(), WRITE, absent)?;
    created = add(created, files.execute.iter(), EXECUTE, absent)?;
    let status = created.restrict_self()?;
    Ok((status.ruleset, status.landlock))
}

fn add<P: AsRef<Path>>(
    mut ruleset: RulesetCreated,
    paths: impl Iterator<Item = P>,
    access: BitFlags<AccessFs>,
    absent: &mut Vec<String>,
) -> Result<RulesetCreated, RulesetError> {
    for path in paths {
        match PathFd::new(path.as_ref()) {
            Ok(opened) => ruleset = ruleset.add_rule(PathBeneath::new(opened, access))?,
            Err(_) => absent.push(path.as_ref().display().to_string()),
        }
    }
    Ok(ruleset)
}
