//! Requests of web pages of other origins: the CORS protocol of the Fetch standard, as far as an operator allows it.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use framework::Cors;

/// What such pages may ask for.
const METHODS: &str = "DELETE,GET,OPTIONS,POST,PUT,PATCH,LIST";
/// How long a browser may remember the answer to its question, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("300");

/// What a request's origin means for it.
pub(crate) enum Cross {
    /// There is none, or nobody cares.
    Same,
    /// It is answered with this status and this message, and goes no further.
    Refused(StatusCode, &'static str),
    /// A browser asks what it may send.
    Preflight(Allowed),
    /// It goes on, and its answer says that the page may see it.
    Foreign(Allowed),
}

/// An origin that may use the API.
pub(crate) struct Allowed {
    origin: HeaderValue,
    cors: Arc<Cors>,
}

impl Cross {
    /// Judges a request by its head.
    pub(crate) fn judge(cors: Option<Arc<Cors>>, method: &Method, headers: &HeaderMap) -> Self {
        let (Some(cors), Some(origin)) = (cors, headers.get(header::ORIGIN)) else { return Self::Same };
        if !origin.to_str().is_ok_and(|origin| cors.allows(origin)) {
            return Self::Refused(StatusCode::FORBIDDEN, "origin not allowed");
        }
        let allowed = Allowed { origin: origin.clone(), cors };
        if method != Method::OPTIONS {
            return Self::Foreign(allowed);
        }
        let asked = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD).and_then(|method| method.to_str().ok());
        if asked.is_some_and(|asked| METHODS.split(',').any(|method| method == asked)) {
            Self::Preflight(allowed)
        } else {
            Self::Refused(StatusCode::METHOD_NOT_ALLOWED, "")
        }
    }
}

impl Allowed {
    /// Tells the browser that the page may see this answer.
    pub(crate) fn mark(&self, response: &mut Response) {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        if self.cors.credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }

    /// Tells the browser what the page may send.
    pub(crate) fn mark_preflight(&self, response: &mut Response) {
        self.mark(response);
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        let allowed: Vec<&str> = self.cors.headers().collect();
        if let Ok(allowed) = HeaderValue::try_from(allowed.join(",")) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        }
    }
}
