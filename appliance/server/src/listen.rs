//! The server: its listeners, the connections they take, and how all of it ends.

use std::fmt;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use framework::Clock;
use rustls::ServerConfig;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::body::Budget;
use crate::certificate::{Certificate, CertificateError};
use crate::config::{Limits, Listener};
use crate::connection::{self, Orders};
use crate::corridor::Corridor;
use crate::front::{Front, router};
use crate::tls;

/// Connections that the kernel holds until they are taken, as far as `net.core.somaxconn` allows.
const QUEUE: i32 = 4096;

/// Why the server does not start. The operator must change the configuration.
#[derive(Debug)]
pub enum StartError {
    /// A listener without TLS on an address that others can reach.
    PlainText(SocketAddr),
    /// The address cannot be listened on.
    Bind(SocketAddr, std::io::Error),
    /// A certificate, a key, or a list of authorities cannot be used.
    Certificate(CertificateError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlainText(address) => {
                write!(f, "listener {address}: TLS can be disabled on a loopback address only")
            }
            Self::Bind(address, error) => write!(f, "listener {address}: cannot listen: {error}"),
            Self::Certificate(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

impl From<CertificateError> for StartError {
    fn from(error: CertificateError) -> Self {
        Self::Certificate(error)
    }
}

/// Sockets that are open and certificates that are read, but nobody is served yet.
pub struct Server {
    listeners: Vec<(TcpListener, Option<Arc<ServerConfig>>)>,
    addresses: Vec<SocketAddr>,
    router: Router,
    limits: Limits,
    handle: Handle,
}

/// Reaches a running server from any thread.
#[derive(Clone)]
pub struct Handle {
    orders: Arc<watch::Sender<Orders>>,
    certificates: Arc<Vec<Arc<Certificate>>>,
    clock: Arc<dyn Clock>,
}

impl Server {
    /// Reads the certificates and opens the sockets. Needs no runtime, so that it can be done before privileges are dropped.
    ///
    /// # Errors
    /// [`StartError`]; an expired certificate is one.
    pub fn bind(
        listeners: &[Listener],
        limits: Limits,
        corridor: Arc<dyn Corridor>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let (mut sockets, mut addresses, mut certificates) = (Vec::new(), Vec::new(), Vec::new());
        for Listener { address, tls } in listeners {
            let config = match tls {
                None if !address.ip().is_loopback() => return Err(StartError::PlainText(*address)),
                None => None,
                Some(tls) => {
                    let (config, certificate) = tls::configure(tls, clock.as_ref())?;
                    certificates.push(certificate);
                    Some(config)
                }
            };
            let fault = |error| StartError::Bind(*address, error);
            let socket = TcpListener::bind(address).map_err(fault)?;
            socket.set_nonblocking(true).map_err(fault)?;
            // std asks for a queue of 128, which a burst of clients fills; listening again only sets its length.
            rustix::net::listen(&socket, QUEUE).map_err(|error| fault(error.into()))?;
            addresses.push(socket.local_addr().map_err(fault)?);
            sockets.push((socket, config));
        }
        let budget = Budget::new(limits.body_memory);
        let (orders, _) = watch::channel(Orders::default());
        Ok(Self {
            listeners: sockets,
            addresses,
            router: router(Arc::new(Front { corridor, limits, budget })),
            limits,
            handle: Handle { orders: Arc::new(orders), certificates: Arc::new(certificates), clock },
        })
    }

    /// The addresses listened on, in the order in which they were given.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Reaches the server while it runs.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until `stop` is ready; then takes no more connections, lets the requests at work end, and returns when they
    /// have, or after [`Limits::stop`]. Must run on a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// The runtime cannot watch the sockets.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> std::io::Result<()> {
        let Self { listeners, router, limits, handle, .. } = self;
        let slots = Arc::new(Semaphore::new(limits.connections));
        let mut accepting = tokio::task::JoinSet::new();
        for (socket, config) in listeners {
            let socket = tokio::net::TcpListener::from_std(socket)?;
            let acceptor = config.map(TlsAcceptor::from);
            let listening =
                accept(socket, acceptor, router.clone(), limits, Arc::clone(&handle.orders), Arc::clone(&slots));
            accepting.spawn(listening);
        }
        stop.await;
        accepting.shutdown().await;
        handle.orders.send_modify(|orders| orders.stop = true);
        // All slots are free when the last connection has gone.
        let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
        if tokio::time::timeout(limits.stop, slots.acquire_many(all)).await.is_err() {
            tracing::warn!("requests still at work are given up");
            handle.orders.send_modify(|orders| orders.abort = true);
            let _ = tokio::time::timeout(Duration::from_secs(1), slots.acquire_many(all)).await;
        }
        Ok(())
    }
}

impl Handle {
    /// Reads all certificates and keys again and uses them from the next handshake on. If one of them cannot be used, all
    /// stay as they are.
    ///
    /// # Errors
    /// [`CertificateError`] names the file and what is wrong with it.
    pub fn reload_certificates(&self) -> Result<(), CertificateError> {
        let read = |certificate: &Arc<Certificate>| certificate.read(self.clock.as_ref());
        let new = self.certificates.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        for (certificate, new) in self.certificates.iter().zip(new) {
            certificate.replace(new);
        }
        Ok(())
    }

    /// Closes every connection, those with a request at work after its answer. When a server seals, this takes the buffers
    /// away in which tokens and values still lie. Does not wait; idle connections are gone in about a second at most.
    pub fn close_connections(&self) {
        self.orders.send_modify(|orders| orders.close += 1);
    }
}

/// Takes connections until it is dropped.
async fn accept(
    socket: tokio::net::TcpListener,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    limits: Limits,
    orders: Arc<watch::Sender<Orders>>,
    slots: Arc<Semaphore>,
) {
    loop {
        // First the slot, then the connection: without one the kernel's queue fills, and new clients wait there.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match socket.accept().await {
            Ok((stream, address)) => {
                // When places run short, who keeps one without using it gets less time.
                let short = slots.available_permits() < limits.connections / 4;
                let limits = Limits { idle: if short { limits.idle / 5 } else { limits.idle }, ..limits };
                let served =
                    connection::serve(stream, address, acceptor.clone(), router.clone(), limits, orders.subscribe());
                tokio::spawn(async move {
                    served.await;
                    drop(slot);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: nothing but time helps.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
