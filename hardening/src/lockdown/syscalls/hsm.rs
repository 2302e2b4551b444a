//! What the hsm role needs beside: a vendor's PKCS#11 library, loaded before the filter, with its files and threads.

use super::common::NO_VDSO;
use super::{Rule, is, masked, rule};

const WRITE: u32 = libc::PROT_WRITE.cast_unsigned();
const EXECUTE: u32 = libc::PROT_EXEC.cast_unsigned();

/// Libraries loaded late (an OpenSSL provider) are mapped executable, but never writable at the same time, and
/// nothing becomes executable later.
pub(super) const LOADED_CODE: &[Rule] = &[
    rule!(SYS_mmap, "memory, files, libraries; never writable and executable")
        .refuse_unless(&[&[masked(2, WRITE, 0)], &[masked(2, EXECUTE, 0)]]),
    rule!(SYS_mprotect, "guard pages, relocations; never executable").refuse_unless(&[&[masked(2, EXECUTE, 0)]]),
];

/// For a vendor's library that generates code.
pub(super) const WRITABLE_CODE: &[Rule] = &[
    rule!(SYS_mmap, "memory, files, libraries that write their own code"),
    rule!(SYS_mprotect, "memory, files, libraries that write their own code"),
];

const OTHERS: &str = "PKCS#11 libraries beside SoftHSM, and SoftHSM when it makes keys";

/// What libraries are known to need that the suites do not run.
pub(super) const VENDOR: &[Rule] = &[
    rule!(SYS_mlock, "OpenSSL's secure heap").never_in_tests(OTHERS),
    rule!(SYS_munlock, "OpenSSL's secure heap").never_in_tests(OTHERS),
    rule!(SYS_socket, "syslog, which libraries do without; network = true allows TCP").refused().never_in_tests(OTHERS),
    rule!(SYS_getuid, "secure_getenv; the user's files").never_in_tests(OTHERS),
    rule!(SYS_geteuid, "secure_getenv; the user's files").never_in_tests(OTHERS),
    rule!(SYS_getgid, "secure_getenv").never_in_tests(OTHERS),
    rule!(SYS_getegid, "secure_getenv").never_in_tests(OTHERS),
    rule!(SYS_getppid, "whether it was forked").never_in_tests(OTHERS),
    rule!(SYS_uname, "the machine's name, in locks and logs").never_in_tests(OTHERS),
    rule!(SYS_sysinfo, "size of memory, in glibc's qsort").never_in_tests(OTHERS),
    rule!(SYS_gettimeofday, "time").never_in_tests(NO_VDSO),
    rule!(SYS_clock_getres, "time").never_in_tests(OTHERS),
    rule!(SYS_ppoll, "waiting for a device").never_in_tests(OTHERS),
    // files
    rule!(SYS_umask, "mode of a token's new files").never_in_tests(OTHERS),
    rule!(SYS_lseek, "reading and writing streams").never_in_tests(OTHERS),
    rule!(SYS_readv, "reading streams").never_in_tests(OTHERS),
    rule!(SYS_writev, "writing streams").never_in_tests(OTHERS),
    rule!(SYS_pread64, "databases").never_in_tests(OTHERS),
    rule!(SYS_pwrite64, "databases").never_in_tests(OTHERS),
    rule!(SYS_getdents64, "listing a token's objects").never_in_tests(OTHERS),
    rule!(SYS_faccessat, "existence").never_in_tests(OTHERS),
    rule!(SYS_faccessat2, "glibc tries it and falls back to faccessat").absent().never_in_tests(OTHERS),
    rule!(SYS_readlinkat, "canonical paths").never_in_tests(OTHERS),
    rule!(SYS_getcwd, "relative paths").never_in_tests(OTHERS),
    rule!(SYS_mkdirat, "a token's folder").never_in_tests(OTHERS),
    rule!(SYS_unlinkat, "a token's objects").never_in_tests(OTHERS),
    rule!(SYS_renameat, "replacing a file in one step").never_in_tests(OTHERS),
    rule!(SYS_ftruncate, "a token's objects").never_in_tests(OTHERS),
    rule!(SYS_fsync, "durability").never_in_tests(OTHERS),
    rule!(SYS_fdatasync, "durability").never_in_tests(OTHERS),
    rule!(SYS_flock, "one writer at a time").never_in_tests(OTHERS),
    rule!(SYS_fchmod, "mode of a new file").never_in_tests(OTHERS),
    rule!(SYS_ioctl, "non-blocking mode, bytes waiting, is it a terminal")
        .refuse_unless(&[
            &[is(1, libc::FIONBIO as i32)],
            &[is(1, libc::FIONREAD as i32)],
            &[is(1, libc::TCGETS as i32)],
        ])
        .never_in_tests(OTHERS),
];

/// What glibc calls on this architecture in place of the newer forms.
#[cfg(target_arch = "x86_64")]
pub(super) const VENDOR_OLD_FORMS: &[Rule] = &[
    rule!(SYS_poll, "waiting for a device").never_in_tests(OTHERS),
    rule!(SYS_access, "existence").never_in_tests(OTHERS),
    rule!(SYS_readlink, "canonical paths").never_in_tests(OTHERS),
    rule!(SYS_mkdir, "a token's folder").never_in_tests(OTHERS),
    rule!(SYS_rmdir, "a token's folder").never_in_tests(OTHERS),
    rule!(SYS_unlink, "a token's objects").never_in_tests(OTHERS),
    rule!(SYS_rename, "replacing a file in one step").never_in_tests(OTHERS),
    rule!(SYS_chmod, "mode of a new file").never_in_tests(OTHERS),
];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const VENDOR_OLD_FORMS: &[Rule] = &[];
