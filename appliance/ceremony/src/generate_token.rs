//! Generating a token by a quorum of shares: what a root token and a recovery token have in common.

use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use framework::{Error, Given, Rng, Secret, Timestamp, TokenAttempt, TokenRequest};
use seals::pgp::Recipient;

use crate::control::lock;
use crate::gathering::{Added, Gathering};
use crate::hand_out::token_for;

/// Characters of such a token, and so of a one-time password for it.
pub(crate) const TOKEN: usize = 28;

/// The generation of a token, if one is under way.
#[derive(Default)]
pub(crate) struct Generation(Mutex<Option<Attempt>>);

struct Attempt {
    gathering: Gathering,
    veil: Veil,
}

/// What hides the token from all but its receiver.
enum Veil {
    OneTimePassword(Secret),
    Pgp(Recipient),
}

/// What became of a share.
pub(crate) enum Step {
    /// More are needed.
    More(TokenAttempt),
    /// It was the last that was needed: all of them.
    Enough(Vec<Secret>),
}

impl Generation {
    pub(crate) fn state(&self, required: u8) -> TokenAttempt {
        let none = || TokenAttempt { required, otp_length: TOKEN, ..TokenAttempt::default() };
        lock(&self.0).as_ref().map_or_else(none, |attempt| attempt.state(required))
    }

    pub(crate) fn start(
        &self,
        wanted: TokenRequest,
        required: u8,
        now: Timestamp,
        rng: &dyn Rng,
    ) -> Result<TokenAttempt, Error> {
        let (veil, shown) = Veil::make(wanted, now, rng)?;
        let mut generation = lock(&self.0);
        if generation.is_some() {
            return Err(Error::invalid("root generation already in progress"));
        }
        let attempt = generation.insert(Attempt { gathering: Gathering::new(rng), veil });
        tracing::info!(nonce = attempt.gathering.nonce(), "generation of a token started");
        Ok(TokenAttempt { otp: shown, ..attempt.state(required) })
    }

    /// Takes a share of which `required` are needed.
    pub(crate) fn give(&self, given: Given, required: u8) -> Result<Step, Error> {
        let mut generation = lock(&self.0);
        let attempt = generation.as_mut().ok_or_else(none)?;
        attempt.gathering.is(&given.nonce, "root generation operation")?;
        match attempt.gathering.add(given.share, required)? {
            Added::Enough(shares) => Ok(Step::Enough(shares)),
            Added::More => Ok(Step::More(attempt.state(required))),
            Added::Again => {
                let message = "given key has already been provided during this generation operation";
                Err(Error::field("key", message))
            }
        }
    }

    /// Ends the attempt with this nonce, and hides the token that `make` makes.
    pub(crate) fn finish(
        &self,
        nonce: &str,
        required: u8,
        make: impl FnOnce() -> Result<Secret, Error>,
    ) -> Result<TokenAttempt, Error> {
        let attempt = lock(&self.0).take_if(|attempt| attempt.gathering.nonce() == nonce).ok_or_else(none)?;
        let token = make()?;
        Ok(TokenAttempt {
            progress: required,
            encoded_token: Some(attempt.veil.over(&token)?),
            ..attempt.state(required)
        })
    }

    pub(crate) fn cancel(&self) {
        if let Some(attempt) = lock(&self.0).take() {
            tracing::info!(nonce = attempt.gathering.nonce(), "generation of a token cancelled");
        }
    }

    /// Forgets what is under way.
    pub(crate) fn forget(&self) {
        *lock(&self.0) = None;
    }
}

fn none() -> Error {
    Error::invalid("no root generation in progress")
}

impl Attempt {
    fn state(&self, required: u8) -> TokenAttempt {
        TokenAttempt {
            nonce: self.gathering.nonce().to_owned(),
            started: true,
            progress: self.gathering.given(),
            required,
            otp_length: TOKEN,
            pgp_fingerprint: match &self.veil {
                Veil::OneTimePassword(_) => String::new(),
                Veil::Pgp(recipient) => recipient.fingerprint(),
            },
            ..TokenAttempt::default()
        }
    }
}

impl Veil {
    /// What is to hide the token, and the password if it is made here.
    fn make(wanted: TokenRequest, now: Timestamp, rng: &dyn Rng) -> Result<(Self, Option<Secret>), Error> {
        match wanted {
            TokenRequest { otp: Some(_), pgp_key: Some(_) } => {
                Err(Error::field("pgp_key", "give a one-time password or a PGP key, not both"))
            }
            TokenRequest { pgp_key: Some(key), .. } => Ok((Self::Pgp(Recipient::parse(&key, "pgp_key", now)?), None)),
            TokenRequest { otp: Some(otp), .. } if otp.len() != TOKEN => {
                let message = format!("OTP string has incorrect length: {TOKEN} characters are needed");
                Err(Error::field("otp", message))
            }
            TokenRequest { otp: Some(otp), .. } => Ok((Self::OneTimePassword(otp), None)),
            TokenRequest { otp: None, .. } => {
                let otp = Secret::transient(registry::base62(rng, b"", TOKEN));
                let shown = otp.try_clone()?;
                Ok((Self::OneTimePassword(otp), Some(shown)))
            }
        }
    }

    fn over(&self, token: &Secret) -> Result<Secret, Error> {
        match self {
            Self::OneTimePassword(otp) => Ok(hidden(token, otp)),
            Self::Pgp(recipient) => token_for(recipient, token),
        }
    }
}

/// The token XORed with a password of its length, in base64 as Vault has it.
fn hidden(token: &Secret, otp: &Secret) -> Secret {
    let bytes: Vec<u8> = token.expose().iter().zip(otp.expose()).map(|(byte, pad)| byte ^ pad).collect();
    Secret::from(STANDARD_NO_PAD.encode(bytes))
}
