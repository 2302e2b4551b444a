//! What comes into the corridor and what leaves it.

use std::io::Read;

use framework::{Error, Headers, Json, Map, Operation, Origin, Output, Secret};

/// A decoded request.
pub struct Request {
    /// What the method asks for; POST and PUT are [`Operation::Update`].
    pub operation: Operation,
    /// The path without `/v1/`, percent-decoded, as the client sent it.
    pub path: String,
    /// The token, if one was given.
    pub token: Option<Secret>,
    /// The body's object, or the query's where the method has no body. A malformed body is an error here, so that it walks
    /// the corridor and is recorded like any other request.
    pub body: Result<Map<String, Json>, Error>,
    /// The body of a request to a streamed route, as it arrives; `body` is empty then. Reading waits for the client.
    pub upload: Option<Box<dyn Read + Send>>,
    /// Where the request came from.
    pub origin: Origin,
    /// Its headers.
    pub headers: Headers,
    /// `?help=1`: the answer is documentation.
    pub help: bool,
}

/// How the data of an answer is laid out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Shape {
    /// In the usual envelope, under `data`.
    #[default]
    Envelope,
    /// At the top level and nothing else.
    Bare,
    /// In the envelope and at the top level as well.
    Merged,
}

/// An answer, recorded and ready to be encoded.
pub struct Answer {
    /// The request's id.
    pub request_id: String,
    /// Kind of the mount that answered, for `mount_type`; empty where there was none.
    pub mount_type: String,
    /// The layout.
    pub shape: Shape,
    /// The outcome. [`Error::Conflict`] does not leave the corridor.
    pub result: Result<Output, Error>,
}
