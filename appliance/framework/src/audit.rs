//! What the audit log is told.

use crate::{Caller, Error, Json, Map, MountInfo, Operation, Origin, Output, Secret};

/// A request's headers in the order in which they came, names in lower case, but for those with the token.
///
/// For the corridor and the audit log. Handlers see none of them, and no answer has any of theirs, so that what a mount lets
/// through (`passthrough_request_headers`, `allowed_response_headers`) is nobody's business yet.
pub type Headers = Vec<(String, String)>;

/// A request, as it is judged and recorded.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// Where it came from.
    pub origin: &'a Origin,
    /// Its headers.
    pub headers: &'a Headers,
    /// Who asks; nobody for a bad token.
    pub caller: &'a Caller,
    /// How often the token could still be used when the request came; 0 for any number.
    pub remaining_uses: u64,
    /// The token as given.
    pub token: Option<&'a Secret>,
    /// What is wanted.
    pub operation: Operation,
    /// The full path, without `/v1/`.
    pub path: &'a str,
    /// The mount it goes to, if there is one.
    pub mount: Option<&'a MountInfo>,
    /// Body or query fields.
    pub data: &'a Map<String, Json>,
    /// Names of fields whose values may stand in the log as they are.
    pub clear: &'a [&'static str],
}

/// The audit log.
///
/// Every value that came from or goes to a client is secret unless its field is declared clear; an implementation writes its
/// HMAC. A call returns after at least one device has the line, or with [`Error::Internal`] if there are devices and none has.
pub trait AuditSink: Send + Sync {
    /// Records a request before it is carried out; `refusal` if it will not be.
    fn request(&self, ask: &Ask<'_>, refusal: Option<&Error>) -> Result<(), Error>;

    /// Records an answer before it is sent.
    fn response(&self, ask: &Ask<'_>, answer: &Result<Output, Error>) -> Result<(), Error>;
}

/// The sink for routes that are exempt from auditing ([`crate::Route::while_sealed`]): it takes everything and keeps nothing.
pub struct Exempt;

impl AuditSink for Exempt {
    fn request(&self, _: &Ask<'_>, _: Option<&Error>) -> Result<(), Error> {
        Ok(())
    }

    fn response(&self, _: &Ask<'_>, _: &Result<Output, Error>) -> Result<(), Error> {
        Ok(())
    }
}
