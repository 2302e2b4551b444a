//! One socket to the HSM process, with its two threads.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use framework::Secret;
use framework::hsm::{Answer, LONGEST_FRAME, Question};

/// The connection is gone, and the answer with it.
#[derive(Debug)]
pub(super) struct Lost;

pub(super) struct Connection {
    pub(super) number: u64,
    /// For shutting down only.
    stream: UnixStream,
    questions: SyncSender<Secret>,
    /// Who waits for which answer; `None` once the connection is lost.
    waiting: Mutex<Option<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    last_id: u64,
    callers: HashMap<u64, SyncSender<Answer>>,
}

impl Connection {
    /// Starts the threads. `on_answer` is called at every answer, `on_loss` once at the end with the reason.
    pub(super) fn start(
        number: u64,
        stream: UnixStream,
        queue: usize,
        on_answer: impl Fn() + Send + 'static,
        on_loss: impl FnOnce(String) + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let (reading, writing) = (stream.try_clone()?, stream.try_clone()?);
        let (questions, queued) = sync_channel(queue.max(1));
        let connection = Arc::new(Self { number, stream, questions, waiting: Mutex::new(Some(Waiting::default())) });
        thread::Builder::new().name("hsm-write".into()).spawn(move || write(writing, &queued))?;
        let reader = connection.clone();
        thread::Builder::new().name("hsm-read".into()).spawn(move || {
            let why = reader.read(reading, on_answer);
            // First, so that a caller who learns of the loss finds this connection out of use.
            on_loss(why);
            reader.close();
        })?;
        Ok(connection)
    }

    /// `Ok(None)` if the deadline passed first.
    pub(super) fn ask(&self, question: &Question, deadline: Instant) -> Result<Option<Answer>, Lost> {
        let (answer, answered) = sync_channel(1);
        let id = {
            let mut waiting = self.waiting();
            let waiting = waiting.as_mut().ok_or(Lost)?;
            waiting.last_id += 1;
            waiting.callers.insert(waiting.last_id, answer);
            waiting.last_id
        };
        match self.questions.try_send(question.encode(id)) {
            Ok(()) => {}
            Err(TrySendError::Disconnected(_)) => return Err(Lost),
            // Callers are fewer than the queue is long, so a full queue holds questions whose callers gave up: it hangs.
            Err(TrySendError::Full(_)) => {
                self.forget(id);
                return Ok(None);
            }
        }
        let patience = deadline.saturating_duration_since(Instant::now());
        let answer = framework::waiting(|| answered.recv_timeout(patience));
        self.forget(id);
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Lost),
        }
    }

    /// Ends both threads; every caller learns that its answer is lost.
    pub(super) fn close(&self) {
        // Fails if the other side has closed already; then there is nothing to do.
        let _ = self.stream.shutdown(Shutdown::Both);
        drop(self.waiting().take());
    }

    fn forget(&self, id: u64) {
        if let Some(waiting) = &mut *self.waiting() {
            waiting.callers.remove(&id);
        }
    }

    /// Hands out answers until the connection ends; says why it did.
    fn read(&self, mut stream: UnixStream, on_answer: impl Fn()) -> String {
        loop {
            let frame = match read_frame(&mut stream) {
                Ok(frame) => frame,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return "it closed the connection".to_owned();
                }
                Err(error) => return format!("reading from it: {error}"),
            };
            let Some((id, answer)) = Answer::decode(frame.expose()) else {
                return "it sent bytes that are no answer".to_owned();
            };
            on_answer();
            // Nobody may wait any more: the caller gave up.
            let caller = self.waiting().as_mut().and_then(|waiting| waiting.callers.remove(&id));
            if let Some(caller) = caller {
                // Room for one answer, and one is all it gets; fails only if the caller gave up this instant.
                let _ = caller.try_send(answer);
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What follows a frame's length. It may hold a secret.
fn read_frame(stream: &mut UnixStream) -> io::Result<Secret> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > LONGEST_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes")));
    }
    let mut failed = None;
    let frame = Secret::locked_with(length, |room| failed = stream.read_exact(room).err()).map_err(io::Error::other)?;
    failed.map_or(Ok(frame), Err)
}

fn write(mut stream: UnixStream, queued: &Receiver<Secret>) {
    for question in queued {
        if stream.write_all(question.expose()).is_err() {
            // The reader sees the end too, and says so.
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}
