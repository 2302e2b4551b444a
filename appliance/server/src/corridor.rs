//! The way into the pipeline, as this crate needs it.

use std::sync::Arc;

use framework::{Cors, Error, Operation};
use pipeline::{Answer, Request, Workers};

/// Gets the answer, on the thread that worked on the request.
pub type Reply = Box<dyn FnOnce(Answer) + Send>;

/// Where requests go. A request is taken or refused at once: `submit` must not block.
pub trait Corridor: Send + Sync {
    /// Queues a request. `reply` is called once with the answer, or dropped if the work died.
    ///
    /// # Errors
    /// [`Error::Busy`] if no more requests are taken; then `reply` is not called.
    fn submit(&self, request: Request, reply: Reply) -> Result<(), Error>;

    /// What web pages of other origins may do; `None` if nothing. Must not block.
    fn cors(&self) -> Option<Arc<Cors>> {
        None
    }

    /// Whether such a request gets its body as it arrives, whatever its size and however long it takes.
    fn is_streamed(&self, _operation: Operation, _path: &str) -> bool {
        false
    }
}

impl Corridor for Workers {
    fn submit(&self, request: Request, reply: Reply) -> Result<(), Error> {
        Workers::submit(self, request, reply)
    }

    fn cors(&self) -> Option<Arc<Cors>> {
        Workers::cors(self)
    }

    fn is_streamed(&self, operation: Operation, path: &str) -> bool {
        Workers::is_streamed(self, operation, path)
    }
}
