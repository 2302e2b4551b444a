//! Leases: secrets that are given out for a time.
//!
//! A handler answers with a [`Lease`] of one of its engine's kinds. The lease is staged in the handler's transaction, so there is
//! no secret without a lease and no lease without a secret. When it ends, whatever the reason, the kind's `revoke` takes the
//! secret back; the lease goes in the transaction of that, and if it fails it is tried again later.

use std::time::Duration;

use crate::{Context, Error, Json, Map};

/// A kind of leased secret: what an engine does when a lease is renewed and when it ends. Both functions are called with a
/// context of the mount that gave the secret out, wherever it stands by now.
#[derive(Clone, Copy, Debug)]
pub struct LeaseKind {
    /// Names it in the records of leases; never to be changed.
    pub name: &'static str,
    /// Asked before a lease is renewed, in the transaction of the renewal. It may refuse, and it may set `duration` and
    /// `max_ttl` anew, and `data`. Without it leases of this kind cannot be renewed.
    pub renew: Option<RenewLease>,
    /// Takes the secret back. Called from a thread of the server's own or after the commit of a request, never while a client's
    /// transaction is open, so it may act outside. It may be called again for the same lease, after a crash or a conflict: a
    /// secret that is gone already is no error. [`Error::Invalid`], [`Error::NoRoute`] and [`Error::Unsupported`] say that it
    /// cannot succeed; after any other error it is tried again.
    pub revoke: fn(&Context<'_>, &Lease) -> Result<(), Error>,
}

/// See [`LeaseKind::renew`].
pub type RenewLease = fn(&Context<'_>, &mut Lease) -> Result<(), Error>;

/// A lease: as a handler wants it, and, once issued, as the client gets it.
#[derive(Clone, Default, PartialEq)]
pub struct Lease {
    /// Its id. Empty until issued, and where there is no lease to renew or revoke.
    pub id: String,
    /// The name of its [`LeaseKind`]; empty where there is no lease.
    pub kind: &'static str,
    /// How long it lasts unless renewed; zero takes the mount's default.
    pub duration: Duration,
    /// It cannot be renewed beyond this; zero takes the mount's.
    pub max_ttl: Duration,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// What `renew` and `revoke` have to know of the secret. Kept with the lease and shown to nobody.
    pub data: Map<String, Json>,
}
