//! What any Rust program with threads needs, whatever it does.

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

pub(super) const COMMON: &[Rule] = &[
    // memory; mmap and mprotect differ by role
    rule!(SYS_brk, "malloc's heap"),
    rule!(SYS_munmap, "free; thread stacks"),
    rule!(SYS_mremap, "malloc of large blocks; maps of database files"),
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
    rule!(SYS_sched_yield, "spinning before a lock sleeps"),
    rule!(SYS_sched_getaffinity, "number of processors"),
    rule!(SYS_membarrier, "lock-free libraries try it and use fences").absent(),
    rule!(SYS_prctl, "a thread's name; no_new_privs is set again before each filter").refuse_unless(&[
        &[is(0, libc::PR_SET_NAME)],
        &[is(0, libc::PR_GET_NAME)],
        &[is(0, libc::PR_SET_NO_NEW_PRIVS)],
    ]),
    // who and how much
    rule!(SYS_getpid, "identity"),
    rule!(SYS_gettid, "identity; abort"),
    rule!(SYS_getppid, "is the monitor still there"),
    rule!(SYS_getuid, "identity; secure_getenv"),
    rule!(SYS_geteuid, "identity; secure_getenv"),
    rule!(SYS_getgid, "identity; secure_getenv"),
    rule!(SYS_getegid, "identity; secure_getenv"),
    rule!(SYS_sysinfo, "size of memory, in glibc's qsort"),
    rule!(SYS_uname, "sled asks for the kernel's version"),
    rule!(SYS_prlimit64, "reading limits, never setting them").refuse_unless(&[&[is(0, 0), null(2)]]),
    rule!(SYS_getrandom, "keys, nonces, hash seeds"),
    // time
    rule!(SYS_clock_gettime, "time, where the vDSO cannot answer"),
    rule!(SYS_clock_getres, "time, where the vDSO cannot answer"),
    rule!(SYS_gettimeofday, "time, where the vDSO cannot answer"),
    rule!(SYS_clock_nanosleep, "sleeping"),
    rule!(SYS_restart_syscall, "the kernel, after a stop signal"),
    // signals
    rule!(SYS_rt_sigaction, "handlers"),
    rule!(SYS_rt_sigprocmask, "masks, at the start of threads and in abort"),
    rule!(SYS_rt_sigreturn, "return from a handler"),
    rule!(SYS_sigaltstack, "the stack-overflow handler of each thread"),
    rule!(SYS_tgkill, "abort; Landlock keeps signals inside the process from ABI 6 on"),
    // waiting, and sockets that were inherited or received
    #[cfg(target_arch = "x86_64")]
    rule!(SYS_poll, "waiting for sockets with a deadline"),
    rule!(SYS_ppoll, "waiting for sockets with a deadline"),
    rule!(SYS_sendto, "sending on a socket"),
    rule!(SYS_recvfrom, "receiving from a socket"),
    rule!(SYS_sendmsg, "sending; descriptors too"),
    rule!(SYS_recvmsg, "receiving; descriptors from the monitor too"),
    rule!(SYS_shutdown, "ending a connection"),
    rule!(SYS_setsockopt, "deadlines, no-delay, keep-alive"),
    rule!(SYS_getsockopt, "pending error, peer credentials"),
    rule!(SYS_getsockname, "own address"),
    rule!(SYS_getpeername, "peer's address"),
];
