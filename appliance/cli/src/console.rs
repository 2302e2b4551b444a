//! The only way to standard output, standard error and standard input.

use std::io::{ErrorKind, Read, Write};

use crate::failure::Failure;

/// Where a command prints and reads. Tests hand in buffers; [`crate::run`] hands in the process's own streams.
pub(crate) struct Console<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
}

impl<'a> Console<'a> {
    pub(crate) fn new(out: &'a mut dyn Write, err: &'a mut dyn Write) -> Self {
        Self { out, err }
    }

    /// Prints text and a line end to standard output.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.raw(text)?;
        self.raw("\n")
    }

    /// Prints text to standard output as it is.
    pub(crate) fn raw(&mut self, text: &str) -> Result<(), Failure> {
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        written.map_err(|error| match error.kind() {
            // Whoever reads has seen enough, as in `… | head`.
            ErrorKind::BrokenPipe => Failure::Quiet(1),
            _ => Failure::local(format!("cannot write the output: {error}")),
        })
    }

    /// Prints text and a line end to standard error. A closed standard error is nobody to tell, so it is not an error.
    pub(crate) fn warn(&mut self, text: &str) {
        let _unread = writeln!(self.err, "{text}");
    }

    /// All of standard input, which must be UTF-8.
    pub(crate) fn read_input(&mut self) -> Result<String, Failure> {
        let mut text = String::new();
        std::io::stdin()
            .lock()
            .read_to_string(&mut text)
            .map_err(|error| Failure::local(format!("Failed to read from stdin: {error}")))?;
        Ok(text)
    }
}
