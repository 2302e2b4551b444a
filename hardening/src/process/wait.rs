//! Waiting for several things at once, in one thread and without a runtime.

use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// A signal that can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: reload.
    Hangup,
    /// SIGINT: end, from a terminal.
    Interrupt,
    /// SIGTERM: end.
    Terminate,
    /// SIGCHLD: a child has ended or stopped.
    Child,
}

const ALL: [(Signal, libc::c_int); 4] = [
    (Signal::Hangup, libc::SIGHUP),
    (Signal::Interrupt, libc::SIGINT),
    (Signal::Terminate, libc::SIGTERM),
    (Signal::Child, libc::SIGCHLD),
];

/// The handler's end of the socket pair; -1 until signals are caught.
static HANDLER_END: AtomicI32 = AtomicI32::new(-1);

/// Signals as something to wait for with [`wait_readable`]. Handlers, not a mask: a mask would be inherited by children.
#[derive(Debug)]
pub struct Signals {
    reader: UnixStream,
}

impl Signals {
    /// Catches `signals` from now on. Once for the process, in a process without another signal library.
    ///
    /// # Errors
    /// The kernel's; `AlreadyExists` at the second call.
    pub fn catch(signals: &[Signal]) -> io::Result<Signals> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        if HANDLER_END.compare_exchange(-1, writer.as_raw_fd(), Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "signals are caught already"));
        }
        // The handlers' for ever.
        let _ = writer.into_raw_fd();
        for (_, number) in ALL.iter().filter(|(signal, _)| signals.contains(signal)) {
            install(*number)?;
        }
        Ok(Signals { reader })
    }

    /// The signals that have come since the last call. Several of one kind may show as one.
    pub fn take(&self) -> Vec<Signal> {
        let mut taken = Vec::new();
        let mut buffer = [0; 64];
        while let Ok(count @ 1..) = (&self.reader).read(&mut buffer) {
            for byte in buffer.iter().take(count) {
                let found = ALL.iter().find(|(_, number)| *number == libc::c_int::from(*byte));
                taken.extend(found.map(|(signal, _)| *signal).filter(|signal| !taken.contains(signal)));
            }
        }
        taken
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

fn install(number: libc::c_int) -> io::Result<()> {
    // JUSTIFICATION: std has no signal handlers.
    // SAFETY: an all-zero sigaction is valid; the handler has the right signature for a handler without SA_SIGINFO and
    // does only what signal-safety(7) allows.
    let result = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let handler: extern "C" fn(libc::c_int) = handler;
        action.sa_sigaction = handler as *const () as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(number, &action, std::ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

extern "C" fn handler(number: libc::c_int) {
    let byte = number.to_le_bytes();
    // JUSTIFICATION: a handler may interrupt anything, so it calls write(2) itself and puts errno back.
    // SAFETY: write is async-signal-safe; the descriptor was leaked on purpose and stays open; a full socket is fine,
    // since then there is something to read already.
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(HANDLER_END.load(Ordering::SeqCst), byte.as_ptr().cast(), 1);
        *libc::__errno_location() = errno;
    }
}

/// Waits until one of `descriptors` is readable (sockets, [`Signals`], a [`Process`](super::Process) that ends) or has
/// lost its peer, or until `timeout` has passed. Says which, in the order given; none at a timeout.
///
/// # Errors
/// The kernel's; never `Interrupted`.
pub fn wait_readable(descriptors: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut polled: Vec<PollFd<'_>> =
        descriptors.iter().map(|descriptor| PollFd::from_borrowed_fd(*descriptor, PollFlags::IN)).collect();
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.map(|left| Timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        match poll(&mut polled, left.as_ref()) {
            Ok(_) => return Ok(polled.iter().map(|one| !one.revents().is_empty()).collect()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
