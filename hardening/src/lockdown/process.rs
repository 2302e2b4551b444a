//! Locks on the process itself: limits, dumpability, privileges.

use std::io;

use caps::{CapSet, CapsHashSet};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use super::{Lockdown, Role};
use crate::process::status_field;
use crate::report::{Report, State};

const MDWE_REFUSE_EXEC_GAIN: libc::c_ulong = 1;
const MDWE_NO_INHERIT: libc::c_ulong = 2;

pub(super) fn lock(lockdown: &Lockdown) -> Report {
    let mut report = Report::default();
    single_thread(&mut report);
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    note(&mut report, "core dumps", "RLIMIT_CORE 0", setrlimit(Resource::Core, none));
    note(&mut report, "not dumpable", "PR_SET_DUMPABLE 0", set_dumpable_behavior(DumpableBehavior::NotDumpable));
    note(&mut report, "no_new_privs", "no gain of rights by execve", rustix::thread::set_no_new_privs(true));
    deny_writable_code(lockdown, &mut report);
    drop_capabilities(&mut report);
    report
}

fn note(report: &mut Report, name: &'static str, what: &str, result: Result<(), rustix::io::Errno>) {
    match result {
        Ok(()) => report.add(name, State::Set, what),
        Err(error) => report.add(name, State::NotSet, format!("{what}: {}", io::Error::from(error))),
    }
}

/// Capabilities and Landlock bind one thread: with a second one about, the lock would have a hole.
fn single_thread(report: &mut Report) {
    match status_field("Threads") {
        Some(1) => {}
        Some(count) => {
            report.add("single thread", State::NotSet, format!("{count} threads run; lock down before starting any"));
        }
        None => report.add("single thread", State::Unavailable, "cannot read /proc/self/status"),
    }
}

/// Memory that was writable never becomes executable.
fn deny_writable_code(lockdown: &Lockdown, report: &mut Report) {
    const NAME: &str = "no writable code";
    let flags = match lockdown.role {
        // Its hsm child may have to run a library that writes code.
        Role::Monitor => MDWE_REFUSE_EXEC_GAIN | MDWE_NO_INHERIT,
        Role::Hsm if lockdown.writable_code => {
            report.add(NAME, State::Unavailable, "switched off for a library that writes code at run time");
            return;
        }
        Role::Server | Role::Hsm => MDWE_REFUSE_EXEC_GAIN,
    };
    let zero: libc::c_ulong = 0;
    // JUSTIFICATION: no crate here wraps PR_SET_MDWE and PR_GET_MDWE.
    // SAFETY: integers only; the calls change no memory, they make later requests for executable memory fail.
    let (result, error, held) = unsafe {
        let result = libc::prctl(libc::PR_SET_MDWE, flags, zero, zero, zero);
        let error = io::Error::last_os_error();
        (result, error, libc::prctl(libc::PR_GET_MDWE, zero, zero, zero, zero))
    };
    // A parent may have set it already, in the form that is inherited and cannot be changed.
    if result == 0 || (held > 0 && held & 1 == 1) {
        report.add(NAME, State::Set, "PR_SET_MDWE");
        return;
    }
    let state = if error.raw_os_error() == Some(libc::EINVAL) { State::Unavailable } else { State::NotSet };
    report.add(NAME, state, format!("PR_SET_MDWE: {error}; Linux 6.3 has it (6.6 for the monitor)"));
}

/// Empties all five sets. The bounding set first: emptying it takes a capability.
fn drop_capabilities(report: &mut Report) {
    let result = || -> Result<(), caps::errors::CapsError> {
        for capability in caps::read(None, CapSet::Bounding)? {
            // Without CAP_SETPCAP this fails; what is left is judged below.
            if caps::drop(None, CapSet::Bounding, capability).is_err() {
                break;
            }
        }
        // A kernel without ambient capabilities has none to clear.
        let _ = caps::clear(None, CapSet::Ambient);
        caps::clear(None, CapSet::Inheritable)?;
        caps::clear(None, CapSet::Effective)?;
        caps::clear(None, CapSet::Permitted)
    };
    if let Err(error) = result() {
        report.add("capabilities", State::NotSet, format!("dropping: {error}"));
        return;
    }
    let left = |set| caps::read(None, set).as_ref().map(CapsHashSet::len).unwrap_or(usize::MAX);
    let held = [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable].map(left);
    if held == [0, 0, 0] {
        report.add("capabilities", State::Set, "none effective, permitted or inheritable");
    } else {
        report.add("capabilities", State::NotSet, format!("still held: {held:?}"));
    }
    match left(CapSet::Bounding) {
        0 => report.add("bounding set", State::Set, "empty"),
        // No right to empty it, and no use: nothing is held, and no_new_privs keeps execve from giving any.
        count => report.add(
            "bounding set",
            State::Unavailable,
            format!("{count} left, for want of CAP_SETPCAP; without effect under no_new_privs"),
        ),
    }
}
