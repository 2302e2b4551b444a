//! Resource limits and the process's own account of itself.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Bytes this process may lock in memory; `None` if there is no limit. CAP_IPC_LOCK overrides it.
pub fn memlock_limit() -> Option<u64> {
    getrlimit(Resource::Memlock).current
}

/// Raises the soft limit of locked memory to the hard one and returns it (`None`: no limit).
///
/// # Errors
/// The kernel's, if it refuses.
pub fn raise_memlock_limit() -> io::Result<Option<u64>> {
    raise(Resource::Memlock)
}

/// Raises the soft limit of open files to the hard one and returns it (`None`: no limit).
///
/// # Errors
/// The kernel's, if it refuses.
pub fn raise_file_limit() -> io::Result<Option<u64>> {
    raise(Resource::Nofile)
}

fn raise(resource: Resource) -> io::Result<Option<u64>> {
    let maximum = getrlimit(resource).maximum;
    setrlimit(resource, Rlimit { current: maximum, maximum })?;
    Ok(maximum)
}

/// KiB this process has locked in memory (`VmLck`); `None` if `/proc` cannot be read. Linux 6.1 leaves memfd_secret
/// pages out of it although they are never swapped; [`arena::backing`](crate::arena::backing) tells.
pub fn locked_kib() -> Option<u64> {
    status_field("VmLck")
}

/// A number in `/proc/self/status`.
pub(crate) fn status_field(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(field, _)| *field == name)?;
    value.split_whitespace().next()?.parse().ok()
}
