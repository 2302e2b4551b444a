//! The bounded pool of threads on which requests run: handlers are synchronous, and a commit waits for the disk.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use framework::Error;

use crate::{Answer, Pipeline, Request};

struct Job {
    request: Request,
    reply: Box<dyn FnOnce(Answer) + Send>,
}

/// A fixed number of threads and a bounded queue in front of them.
pub struct Workers {
    queue: Arc<Queue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// One wake-up a job: a channel behind a mutex would take two.
struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    longest: usize,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job; `None` once the queue is closed and empty.
    fn next(&self) -> Option<Job> {
        let mut waiting = self.lock();
        loop {
            if let Some(job) = waiting.jobs.pop_front() {
                return Some(job);
            }
            if waiting.closed {
                return None;
            }
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Workers {
    /// Starts `threads` threads; at most `longest` requests wait for one.
    pub fn start(pipeline: Arc<Pipeline>, threads: usize, longest: usize) -> std::io::Result<Self> {
        let queue = Arc::new(Queue { waiting: Mutex::default(), arrived: Condvar::new(), longest });
        let threads = (0..threads)
            .map(|n| {
                let (pipeline, queue) = (Arc::clone(&pipeline), Arc::clone(&queue));
                std::thread::Builder::new().name(format!("worker-{n}")).spawn(move || work(&pipeline, &queue))
            })
            .collect::<std::io::Result<Vec<_>>>()?;
        Ok(Self { queue, threads: Mutex::new(threads) })
    }

    /// Queues a request; `reply` gets the answer on the worker's thread. [`Error::Busy`] when the queue is full or closed.
    pub fn submit(&self, request: Request, reply: Box<dyn FnOnce(Answer) + Send>) -> Result<(), Error> {
        let mut waiting = self.queue.lock();
        if waiting.closed {
            return Err(Error::Busy { reason: "the server is stopping" });
        }
        if waiting.jobs.len() >= self.queue.longest {
            return Err(Error::Busy { reason: "too many requests are waiting" });
        }
        waiting.jobs.push_back(Job { request, reply });
        drop(waiting);
        self.queue.arrived.notify_one();
        Ok(())
    }

    /// Takes no more requests, and waits for those that were taken.
    pub fn stop(&self) {
        self.queue.lock().closed = true;
        self.queue.arrived.notify_all();
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = thread.join();
        }
    }
}

fn work(pipeline: &Pipeline, queue: &Queue) {
    while let Some(Job { request, reply }) = queue.next() {
        // Answering must not end the thread either, whatever the encoder makes of the answer.
        let _ = catch_unwind(AssertUnwindSafe(|| reply(pipeline.handle(request))));
        // What the request left on this thread's stack is nobody's business any more.
        hardening::wipe_deep_stack();
    }
}
