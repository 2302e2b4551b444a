//! What the operator decides about listeners, and how much a client may ask for.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// One address to listen on.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The address; port 0 takes a free one.
    pub address: SocketAddr,
    /// TLS; without it only a loopback address is accepted.
    pub tls: Option<Tls>,
}

/// The TLS side of a listener.
#[derive(Clone, Debug)]
pub struct Tls {
    /// PEM file: the server's certificate, then its intermediates.
    pub certificate: PathBuf,
    /// PEM file: the private key (PKCS#8, PKCS#1 or SEC1), not encrypted.
    pub key: PathBuf,
    /// The oldest version spoken.
    pub oldest: TlsVersion,
    /// What is asked of clients.
    pub clients: ClientCertificates,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TlsVersion {
    /// TLS 1.2, with forward-secret AEAD suites only.
    #[default]
    V12,
    /// TLS 1.3.
    V13,
}

/// What is asked of a client in the handshake.
#[derive(Clone, Debug, Default)]
pub enum ClientCertificates {
    /// No certificate is asked for.
    Ignored,
    /// A certificate is asked for, and the client's possession of its key is proven, but who issued it is left to the auth
    /// methods, which get the chain. This is what Vault does.
    #[default]
    Requested,
    /// Without a valid certificate from one of the authorities in this PEM file the handshake fails.
    Required(PathBuf),
}

/// How much a client may ask for, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a body. More is a 413.
    pub body: usize,
    /// Bytes of a request line and its headers. More is a 431.
    pub head: usize,
    /// JSON values in a body: the bound on how much memory a small body can be blown up to. More is a 400.
    pub json_values: usize,
    /// Bytes of memory that all large bodies together may take while they are read and worked on. More is a 503.
    pub body_memory: usize,
    /// Open connections over all listeners; further ones wait in the kernel's queue.
    pub connections: usize,
    /// Requests at work at the same time on one HTTP/2 connection.
    pub streams: u32,
    /// How long the TLS handshake may take.
    pub handshake: Duration,
    /// How long a connection may be without a request at work: idle, or sending a head slowly. A head that is not whole is
    /// held, and of a very long head (over 8 KiB) a part stays in the buffer, so this bounds how long a token can lie there.
    /// HTTP/2 connections, whose buffers cannot be wiped in between, are closed after less than a second.
    pub idle: Duration,
    /// How long a body may take to arrive. Longer is a 408.
    pub upload: Duration,
    /// How long a client may take to read the last answer on a connection that is being closed.
    pub download: Duration,
    /// How long a request may be worked on. Longer is a 503; the work itself is not undone.
    pub request: Duration,
    /// How long requests at work may take to end when the server stops.
    pub stop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 32 << 20,
            head: 64 << 10,
            json_values: 500_000,
            body_memory: 160 << 20,
            // Under TLS and with a request at work each takes about 40 KB; without its first byte, 2 KB.
            connections: 6_144,
            streams: 128,
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(10),
            upload: Duration::from_secs(30),
            download: Duration::from_secs(30),
            request: Duration::from_secs(90),
            stop: Duration::from_secs(10),
        }
    }
}
