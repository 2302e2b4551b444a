//! The threads on which requests run: handlers are synchronous, and a commit waits for the disk.
//!
//! Requests that take much of a processor ([`framework::Route::costly`]) have a narrow lane of their own: however many
//! clients log in with passwords, the others find the processors free.

use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use framework::{Cors, Error};

use crate::pool::Pool;
use crate::{Answer, Pipeline, Request};

/// How wide a lane is.
#[derive(Clone, Copy, Debug)]
pub struct Width {
    /// How many requests run at a time.
    pub threads: usize,
    /// How many may wait.
    pub waiting: usize,
}

/// A fixed number of threads for each lane, and a bounded queue in front of them.
pub struct Workers {
    pipeline: Arc<Pipeline>,
    usual: Pool,
    costly: Pool,
}

impl Workers {
    /// Starts the threads of both lanes.
    pub fn start(pipeline: Arc<Pipeline>, usual: Width, costly: Width) -> std::io::Result<Self> {
        // Two at least, so that one long request does not keep all others waiting.
        let processors = thread::available_parallelism().map_or(1, NonZero::get).max(2);
        let usual = Pool::start("worker", usual, processors)?;
        let costly = Pool::start("costly", costly, costly.threads)?;
        Ok(Self { pipeline, usual, costly })
    }

    /// Queues a request; `reply` gets the answer on the worker's thread. [`Error::Busy`] when the queue is full or closed.
    pub fn submit(&self, request: Request, reply: Box<dyn FnOnce(Answer) + Send>) -> Result<(), Error> {
        let lane = if self.pipeline.is_costly(&request) { &self.costly } else { &self.usual };
        let pipeline = Arc::clone(&self.pipeline);
        lane.submit(Box::new(move || reply(pipeline.handle(request))))
    }

    /// What web pages of other origins may do; `None` if nothing.
    pub fn cors(&self) -> Option<Arc<Cors>> {
        self.pipeline.registry.cors()
    }

    /// Takes no more requests, and waits for those that were taken.
    pub fn stop(&self) {
        self.usual.stop();
        self.costly.stop();
    }
}
