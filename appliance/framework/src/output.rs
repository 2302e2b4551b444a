//! What a handler answers with.

use std::io::Read;

use crate::envelope::{Original, WrapInfo};
use crate::{Auth, Error, Field, Fields, Json, Lease, Map};

/// Work that a handler leaves for later.
pub type Later = Box<dyn FnOnce() -> Result<(), Error> + Send>;

/// Work outside the transaction. Gets the handler's answer, and the request's body where the route streams it
/// ([`crate::Route::streamed`]); gives the answer.
pub type Outside = Box<dyn FnOnce(Output, &mut dyn Read) -> Result<Output, Error> + Send>;

/// A handler's answer before it is encoded.
#[derive(Default)]
pub struct Output {
    /// The data; `None` becomes 204 unless something else is to be said.
    pub data: Option<Map<String, Json>>,
    /// A token that was made or renewed, or is to be made.
    pub auth: Option<Auth>,
    /// The lease on the data: issued in the transaction of the handler, or, without a kind, no more than a word on how long
    /// the data may be kept.
    pub lease: Option<Lease>,
    /// Things the client should know.
    pub warnings: Vec<String>,
    /// A status other than 200 or 204.
    pub status: Option<u16>,
    /// Sent in place of all of this, if it is no JSON.
    pub raw: Option<Raw>,
    /// Where the answer was put away: then the client gets this and nothing else of it.
    pub wrap_info: Option<WrapInfo>,
    /// The request that the answer was made for, where it was put away and is given out now.
    pub original: Option<Original>,
    /// Done once, after the commit and before the answer is recorded, outside any transaction: what may take its time, such
    /// as calling an engine back for many leases. If it fails, its error is the answer, and the commit stands.
    pub outside: Option<Outside>,
    /// Bytes in place of all of the above.
    pub stream: Option<Stream>,
    /// Done after the answer is recorded and before it is sent: how `sys/seal` can answer at all.
    pub finally: Option<Later>,
}

/// An answer that is not JSON. The audit log sees that there was one, and not what is in it: it must hold no secret.
pub struct Raw {
    /// Its `Content-Type`.
    pub media_type: &'static str,
    /// All of it.
    pub body: Vec<u8>,
}

impl Output {
    /// An answer that is not JSON.
    pub fn raw(raw: Raw) -> Self {
        Self { raw: Some(raw), ..Self::default() }
    }

    /// Whether there is nothing to say: 204.
    pub fn is_silent(&self) -> bool {
        self.data.is_none()
            && self.raw.is_none()
            && self.auth.is_none()
            && self.lease.is_none()
            && self.warnings.is_empty()
            && self.wrap_info.is_none()
    }

    /// The accessor of the credential in it, if it is one: of a token, or of an AppRole's secret id.
    pub fn accessor(&self) -> Option<&str> {
        let token = self.auth.as_ref().map(|auth| auth.accessor.as_str());
        token.or_else(|| self.data.as_ref()?.get("secret_id_accessor")?.as_str())
    }
}

/// An answer of bytes in place of JSON, read after it is recorded. If reading fails, the connection breaks off, so that no
/// client takes a part for the whole.
pub struct Stream {
    /// The media type.
    pub media_type: &'static str,
    /// The bytes.
    pub bytes: Box<dyn Read + Send>,
}

/// A handler's answer with more to say than data.
pub struct Reply<R> {
    /// The data.
    pub data: R,
    /// Things the client should know.
    pub warnings: Vec<String>,
    /// A status other than 200.
    pub status: Option<u16>,
}

impl<R> Reply<R> {
    /// Data and nothing else.
    pub fn new(data: R) -> Self {
        Self { data, warnings: Vec::new(), status: None }
    }

    /// Adds a warning.
    pub fn warn(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    /// Answers with `status` in place of 200: a deleted version is a 404 that has data.
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }
}

/// What a handler may return.
pub trait IntoOutput {
    /// The schema of the data.
    fn answer() -> Vec<Field>;
    /// The answer.
    fn into_output(self) -> Output;
}

impl<R: Fields> IntoOutput for R {
    fn answer() -> Vec<Field> {
        R::fields()
    }
    fn into_output(self) -> Output {
        Output { data: Some(self.emit()), ..Output::default() }
    }
}

impl<R: Fields> IntoOutput for Reply<R> {
    fn answer() -> Vec<Field> {
        R::fields()
    }
    fn into_output(self) -> Output {
        Output { data: Some(self.data.emit()), warnings: self.warnings, status: self.status, ..Output::default() }
    }
}

/// 204.
impl IntoOutput for () {
    fn answer() -> Vec<Field> {
        Vec::new()
    }
    fn into_output(self) -> Output {
        Output::default()
    }
}

impl IntoOutput for Output {
    fn answer() -> Vec<Field> {
        Vec::new()
    }
    fn into_output(self) -> Output {
        self
    }
}

impl IntoOutput for Auth {
    fn answer() -> Vec<Field> {
        Vec::new()
    }
    fn into_output(self) -> Output {
        Output { auth: Some(self), ..Output::default() }
    }
}

/// An object whose keys are the client's own.
impl IntoOutput for Map<String, Json> {
    fn answer() -> Vec<Field> {
        Vec::new()
    }
    fn into_output(self) -> Output {
        Output { data: Some(self), ..Output::default() }
    }
}
