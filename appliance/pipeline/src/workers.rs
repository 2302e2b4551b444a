//! The threads on which requests run: handlers are synchronous, and a commit waits for the disk.

use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use framework::Error;

use crate::pool::Pool;
use crate::{Answer, Pipeline, Request};

/// A fixed number of threads and a bounded queue in front of them.
pub struct Workers {
    pipeline: Arc<Pipeline>,
    pool: Pool,
}

impl Workers {
    /// Starts `threads` threads; at most `longest` requests wait for one.
    pub fn start(pipeline: Arc<Pipeline>, threads: usize, longest: usize) -> std::io::Result<Self> {
        // Two at least, so that one long request does not keep all others waiting.
        let processors = thread::available_parallelism().map_or(1, NonZero::get).max(2);
        Ok(Self { pipeline, pool: Pool::start(threads, longest, processors)? })
    }

    /// Queues a request; `reply` gets the answer on the worker's thread. [`Error::Busy`] when the queue is full or closed.
    pub fn submit(&self, request: Request, reply: Box<dyn FnOnce(Answer) + Send>) -> Result<(), Error> {
        let pipeline = Arc::clone(&self.pipeline);
        self.pool.submit(Box::new(move || reply(pipeline.handle(request))))
    }

    /// Takes no more requests, and waits for those that were taken.
    pub fn stop(&self) {
        self.pool.stop();
    }
}
