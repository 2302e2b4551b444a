//! `sys/rekey`, `sys/rekey-recovery-key`, `sys/rotate/root`, `sys/rotate/recovery`: new shares by a quorum of the old. The
//! first two are the older form, bare and, where the configuration says so, without a token.

use std::sync::Arc;

use framework::Operation::{Delete, Read, Update};
use framework::{Context, Json, KeySet, NewShares, RekeyRequest, RekeyState, RekeyStep, Route, Verification, fields};

use crate::shares::{self, Giving};
use crate::{Ceremonies, Core, Nothing};

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    let older = |route: Route| {
        let route = route.bare();
        if core.unauthenticated.rekey { route.open() } else { route }
    };
    let of = |set, init, update, verify| {
        let ceremonies = &core.ceremonies;
        attempts(ceremonies, set, init).into_iter().chain(steps(ceremonies, set, update, verify))
    };
    let unseal = of(KeySet::Unseal, "rekey/init", "rekey/update", "rekey/verify");
    let recovery =
        of(KeySet::Recovery, "rekey-recovery-key/init", "rekey-recovery-key/update", "rekey-recovery-key/verify");
    let mut routes: Vec<Route> = unseal.chain(recovery).map(older).collect();
    routes.extend(of(KeySet::Unseal, "rotate/root/init", "rotate/root/update", "rotate/root/verify"));
    routes.extend(of(KeySet::Recovery, "rotate/recovery/init", "rotate/recovery/update", "rotate/recovery/verify"));
    routes
}

/// Look at the rekey, start one, give up.
fn attempts(ceremonies: &Ceremonies, set: KeySet, path: &'static str) -> [Route; 3] {
    let shared = || Arc::clone(&ceremonies.rekey);
    let (looked_at, started, cancelled) = (shared(), shared(), shared());
    [
        Route::new(Read, path, "How far the rekey is.", move |_: &Context<'_>, _: Nothing| {
            looked_at.state(set).map(State::from)
        }),
        Route::new(Update, path, "Start a rekey.", move |_: &Context<'_>, wanted: Start| {
            started.start(set, wanted.request()).map(State::from)
        }),
        Route::new(Delete, path, "Give up the rekey.", move |_: &Context<'_>, _: Nothing| {
            cancelled.cancel(set);
            Ok(())
        }),
    ]
}

/// Give old shares; give new ones, look at how many were given, forget them.
fn steps(ceremonies: &Ceremonies, set: KeySet, update: &'static str, verify: &'static str) -> [Route; 4] {
    let rekey = Arc::clone(&ceremonies.rekey);
    let shared = || Arc::clone(&ceremonies.verify);
    let (looked_at, shown, restarted) = (shared(), shared(), shared());
    [
        Route::new(Update, update, "Give one share to the rekey.", move |_: &Context<'_>, giving: Giving| {
            rekey.give(set, giving.given()?).map(Step::from)
        }),
        Route::new(Read, verify, "How far the verification of new shares is.", move |_: &Context<'_>, _: Nothing| {
            looked_at.verification(set).map(Verified::from)
        }),
        Route::new(Update, verify, "Show one of the new shares.", move |_: &Context<'_>, giving: Giving| {
            shown.verify(set, giving.given()?).map(Verified::from)
        }),
        Route::new(
            Delete,
            verify,
            "Start the verification of new shares again.",
            move |_: &Context<'_>, _: Nothing| restarted.restart_verification(set).map(Verified::from),
        ),
    ]
}

fields! {
    struct Start {
        /// How many new shares.
        secret_shares: u8 = 0,
        /// How many of them will be needed.
        secret_threshold: u8 = 0,
        /// PGP public keys in base64 to encrypt the new shares to, one for each in order.
        pgp_keys: Vec<String>,
        /// Whether the encrypted shares are kept, to be read at `backup`.
        backup: bool = false,
        /// Whether the new shares count only once a quorum of them has been shown again.
        require_verification: bool = false,
    }

    struct State {
        /// Names the rekey.
        nonce: String,
        /// Whether one is under way.
        started: bool,
        /// New shares that will be needed.
        t: u8,
        /// New shares.
        n: u8,
        /// Shares given so far.
        progress: u8,
        /// Shares needed.
        required: u8,
        /// Fingerprints of the PGP keys that the new shares will be encrypted to.
        pgp_fingerprints: Json,
        /// Whether the encrypted shares will be kept.
        backup: bool,
        /// Whether the new shares will have to be verified.
        verification_required: bool,
        /// Names the verification, once the new shares are out.
        verification_nonce: Option<String>,
    }

    struct Step {
        /// Names the rekey.
        nonce: String,
        /// Whether one is under way; left out when it is over.
        started: Option<bool>,
        /// New shares that will be needed.
        t: Option<u8>,
        /// New shares.
        n: Option<u8>,
        /// Shares given so far.
        progress: Option<u8>,
        /// Shares needed.
        required: Option<u8>,
        /// The new shares are here.
        complete: Option<bool>,
        /// The new shares, in hexadecimal.
        keys: Option<Vec<String>>,
        /// The new shares, in base64.
        keys_base64: Option<Vec<String>>,
        /// Fingerprints of the PGP keys that the new shares are encrypted to.
        pgp_fingerprints: Json,
        /// Whether the encrypted shares are kept.
        backup: bool,
        /// Whether the new shares have to be verified before they count.
        verification_required: bool,
        /// Names the verification.
        verification_nonce: Option<String>,
    }

    struct Verified {
        /// Names the verification.
        nonce: String,
        /// Whether the new shares wait for it; left out when it is over.
        started: Option<bool>,
        /// New shares that are needed.
        t: Option<u8>,
        /// New shares.
        n: Option<u8>,
        /// New shares shown so far.
        progress: Option<u8>,
        /// The new shares count from now on.
        complete: Option<bool>,
    }
}

impl Start {
    fn request(self) -> RekeyRequest {
        RekeyRequest {
            shares: self.secret_shares,
            threshold: self.secret_threshold,
            pgp_keys: self.pgp_keys,
            backup: self.backup,
            verify: self.require_verification,
        }
    }
}

impl From<RekeyState> for State {
    fn from(state: RekeyState) -> Self {
        Self {
            nonce: state.nonce,
            started: state.started,
            t: state.threshold,
            n: state.shares,
            progress: state.progress,
            required: state.required,
            pgp_fingerprints: list(state.pgp_fingerprints),
            backup: state.backup,
            verification_required: state.verify,
            verification_nonce: some(state.verification_nonce),
        }
    }
}

impl From<RekeyStep> for Step {
    fn from(step: RekeyStep) -> Self {
        match step {
            RekeyStep::More(state) => Self {
                nonce: state.nonce,
                started: Some(state.started),
                t: Some(state.threshold),
                n: Some(state.shares),
                progress: Some(state.progress),
                required: Some(state.required),
                complete: None,
                keys: None,
                keys_base64: None,
                pgp_fingerprints: list(state.pgp_fingerprints),
                backup: state.backup,
                verification_required: state.verify,
                verification_nonce: some(state.verification_nonce),
            },
            RekeyStep::Done(NewShares { nonce, shares, pgp_fingerprints, backup, verification_nonce }) => {
                let (hex, base64) = shares::both(&shares);
                Self {
                    nonce,
                    started: None,
                    t: None,
                    n: None,
                    progress: None,
                    required: None,
                    complete: Some(true),
                    keys: Some(hex),
                    keys_base64: Some(base64),
                    pgp_fingerprints: list(pgp_fingerprints),
                    backup,
                    verification_required: !verification_nonce.is_empty(),
                    verification_nonce: some(verification_nonce),
                }
            }
        }
    }
}

impl From<Verification> for Verified {
    fn from(verification: Verification) -> Self {
        let under_way = !verification.complete;
        Self {
            nonce: verification.nonce,
            started: under_way.then_some(verification.started),
            t: under_way.then_some(verification.threshold),
            n: under_way.then_some(verification.shares),
            progress: under_way.then_some(verification.progress),
            complete: verification.complete.then_some(true),
        }
    }
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// Vault's way to say that there are none.
fn list(fingerprints: Vec<String>) -> Json {
    if fingerprints.is_empty() { Json::Null } else { fingerprints.into() }
}
