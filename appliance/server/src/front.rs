//! One request: decode, hand over, wait, answer.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, Version, header};
use axum::response::Response;
use axum::routing::any;
use framework::{Error, Json, Map, Operation};
use tokio::sync::oneshot;

use crate::body::{self, Budget, Charge, Failure};
use crate::config::Limits;
use crate::connection::Peer;
use crate::corridor::Corridor;
use crate::cross::Cross;
use crate::decode::{self, Head};
use crate::encode::{self, Encoded};
use crate::stream::{self, Upload};
use crate::{json, query};

const PREFIX: &str = "/v1/";

/// What every request needs.
pub(crate) struct Front {
    pub(crate) corridor: Arc<dyn Corridor>,
    pub(crate) limits: Limits,
    pub(crate) budget: Budget,
}

/// A request's body.
enum Content {
    /// All of it, and what it holds of the budget.
    Whole(Bytes, Charge),
    /// Nobody reads it.
    Refused(Error),
    /// It is read by the worker.
    Arriving(Upload),
}

/// Which targets there are.
pub(crate) fn router(front: Arc<Front>) -> Router {
    Router::new().route("/v1/", any(vault)).route("/v1/{*path}", any(vault)).fallback(nothing_here).with_state(front)
}

/// Whatever is not the API.
async fn nothing_here(Extension(peer): Extension<Arc<Peer>>) -> Response {
    let _work = peer.work();
    response(Encoded::errors(StatusCode::NOT_FOUND, ""), "")
}

/// The API.
async fn vault(State(front): State<Arc<Front>>, Extension(peer): Extension<Arc<Peer>>, request: Request) -> Response {
    let _work = peer.work();
    // Browsers alone name an origin.
    let named = request.headers().contains_key(header::ORIGIN);
    let cors = named.then(|| front.corridor.cors()).flatten();
    match Cross::judge(cors, request.method(), request.headers()) {
        Cross::Same => answer(&front, &peer, request).await,
        Cross::Foreign(allowed) => {
            let mut response = answer(&front, &peer, request).await;
            allowed.mark(&mut response);
            response
        }
        Cross::Preflight(allowed) => {
            let mut response = response(Encoded::empty(StatusCode::OK), "");
            allowed.mark_preflight(&mut response);
            response
        }
        Cross::Refused(status, message) => {
            let mut response = response(Encoded::errors(status, message), "");
            close(&mut response, request.version(), &peer);
            response
        }
    }
}

/// The answer to a request whose origin is no obstacle.
async fn answer(front: &Front, peer: &Arc<Peer>, request: Request) -> Response {
    let (Parts { method, uri, headers, version, .. }, body) = request.into_parts();
    let impatient = headers.contains_key(header::EXPECT);
    let path = uri.path().strip_prefix(PREFIX).unwrap_or_default();
    let head = decode::head(&method, &uri, &headers, path, peer);
    let target = uri.path_and_query().map_or_else(String::new, |target| target.as_str().to_owned());
    // The token is in the decoded head now; the buffer under the target and the headers may go.
    drop((uri, headers));

    let head = match head {
        Ok(head) if front.corridor.is_streamed(head.operation, &head.path) => {
            let upload = Upload::new(body, impatient, front.limits);
            let mut response = response(front.carry_out(head, Content::Arriving(upload), peer).await, &target);
            // What the client has not sent by now, nobody reads.
            close(&mut response, version, peer);
            return response;
        }
        head => head,
    };
    let closes = head.as_ref().is_ok_and(|head| closes_after(head.operation, &head.path));
    let arriving = peer.arriving();
    let body = body::read(body, impatient, &front.limits, &front.budget).await;
    drop(arriving);
    let (encoded, unread) = match body {
        Ok((body, charge)) => match head {
            Ok(head) => (front.carry_out(head, Content::Whole(body, charge), peer).await, false),
            Err(refused) => (Encoded::errors(refused.status, &refused.message), false),
        },
        Err(Failure::TooLarge) => match head {
            Ok(head) => (front.carry_out(head, Content::Refused(too_large(&front.limits)), peer).await, true),
            Err(refused) => (Encoded::errors(refused.status, &refused.message), true),
        },
        Err(Failure::NoRoom) => (encode::error("", no_room()), true),
        Err(Failure::TooSlow) => {
            (Encoded::errors(StatusCode::REQUEST_TIMEOUT, "the request's body did not arrive in time"), true)
        }
        Err(Failure::Broken) => (Encoded::errors(StatusCode::BAD_REQUEST, "the request's body is malformed"), true),
    };
    peer.answers(encoded.body.len());
    let mut response = response(encoded, &target);
    if closes || unread {
        close(&mut response, version, peer);
    }
    response
}

impl Front {
    /// Hands a request over and waits for its answer.
    async fn carry_out(&self, head: Head, content: Content, peer: &Arc<Peer>) -> Encoded {
        let Head { operation, path, token, origin, headers, help, fields, form, fault } = head;
        let (mut charge, mut upload, mut ends, mut patience) = (Charge::default(), None, None, self.limits.request);
        let body = match (fault, content) {
            (Some(fault), _) => Err(fault),
            (None, Content::Refused(error)) => Err(error),
            (None, Content::Whole(body, counted)) => {
                charge = counted;
                if operation.has_body() { self.parse(body, form, &mut charge) } else { Ok(fields) }
            }
            (None, Content::Arriving(body)) => {
                upload = Some(Box::new(body) as Box<dyn Read + Send>);
                ends = Some(stream::answer(Arc::clone(peer), &self.limits));
                patience = Duration::MAX;
                Ok(fields)
            }
        };
        let request_id = origin.request_id.clone();
        let (sender, receiver) = oneshot::channel();
        let (id, budget) = (request_id.clone(), self.budget.clone());
        let request = pipeline::Request { operation, path, token, body, upload, origin, headers, help };
        let submitted = self.corridor.submit(
            request,
            Box::new(move |mut answer| {
                let stream = answer.result.as_mut().ok().and_then(|output| output.stream.take());
                if let (Some(mut stream), Some((feed, download))) = (stream, ends) {
                    if sender.send(Encoded::download(stream.media_type, download)).is_ok() {
                        feed.run(&mut stream.bytes);
                    }
                    return;
                }
                // A large body counts against the budget until the work on it is over, not until its client gives up.
                let encoded = encode::answer(answer).charged(charge, &id, &budget);
                // The client may be gone; the work is done and recorded all the same.
                let _ = sender.send(encoded);
            }),
        );
        if let Err(error) = submitted {
            return encode::error(&request_id, error);
        }
        match tokio::time::timeout(patience, receiver).await {
            Ok(Ok(encoded)) => encoded,
            Ok(Err(_)) => encode::incident(&request_id, "the request's thread gave no answer"),
            Err(_) => {
                let secs = self.limits.request.as_secs();
                let message = format!("request {request_id} took longer than {secs} s; it may still be carried out");
                Encoded::errors(StatusCode::SERVICE_UNAVAILABLE, &message)
            }
        }
    }

    fn parse(&self, body: Bytes, form: bool, charge: &mut Charge) -> Result<Map<String, Json>, Error> {
        if form && !matches!(body.trim_ascii_start().first(), None | Some(b'{' | b'[')) {
            let text = std::str::from_utf8(&body).map_err(|_| Error::invalid("the form is not valid UTF-8"))?;
            return query::form(text.trim_ascii());
        }
        let memory = json::values_at_most(&body).min(self.limits.json_values).saturating_mul(json::VALUE_MEMORY);
        if !charge.work(body.len().saturating_add(memory), &self.budget) {
            return Err(no_room());
        }
        json::parse(&body, self.limits.json_values)
    }
}

fn no_room() -> Error {
    Error::Busy { reason: "the bodies of other requests take all the memory there is for them" }
}

fn too_large(limits: &Limits) -> Error {
    Error::TooLarge { limit: limits.body }
}

/// After these no other request follows on the connection, so that its buffers go at once: they saw shares, new root
/// tokens, or the token that sealed the server.
///
/// Logins are not among them. Clients log in over connections that they go on using, and a new handshake costs more than
/// the login; [`Limits::idle`] bounds how long those buffers stay.
fn closes_after(operation: Operation, path: &str) -> bool {
    operation != Operation::Read
        && path.strip_prefix("sys/").is_some_and(|path| {
            let first = path.split('/').next().unwrap_or_default();
            matches!(
                first,
                "seal"
                    | "unseal"
                    | "init"
                    | "rekey"
                    | "rekey-recovery-key"
                    | "generate-root"
                    | "generate-root-token"
                    | "generate-recovery-token"
            ) || path.starts_with("rotate/root/")
                || path.starts_with("rotate/recovery/")
        })
}

fn close(response: &mut Response, version: Version, peer: &Peer) {
    if version == Version::HTTP_2 {
        peer.ask_close();
    } else {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// A body that is charged for until the last of it is sent.
struct Charged {
    body: Vec<u8>,
    _charge: Charge,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// The headers that every answer has are those of OpenBao.
fn response(encoded: Encoded, target: &str) -> Response {
    let Encoded { status, body, media_type, retry_after, leader, charge, download } = encoded;
    let attached = download.is_some();
    let body = match download {
        Some(download) => Body::new(download),
        None if body.is_empty() => Body::empty(),
        None => Bytes::from_owner(Charged { body, _charge: charge }).into(),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(6);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    if attached {
        headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    }
    let transport = HeaderValue::from_static("max-age=31536000; includeSubDomains");
    headers.insert(header::STRICT_TRANSPORT_SECURITY, transport);
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
    }
    let location = leader.map(|leader| format!("{leader}{target}"));
    if let Some(location) = location.and_then(|location| HeaderValue::try_from(location).ok()) {
        headers.insert(header::LOCATION, location);
    }
    response
}
