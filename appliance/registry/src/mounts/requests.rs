//! How often a mount is asked for what.

use framework::Operation;
use framework::metrics::Counter;

/// Requests to one mount since the server was unsealed, whatever became of them.
#[derive(Debug, Default)]
pub struct Requests {
    read: Counter,
    list: Counter,
    write: Counter,
    delete: Counter,
}

impl Requests {
    /// One more.
    #[inline]
    pub fn count(&self, operation: Operation) {
        match operation {
            Operation::Read => self.read.add_one(),
            Operation::List => self.list.add_one(),
            Operation::Create | Operation::Update | Operation::Patch => self.write.add_one(),
            Operation::Delete => self.delete.add_one(),
        }
    }

    /// Each class of operations, and its number.
    pub(crate) fn classes(&self) -> [(&'static str, u64); 4] {
        let Self { read, list, write, delete } = self;
        [("read", read.get()), ("list", list.get()), ("write", write.get()), ("delete", delete.get())]
    }
}
