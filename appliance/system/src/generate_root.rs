//! `sys/generate-root` and `sys/generate-root-token`: a root token by a quorum of shares. The first is the older form, bare
//! and, where the configuration says so, without a token; the second needs a token and answers in the usual envelope.

use std::sync::Arc;

use framework::Operation::{Delete, Read, Update};
use framework::{Context, GenerateToken, Route, Secret, TokenAttempt, TokenRequest, fields};

use crate::shares::Giving;
use crate::{Core, Nothing};

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    let root = &core.ceremonies.root;
    let older = |route: Route| {
        let route = route.bare();
        if core.unauthenticated.generate_root { route.open() } else { route }
    };
    let mut routes: Vec<Route> = attempts(root, "generate-root/attempt").into_iter().map(older).collect();
    routes.extend(attempts(root, "generate-root").into_iter().map(older));
    routes.push(older(update(root, "generate-root/update")));
    routes.extend(attempts(root, "generate-root-token/attempt"));
    routes.push(update(root, "generate-root-token/update"));
    routes
}

/// Look at the attempt, start one, give up.
pub(crate) fn attempts(ceremony: &Arc<dyn GenerateToken>, path: &'static str) -> [Route; 3] {
    let shared = || Arc::clone(ceremony);
    let (looked_at, started, cancelled) = (shared(), shared(), shared());
    [
        Route::new(Read, path, "How far the generation of a root token is.", move |_: &Context<'_>, _: Nothing| {
            looked_at.attempt().map(Attempt::from)
        }),
        Route::new(Update, path, "Start the generation of a root token.", move |_: &Context<'_>, wanted: Start| {
            started.start(wanted.request()).map(Attempt::from)
        }),
        Route::new(Delete, path, "Give up the generation of a root token.", move |_: &Context<'_>, _: Nothing| {
            cancelled.cancel();
            Ok(())
        }),
    ]
}

pub(crate) fn update(ceremony: &Arc<dyn GenerateToken>, path: &'static str) -> Route {
    let ceremony = Arc::clone(ceremony);
    let about = "Give one share to the generation of a root token.";
    Route::new(Update, path, about, move |_: &Context<'_>, giving: Giving| {
        ceremony.give(giving.given()?).map(Attempt::from)
    })
}

fields! {
    struct Start {
        /// A one-time password of the length that a look at the attempt tells; left out, the server makes one.
        otp: Option<String>,
        /// A PGP public key in base64 to encrypt the token to, in place of a password.
        pgp_key: Option<String>,
    }

    struct Attempt {
        /// Names the attempt.
        nonce: String,
        /// Whether one is under way.
        started: bool,
        /// Shares given so far.
        progress: u8,
        /// Shares needed.
        required: u8,
        /// Whether the token is made.
        complete: bool,
        /// The token, XORed with the one-time password or encrypted to the PGP key, in base64.
        encoded_token: String,
        /// The same, under its older name.
        encoded_root_token: String,
        /// Fingerprint of the PGP key that hides the token.
        pgp_fingerprint: String,
        /// The one-time password, shown once, if the server made it.
        otp: String,
        /// Length of a one-time password.
        otp_length: u32,
    }
}

impl Start {
    fn request(self) -> TokenRequest {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        TokenRequest { otp: given(self.otp).map(Secret::from), pgp_key: given(self.pgp_key) }
    }
}

impl From<TokenAttempt> for Attempt {
    fn from(attempt: TokenAttempt) -> Self {
        let text = |secret: Option<Secret>| {
            secret.map(|secret| String::from_utf8_lossy(secret.expose()).into_owned()).unwrap_or_default()
        };
        let complete = attempt.encoded_token.is_some();
        let token = text(attempt.encoded_token);
        Self {
            nonce: attempt.nonce,
            started: attempt.started,
            progress: attempt.progress,
            required: attempt.required,
            complete,
            encoded_token: token.clone(),
            encoded_root_token: token,
            pgp_fingerprint: attempt.pgp_fingerprint,
            otp: text(attempt.otp),
            otp_length: u32::try_from(attempt.otp_length).unwrap_or_default(),
        }
    }
}
