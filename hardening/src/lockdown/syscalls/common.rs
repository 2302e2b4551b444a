//! What every role does once it is locked: memory, threads, time, signals, and what is open already.

use super::{Rule, is, masked, null, rule};

/// Bits of clone's flags that make a namespace.
pub(super) const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET)
    .cast_unsigned();

/// The vDSO answers without the kernel, but not for every clock source.
pub(super) const NO_VDSO: &str = "a machine whose clock the vDSO cannot read (clock source hpet or xen)";
/// glibc has changed its mind twice.
const OTHER_GLIBC: &str = "glibc before 2.33 and from 2.39 on";

pub(super) const COMMON: &[Rule] = &[
    // memory; mmap and mprotect differ by role
    rule!(SYS_brk, "malloc's heap").sometimes("the main thread's heap grows once it is locked"),
    rule!(SYS_munmap, "free; thread stacks"),
    rule!(SYS_mremap, "realloc of large blocks").never_in_tests("libraries in C that let a large block grow"),
    rule!(SYS_madvise, "malloc gives pages back; thread stacks; fork and dump advice"),
    // threads
    rule!(SYS_clone, "a thread; never a process or a namespace").only(&[&[masked(
        0,
        libc::CLONE_THREAD.cast_unsigned() | NAMESPACES,
        libc::CLONE_THREAD,
    )]]),
    rule!(SYS_clone3, "its flags cannot be seen by a filter; glibc falls back to clone").absent(),
    rule!(SYS_exit, "a thread ends"),
    rule!(SYS_exit_group, "the process ends"),
    rule!(SYS_futex, "mutexes, condition variables, joining threads"),
    rule!(SYS_set_robust_list, "glibc, at the start of a thread"),
    rule!(SYS_rseq, "glibc, at the start of a thread"),
    rule!(SYS_sched_yield, "spinning before a lock sleeps").sometimes("threads meet at a lock"),
    rule!(SYS_sched_getaffinity, "number of processors; glibc, at the start of a thread"),
    rule!(SYS_prctl, "a thread's name; no_new_privs is set again before each filter").refuse_unless(&[
        &[is(0, libc::PR_SET_NAME)],
        &[is(0, libc::PR_GET_NAME)],
        &[is(0, libc::PR_SET_NO_NEW_PRIVS)],
    ]),
    // who and how much
    rule!(SYS_getpid, "identity: OpenSSL asks whether it was forked"),
    rule!(SYS_gettid, "identity; abort"),
    rule!(SYS_prlimit64, "reading limits, never setting them").refuse_unless(&[&[is(0, 0), null(2)]]),
    rule!(SYS_getrandom, "keys, nonces, hash seeds"),
    // time
    rule!(SYS_clock_gettime, "time").never_in_tests(NO_VDSO),
    rule!(SYS_clock_nanosleep, "sleeping"),
    rule!(SYS_restart_syscall, "the kernel goes on with a wait after a stop").sometimes("a stop signal meets a wait"),
    // signals
    rule!(SYS_rt_sigaction, "handlers"),
    rule!(SYS_rt_sigprocmask, "masks, at the start of threads and in abort"),
    rule!(SYS_rt_sigreturn, "return from a handler"),
    rule!(SYS_sigaltstack, "the stack-overflow handler of each thread"),
    rule!(SYS_tgkill, "abort; Landlock keeps signals inside the process from ABI 6 on")
        .never_in_tests("a panic within a panic, memory that cannot be had"),
    // files, and sockets that were inherited or received
    rule!(SYS_openat, "opening files; which, is Landlock's business"),
    rule!(SYS_read, "files"),
    rule!(SYS_write, "files; the log"),
    rule!(SYS_close, "descriptors"),
    rule!(SYS_newfstatat, "size and kind of a file"),
    rule!(SYS_fstat, "size and kind of an open file").never_in_tests(OTHER_GLIBC),
    rule!(SYS_statx, "size, kind, times"),
    rule!(SYS_fcntl, "flags, duplicates, record locks").refuse_unless(&[
        &[is(1, libc::F_GETFD)],
        &[is(1, libc::F_SETFD)],
        &[is(1, libc::F_GETFL)],
        &[is(1, libc::F_SETFL)],
        &[is(1, libc::F_DUPFD_CLOEXEC)],
        &[is(1, libc::F_GETLK)],
        &[is(1, libc::F_SETLK)],
        &[is(1, libc::F_SETLKW)],
        &[is(1, libc::F_OFD_GETLK)],
        &[is(1, libc::F_OFD_SETLK)],
        &[is(1, libc::F_OFD_SETLKW)],
    ]),
    rule!(SYS_sendto, "sending on a socket"),
    rule!(SYS_recvfrom, "receiving from a socket"),
];
