//! The threads on which requests run: handlers are synchronous, and a commit waits for the disk.
//!
//! Requests that take much of a processor ([`framework::Route::costly`]) have a narrow lane of their own: however many
//! clients log in with passwords, the others find the processors free.

use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use framework::{Cors, Error, Operation};

use crate::corridor::Lane;
use crate::pool::Pool;
use crate::shares::Shares;
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
    usual: Arc<Pool>,
    costly: Pool,
    shares: Option<Arc<Shares>>,
}

impl Workers {
    /// Starts the threads of both lanes. With `shares`, seal-wrapped mounts have no more of the usual one than these say.
    pub fn start(
        pipeline: Arc<Pipeline>,
        usual: Width,
        costly: Width,
        shares: Option<Arc<Shares>>,
    ) -> std::io::Result<Self> {
        // Two at least, so that one long request does not keep all others waiting.
        let processors = thread::available_parallelism().map_or(1, NonZero::get).max(2);
        let usual = Arc::new(Pool::start("worker", usual, processors)?);
        let costly = Pool::start("costly", costly, costly.threads)?;
        Ok(Self { pipeline, usual, costly, shares })
    }

    /// Queues a request; `reply` gets the answer on the worker's thread. [`Error::Busy`] when the queue is full or closed.
    pub fn submit(&self, request: Request, reply: Box<dyn FnOnce(Answer) + Send>) -> Result<(), Error> {
        let pipeline = Arc::clone(&self.pipeline);
        let lane = pipeline.lane(&request, self.shares.is_some());
        let job = Box::new(move || reply(pipeline.handle(request)));
        match (lane, &self.shares) {
            (Lane::Costly, _) => self.costly.submit(job),
            (Lane::SealWrapped(mount), Some(shares)) => shares.submit(&self.usual, mount.id, &mount.entry.path, job),
            (Lane::SealWrapped(_) | Lane::Usual, _) => self.usual.submit(job),
        }
    }

    /// What web pages of other origins may do; `None` if nothing.
    pub fn cors(&self) -> Option<Arc<Cors>> {
        self.pipeline.registry.cors()
    }

    /// See [`Pipeline::is_streamed`].
    pub fn is_streamed(&self, operation: Operation, path: &str) -> bool {
        self.pipeline.is_streamed(operation, path)
    }

    /// Takes no more requests, and waits for those that were taken.
    pub fn stop(&self) {
        self.usual.stop();
        self.costly.stop();
    }
}
