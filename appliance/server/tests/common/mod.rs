//! A server on a free port over a corridor that the test writes, and a client that sees every byte.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a helper that fails fails the test
#![allow(dead_code)] // each suite uses its part

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use framework::{Clock, Error, Json, Map, Output, SystemClock};
use pipeline::{Answer, Request, Shape};
use server::{Corridor, Handle, Limits, Listener, Reply, Server, Tls};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) struct Stub(pub(crate) Box<dyn Fn(Request) -> Answer + Send + Sync>);

impl Corridor for Stub {
    fn submit(&self, request: Request, reply: Reply) -> Result<(), Error> {
        if request.path == "refused" {
            return Err(Error::Busy { reason: "too many requests are waiting" });
        }
        if request.path == "lost" {
            return Ok(());
        }
        let answer = (self.0)(request);
        std::thread::spawn(move || reply(answer));
        Ok(())
    }
}

/// Answers with the request.
pub(crate) fn echo(request: Request) -> Answer {
    let Request { operation, path, token, body, origin, headers, help, upload: _ } = request;
    let result = body.map(|body| {
        let mut data = Map::new();
        data.insert("operation".into(), operation.name().into());
        data.insert("path".into(), path.into());
        data.insert("token".into(), token.map(|token| String::from_utf8(token.into_vec()).unwrap()).into());
        data.insert("body".into(), body.into());
        data.insert("namespace".into(), origin.namespace.clone().into());
        data.insert("wrap_ttl".into(), origin.wrap_ttl.map(|ttl| ttl.as_secs()).into());
        data.insert("help".into(), help.into());
        data.insert("address".into(), origin.remote_address.to_string().into());
        data.insert("certificates".into(), origin.client_certificates.len().into());
        data.insert("headers".into(), headers.into_iter().map(|(name, value)| format!("{name}: {value}")).collect());
        Output { data: Some(data), ..Output::default() }
    });
    Answer { request_id: origin.request_id, mount_type: "echo".into(), shape: Shape::Envelope, result }
}

/// Always gives this outcome.
pub(crate) fn always(shape: Shape, result: impl Fn() -> Result<Output, Error> + Send + Sync + 'static) -> Stub {
    Stub(Box::new(move |request| Answer {
        request_id: request.origin.request_id,
        mount_type: "kv".into(),
        shape,
        result: result(),
    }))
}

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) handle: Handle,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) served: JoinHandle<std::io::Result<()>>,
}

pub(crate) fn start_with(stub: impl Corridor + 'static, limits: Limits, tls: Option<Tls>) -> Running {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let listener = Listener { address: "127.0.0.1:0".parse().unwrap(), tls };
    let server = Server::bind(&[listener], limits, Arc::new(stub), clock).unwrap();
    let (address, handle) = (server.addresses()[0], server.handle());
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(server.serve(async {
        let _ = stopped.await;
    }));
    Running { address, handle, stop: Some(stop), served }
}

pub(crate) fn start(limits: Limits) -> Running {
    start_with(Stub(Box::new(echo)), limits, None)
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
    pub(crate) fn data(&self) -> Json {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["data"].clone()
    }
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
    pub(crate) fn errors(&self) -> String {
        self.json()["errors"].to_string()
    }
}

/// Reads one answer; `None` if the connection ends before one.
pub(crate) async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Option<Response> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(1) => bytes.push(byte[0]),
            _ => return None,
        }
    }
    let head = String::from_utf8(bytes).unwrap();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut response = Response { status, head, body: Vec::new() };
    let length = response.header("content-length").map_or(0, |length| length.parse().unwrap());
    response.body.resize(length, 0);
    stream.read_exact(&mut response.body).await.ok()?;
    Some(response)
}

pub(crate) async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &[u8]) -> Option<Response> {
    stream.write_all(request).await.ok()?;
    receive(stream).await
}

/// One request on a connection of its own. `head` is the request line's beginning and further headers.
pub(crate) async fn send(address: SocketAddr, line: &str, headers: &[&str], body: &[u8]) -> Response {
    let mut stream = TcpStream::connect(address).await.unwrap();
    exchange(&mut stream, &request(line, headers, body)).await.unwrap_or_else(|| panic!("no answer to {line}"))
}

pub(crate) fn request(line: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{line} HTTP/1.1\r\nHost: test\r\n").into_bytes();
    for header in headers {
        text.extend_from_slice(header.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    if !body.is_empty() {
        text.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(body);
    text
}

/// True if the server ends the connection, false if it is still open after `wait`.
pub(crate) async fn ends(stream: &mut (impl AsyncRead + Unpin), wait: Duration) -> bool {
    let mut rest = Vec::new();
    tokio::time::timeout(wait, stream.read_to_end(&mut rest)).await.is_ok()
}

/// Longer than anything a passing test waits for.
pub(crate) const LONG: Duration = Duration::from_secs(20);
