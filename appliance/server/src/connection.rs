//! One connection: handshake, requests, and its end.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use crate::config::Limits;
use crate::scrubbed::Scrubbed;
use crate::tls;

/// How long a connection that was told to close may stay when no request is at work on it.
const LINGER: Duration = Duration::from_secs(1);
/// Answers of this size altogether have left a connection that is quiet: they fit in the window that an HTTP/2 client gives
/// unasked (64 KiB), and in a socket's buffer (16 KiB at first).
const LEFT_AT_ONCE: usize = 12 << 10;
/// How long a quiet connection that was told to close may stay when its answers have left.
const LINGER_QUIET: Duration = Duration::from_millis(150);
/// How long an HTTP/2 connection may be without a request once it had one: its buffers and its header table still hold that
/// request, and cannot be wiped. HTTP/2 can say that it closes, so that no client loses a request by it.
const QUIET_HTTP2: Duration = Duration::from_millis(800);

/// What all connections are told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Orders {
    /// Grows each time the connections that exist at that moment are to close.
    pub(crate) close: u64,
    /// The server stops: handshakes are not worth waiting for.
    pub(crate) stop: bool,
    /// No answer is waited for any more.
    pub(crate) abort: bool,
}

/// The other end of a connection, and what is going on on it.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) certificates: Vec<Vec<u8>>,
    opened: Instant,
    /// Requests at work.
    at_work: AtomicUsize,
    /// Those of them whose body has not arrived yet.
    arriving: AtomicUsize,
    /// Whether there was a request yet.
    used: AtomicBool,
    /// Bytes of all answers.
    answered: AtomicUsize,
    /// When the last request ended, in milliseconds since `opened`.
    quiet_since: AtomicU64,
    close: Notify,
}

impl Peer {
    pub(crate) fn new(address: SocketAddr, certificates: Vec<Vec<u8>>) -> Self {
        Self {
            address,
            certificates,
            opened: Instant::now(),
            at_work: AtomicUsize::new(0),
            arriving: AtomicUsize::new(0),
            used: AtomicBool::new(false),
            answered: AtomicUsize::new(0),
            quiet_since: AtomicU64::new(0),
            close: Notify::new(),
        }
    }

    /// A request is at work until what is returned is dropped.
    pub(crate) fn work(self: &Arc<Self>) -> Work {
        self.used.store(true, Ordering::Relaxed);
        self.at_work.fetch_add(1, Ordering::Relaxed);
        Work(Arc::clone(self))
    }

    /// The body of a request at work is arriving until what is returned is dropped.
    pub(crate) fn arriving(&self) -> Arriving<'_> {
        self.arriving.fetch_add(1, Ordering::Relaxed);
        Arriving(self)
    }

    /// A body of this size goes to the client.
    pub(crate) fn answers(&self, bytes: usize) {
        self.answered.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Asks for the connection to close once the requests at work are answered.
    pub(crate) fn ask_close(&self) {
        self.close.notify_one();
    }

    /// Whether nothing is done for this client but waiting for the rest of its requests.
    fn only_arriving(&self) -> bool {
        self.at_work.load(Ordering::Relaxed) <= self.arriving.load(Ordering::Relaxed)
    }

    /// How long no request has been at work; `None` while one is.
    fn quiet(&self) -> Option<Duration> {
        if self.at_work.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let since = Duration::from_millis(self.quiet_since.load(Ordering::Relaxed));
        Some(self.opened.elapsed().saturating_sub(since))
    }
}

/// A request at work.
pub(crate) struct Work(Arc<Peer>);

impl Drop for Work {
    fn drop(&mut self) {
        let now = u64::try_from(self.0.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.quiet_since.store(now, Ordering::Relaxed);
        self.0.at_work.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A body that is arriving.
pub(crate) struct Arriving<'a>(&'a Peer);

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        self.0.arriving.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve(
    stream: TcpStream,
    address: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    limits: Limits,
    mut orders: watch::Receiver<Orders>,
) {
    // Answers are written whole; waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    // Who sends nothing costs nothing: no buffers until the first byte, and the rest of this future on the heap.
    // Not `readable`, which says yes on a fresh socket without looking.
    let mut byte = [0; 1];
    tokio::select! {
        first = tokio::time::timeout(limits.idle.min(limits.handshake), stream.peek(&mut byte)) => {
            if !matches!(first, Ok(Ok(1))) {
                return;
            }
        }
        _ = orders.changed() => return,
    }
    Box::pin(converse(stream, address, acceptor, router, limits, orders)).await;
}

/// What follows the first byte.
async fn converse(
    stream: TcpStream,
    address: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    limits: Limits,
    mut orders: watch::Receiver<Orders>,
) {
    let stream = Scrubbed(stream);
    let Some(acceptor) = acceptor else {
        let peer = Arc::new(Peer::new(address, Vec::new()));
        return http1(stream, &peer, router, &limits, &mut orders).await;
    };
    let handshake = tokio::time::timeout(limits.handshake, acceptor.accept(stream));
    let stream = tokio::select! {
        stream = handshake => stream,
        _ = orders.wait_for(|orders| orders.stop) => return,
    };
    let Ok(Ok(stream)) = stream else {
        tracing::debug!(%address, "TLS handshake failed or took too long");
        return;
    };
    let (_, session) = stream.get_ref();
    let certificates = session.peer_certificates().unwrap_or_default().iter().map(|der| der.to_vec()).collect();
    let h2 = session.alpn_protocol() == Some(tls::H2);
    let peer = Arc::new(Peer::new(address, certificates));
    if h2 {
        http2(stream, &peer, router, &limits, &mut orders).await;
    } else {
        http1(Scrubbed(stream), &peer, router, &limits, &mut orders).await;
    }
}

async fn http1<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    peer: &Arc<Peer>,
    router: Router,
    limits: &Limits,
    orders: &mut watch::Receiver<Orders>,
) {
    let service = service_fn(|request| answer(&router, peer, request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // `drive` bounds that time, with one timer for a connection's whole life in place of one for each request.
        .header_read_timeout(None)
        .max_buf_size(limits.head.max(8 << 10))
        .serve_connection(TokioIo::new(stream), service);
    drive(Box::pin(connection).as_mut(), http1::Connection::graceful_shutdown, peer, limits.idle, limits, orders).await;
}

async fn http2<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    peer: &Arc<Peer>,
    router: Router,
    limits: &Limits,
    orders: &mut watch::Receiver<Orders>,
) {
    let shared = Arc::clone(peer);
    let service = service_fn(move |request| answer(&router, &shared, request));
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX))
        // What a client may send before anybody reads it.
        .initial_stream_window_size(128 << 10)
        .initial_connection_window_size(512 << 10)
        .max_send_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), service);
    let idle = limits.idle.min(QUIET_HTTP2);
    drive(Box::pin(connection).as_mut(), http2::Connection::graceful_shutdown, peer, idle, limits, orders).await;
}

fn answer(
    router: &Router,
    peer: &Arc<Peer>,
    request: http::Request<Incoming>,
) -> impl Future<Output = Result<axum::response::Response, std::convert::Infallible>> + use<> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(Arc::clone(peer));
    router.clone().call(request)
}

/// Polls a connection until it ends, or until it has been without a request for too long: `idle` after its last one.
async fn drive<C: Future<Output = hyper::Result<()>>>(
    mut connection: Pin<&mut C>,
    shut_down: fn(Pin<&mut C>),
    peer: &Peer,
    idle: Duration,
    limits: &Limits,
    orders: &mut watch::Receiver<Orders>,
) {
    // Once it is closing: how long it may still stay while no request is at work on it.
    let mut closing: Option<Duration> = None;
    let mut timer = pin!(tokio::time::sleep(idle));
    loop {
        let linger = tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(address = %peer.address, %error, "connection ended");
                }
                return;
            }
            told = orders.changed() => {
                if told.is_err() || orders.borrow_and_update().abort {
                    return;
                }
                LINGER
            }
            () = peer.close.notified() => limits.download,
            () = timer.as_mut() => {
                let used = peer.used.load(Ordering::Relaxed);
                let idle = if used { idle } else { limits.idle };
                match (peer.quiet(), closing) {
                    (Some(quiet), Some(linger)) if quiet >= linger => return,
                    // When the server seals, the half of a request that is there must go too.
                    (None, Some(_)) if !orders.borrow().stop && peer.only_arriving() => return,
                    (Some(quiet), None) if quiet >= idle => {
                        if !used {
                            return;
                        }
                        let left = peer.answered.load(Ordering::Relaxed) <= LEFT_AT_ONCE;
                        if left { LINGER_QUIET } else { limits.download }
                    }
                    (quiet, closing) => {
                        let whole = closing.unwrap_or(idle);
                        let left = whole.saturating_sub(quiet.unwrap_or_default()).max(Duration::from_millis(1));
                        timer.as_mut().reset(tokio::time::Instant::now() + left);
                        continue;
                    }
                }
            },
        };
        // Answers at work are still sent; an idle connection closes at once.
        if closing.is_none() {
            shut_down(connection.as_mut());
        }
        let linger = closing.map_or(linger, |before| before.min(linger));
        closing = Some(linger);
        timer.as_mut().reset(tokio::time::Instant::now() + linger);
    }
}
