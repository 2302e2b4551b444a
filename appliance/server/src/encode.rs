//! From an answer to bytes: the envelope, and the one mapping from errors to status codes.

use axum::http::StatusCode;
use framework::{Error, Output, Raw, envelope};
use pipeline::{Answer, Shape};
use serde::Serialize;

use crate::body::{Budget, Charge};
use crate::stream::Download;

/// An answer ready to be sent.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// The status.
    pub(crate) status: StatusCode,
    /// The body; empty for none.
    pub(crate) body: Vec<u8>,
    /// What the body is.
    pub(crate) media_type: &'static str,
    /// `Retry-After`, in seconds.
    pub(crate) retry_after: Option<&'static str>,
    /// The node to ask in place of this one: address without a path.
    pub(crate) leader: Option<String>,
    /// What the body takes of the memory for large ones, until it is sent.
    pub(crate) charge: Charge,
    /// A body that is still being made, in place of `body`.
    pub(crate) download: Option<Download>,
}

impl Encoded {
    fn new(status: StatusCode, body: Vec<u8>) -> Self {
        Self {
            status,
            body,
            media_type: "application/json",
            retry_after: None,
            leader: None,
            charge: Charge::default(),
            download: None,
        }
    }

    /// No body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self::new(status, Vec::new())
    }

    /// `{"errors":[…]}`; no message gives an empty list.
    pub(crate) fn errors(status: StatusCode, message: &str) -> Self {
        let mut body = Vec::with_capacity(message.len() + 32);
        body.extend_from_slice(b"{\"errors\":[");
        if !message.is_empty() {
            json(&mut body, message);
        }
        body.extend_from_slice(b"]}\n");
        Self::new(status, body)
    }

    /// The same, with what its request holds of the budget made to fit its body; in its place a 503 where there is no room for
    /// that.
    pub(crate) fn charged(mut self, mut charge: Charge, request_id: &str, budget: &Budget) -> Self {
        if charge.answer(self.body.len(), budget) {
            self.charge = charge;
            return self;
        }
        error(request_id, Error::Busy { reason: "the answers to other requests take all the memory there is for them" })
    }

    /// An answer that comes as it is made.
    pub(crate) fn download(media_type: &'static str, download: Download) -> Self {
        Self { media_type, download: Some(download), ..Self::new(StatusCode::OK, Vec::new()) }
    }

    fn retry_after(mut self, seconds: &'static str) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

/// Encodes an answer.
pub(crate) fn answer(answer: Answer) -> Encoded {
    match answer.result {
        Ok(output) => success(&answer.request_id, &answer.mount_type, answer.shape, output),
        Err(error) => self::error(&answer.request_id, error),
    }
}

/// The one place where an error becomes a status.
pub(crate) fn error(request_id: &str, error: Error) -> Encoded {
    let status = match &error {
        Error::Invalid { .. } | Error::BadCredentials { .. } => StatusCode::BAD_REQUEST,
        Error::Denied | Error::Refused { .. } => StatusCode::FORBIDDEN,
        Error::NotFound => return Encoded::errors(StatusCode::NOT_FOUND, ""),
        Error::NoRoute { .. } => StatusCode::NOT_FOUND,
        Error::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
        Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Error::Uninitialized | Error::Sealed => StatusCode::SERVICE_UNAVAILABLE,
        Error::Standby { leader } if !leader.is_empty() => {
            let mut encoded = Encoded::errors(StatusCode::TEMPORARY_REDIRECT, &error.to_string());
            encoded.leader = Some(leader.trim_end_matches('/').to_owned());
            return encoded;
        }
        Error::Standby { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Error::HsmUnavailable { .. } => return hsm_unavailable(&error),
        Error::Busy { .. } => {
            return Encoded::errors(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()).retry_after("1");
        }
        Error::Conflict => return incident(request_id, "a conflict left the corridor"),
        Error::Internal(inside) => return incident(request_id, &inside.cause),
    };
    Encoded::errors(status, &error.to_string())
}

/// A fault of our own: the cause goes to the log, and the client gets the id under which it is found there.
pub(crate) fn incident(request_id: &str, cause: &str) -> Encoded {
    tracing::error!(incident = request_id, cause, "internal error");
    Encoded::errors(StatusCode::INTERNAL_SERVER_ERROR, &format!("internal error, incident {request_id}"))
}

/// A program can tell this from the other 503s by `code`.
fn hsm_unavailable(error: &Error) -> Encoded {
    let mut body = Vec::with_capacity(256);
    body.extend_from_slice(b"{\"errors\":[");
    json(&mut body, &error.to_string());
    body.extend_from_slice(b"],\"code\":\"hsm_unavailable\"}\n");
    Encoded::new(StatusCode::SERVICE_UNAVAILABLE, body).retry_after("5")
}

fn success(request_id: &str, mount_type: &str, shape: Shape, output: Output) -> Encoded {
    let status = output.status.and_then(|status| StatusCode::from_u16(status).ok());
    if let Some(Raw { media_type, body }) = output.raw {
        return Encoded { media_type, ..Encoded::new(status.unwrap_or(StatusCode::OK), body) };
    }
    if output.is_silent() {
        return Encoded::empty(status.unwrap_or(StatusCode::NO_CONTENT));
    }
    // Large enough for most answers: a buffer that grows is a secret that is copied.
    let mut body = Vec::with_capacity(2048);
    match (shape, &output.data) {
        (Shape::Bare, Some(data)) => json(&mut body, data),
        (shape, _) => envelope::write(&mut body, request_id, mount_type, &output, shape == Shape::Merged),
    }
    body.push(b'\n');
    Encoded::new(status.unwrap_or(StatusCode::OK), body)
}

/// Writes a value. Text, lists, maps with text as keys, and JSON itself always have a JSON form, and memory takes it.
fn json<T: ?Sized + Serialize>(body: &mut Vec<u8>, value: &T) {
    let _ = serde_json::to_writer(body, value);
}
