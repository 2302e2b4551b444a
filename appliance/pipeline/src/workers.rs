//! The bounded pool of threads on which requests run: handlers are synchronous, and a commit waits for the disk.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use framework::Error;

use crate::{Answer, Pipeline, Request};

struct Job {
    request: Request,
    reply: Box<dyn FnOnce(Answer) + Send>,
}

/// A fixed number of threads and a bounded queue in front of them.
pub struct Workers {
    queue: Mutex<Option<SyncSender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    busy: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts `threads` threads; at most `waiting` requests wait for one.
    pub fn start(pipeline: Arc<Pipeline>, threads: usize, waiting: usize) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(waiting);
        let jobs = Arc::new(Mutex::new(jobs));
        let busy = Arc::new(AtomicUsize::new(0));
        let threads = (0..threads)
            .map(|n| {
                let (pipeline, jobs, busy) = (Arc::clone(&pipeline), Arc::clone(&jobs), Arc::clone(&busy));
                std::thread::Builder::new().name(format!("worker-{n}")).spawn(move || work(&pipeline, &jobs, &busy))
            })
            .collect::<std::io::Result<Vec<_>>>()?;
        Ok(Self { queue: Mutex::new(Some(queue)), threads: Mutex::new(threads), busy })
    }

    /// Queues a request; `reply` gets the answer on the worker's thread. [`Error::Busy`] when the queue is full or closed.
    pub fn submit(&self, request: Request, reply: Box<dyn FnOnce(Answer) + Send>) -> Result<(), Error> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(queue) = queue else { return Err(Error::Busy { reason: "the server is stopping" }) };
        queue.try_send(Job { request, reply }).map_err(|error| match error {
            TrySendError::Full(_) => Error::Busy { reason: "too many requests are waiting" },
            TrySendError::Disconnected(_) => Error::Busy { reason: "the server is stopping" },
        })
    }

    /// How many requests run at this moment.
    pub fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    /// Takes no more requests, and waits for those that were taken.
    pub fn stop(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = thread.join();
        }
    }
}

fn work(pipeline: &Pipeline, jobs: &Mutex<Receiver<Job>>, busy: &AtomicUsize) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { request, reply }) = next else { return };
        busy.fetch_add(1, Ordering::Relaxed);
        reply(pipeline.handle(request));
        // What the request left on this thread's stack is nobody's business any more.
        hardening::wipe_stack();
        busy.fetch_sub(1, Ordering::Relaxed);
    }
}
