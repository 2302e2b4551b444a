//! The loop of the hsm process: questions in, answers out.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use framework::hsm::{LONGEST_FRAME, Question};
use hardening::{Secret, wipe_deep_stack};

use crate::Hsm;

/// Questions read and not yet taken by a worker; beyond, the sender waits in the socket.
const WAITING: usize = 64;
/// Smallest frame: id and tag.
const SHORTEST_FRAME: usize = 9;
/// How long answers under way may take after the other side is gone. A call stuck in the module is not waited for.
const GRACE: Duration = Duration::from_secs(2);

/// Answers questions from `socket` on `workers` threads until the other side closes it. Answers may overtake one another.
///
/// An HSM that cannot be used is no reason to end: each question is then answered with what is wrong. Only a PIN that was
/// refused just now is ([`Hsm::refused_pin`]).
///
/// # Errors
/// If the stream breaks or carries something that is no question: the connection is then shut down. If no thread can be
/// started.
pub fn serve(hsm: &Arc<Hsm>, socket: UnixStream, workers: usize) -> io::Result<()> {
    let (questions, waiting) = mpsc::sync_channel(WAITING);
    let waiting = Arc::new(Mutex::new(waiting));
    let answers = Arc::new(Mutex::new(socket.try_clone()?));
    let (busy, idle) = mpsc::channel();
    for number in 0..workers.max(1) {
        let worker = Worker {
            hsm: Arc::clone(hsm),
            questions: Arc::clone(&waiting),
            answers: Arc::clone(&answers),
            _busy: busy.clone(),
        };
        let started = thread::Builder::new().name(format!("hsm-{number}")).spawn(move || worker.run());
        match started {
            Ok(_) => {}
            Err(error) if number == 0 => return Err(error),
            Err(error) => tracing::warn!(%error, workers = number, "fewer HSM threads than configured"),
        }
    }
    drop((busy, waiting));
    let end = loop {
        match read_question(&socket) {
            Ok(Some(question)) => {
                if questions.send(question).is_err() {
                    break Ok(());
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    if end.is_err() {
        // Nothing after a broken frame can be trusted. The other side may be gone already.
        _ = socket.shutdown(Shutdown::Both);
    }
    drop(questions);
    // No worker ever sends; the channel closes when the last of them has ended.
    if let Err(RecvTimeoutError::Timeout) = idle.recv_timeout(GRACE) {
        tracing::warn!("a call into the PKCS#11 module has not come back");
    }
    end
}

struct Worker {
    hsm: Arc<Hsm>,
    questions: Arc<Mutex<Receiver<(u64, Question)>>>,
    answers: Arc<Mutex<UnixStream>>,
    _busy: Sender<()>,
}

impl Worker {
    fn run(self) {
        loop {
            // The lock is held while waiting: one worker waits in the channel, the others behind it.
            let next = self.questions.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((id, question)) = next else { return };
            let answer = self.hsm.answer(&question).encode(id);
            let last = self.hsm.refused_pin().is_some();
            drop(question);
            // The module's own frames are gone, and what it left in them goes here.
            wipe_deep_stack();
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = answers.write_all(answer.expose()) {
                tracing::debug!(%error, "an answer found no reader");
                // Wakes the reading side, which ends the loop.
                _ = answers.shutdown(Shutdown::Both);
                return;
            }
            if last {
                // The end of this process is how the monitor learns of it. Whoever waits is answered by the next one.
                _ = answers.shutdown(Shutdown::Both);
                return;
            }
        }
    }
}

/// The next question; `None` when the other side has closed the stream between two frames.
fn read_question(mut socket: &UnixStream) -> io::Result<Option<(u64, Question)>> {
    let mut length = [0; 4];
    let (first, rest) = length.split_at_mut(1);
    loop {
        match socket.read(first) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    socket.read_exact(rest)?;
    let malformed = |what| io::Error::new(ErrorKind::InvalidData, what);
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if !(SHORTEST_FRAME..=LONGEST_FRAME).contains(&length) {
        return Err(malformed("a frame of impossible length"));
    }
    let mut frame = vec![0; length];
    let read = socket.read_exact(&mut frame);
    // It may hold a plaintext: wiped when dropped, on the way out with an error too.
    let frame = Secret::transient(frame);
    read?;
    Question::decode(frame.expose()).map(Some).ok_or_else(|| malformed("a frame that is no question"))
}
