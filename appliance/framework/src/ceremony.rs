//! What operators do with the seal: initialise, unseal, seal; and what a quorum of share holders may have done: a new root
//! token, new shares, a new root key.
//!
//! Where shares are the seal they *decrypt*; where an HSM is, the shares are of a recovery key and *authorise* only.
//! No implementation holds a lock while it waits for an HSM or for the store. What is under way in a ceremony is in memory
//! alone: a restart or a seal forgets it, and the old shares are good.

use crate::{Error, SealKind, Secret, Timestamp};

/// The state of the seal, for `sys/seal-status` and `sys/health`.
#[derive(Clone, Debug)]
pub struct SealStatus {
    /// The kind of seal that protects the root key.
    pub kind: SealKind,
    /// Whether `sys/init` was done.
    pub initialized: bool,
    /// Whether the keyring is out of reach.
    pub sealed: bool,
    /// Shares needed to unseal; with an HSM, recovery shares needed to authorise.
    pub threshold: u8,
    /// Shares that exist.
    pub shares: u8,
    /// Whether the configuration names another seal than the storage lies under, and a quorum is waited for to move.
    pub migration: bool,
    /// How far the present attempt to unseal has come.
    pub progress: Progress,
    /// Name of this cluster, once unsealed.
    pub cluster_name: Option<String>,
    /// Id of this cluster, once unsealed.
    pub cluster_id: Option<String>,
    /// Kind of storage, as in the configuration.
    pub storage: &'static str,
    /// What is wrong with the seal, if something is.
    pub trouble: Option<String>,
}

/// An attempt to gather shares.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Different shares given so far.
    pub given: u8,
    /// Names the attempt; empty when none is under way.
    pub nonce: String,
}

/// What `sys/init` asks for.
#[derive(Clone, Debug)]
pub struct InitRequest {
    /// How many shares: of the unseal key, or with an HSM of the recovery key. 1 to 255.
    pub shares: u8,
    /// How many of them are needed. 1 to `shares`; 1 only if `shares` is 1.
    pub threshold: u8,
    /// PGP keys to encrypt the shares to, in order: none, or one for each share.
    pub pgp_keys: Vec<String>,
    /// The PGP key to encrypt the root token to.
    pub root_token_pgp_key: Option<String>,
}

/// What `sys/init` gives out, once.
pub struct InitAnswer {
    /// The shares; encrypted where PGP keys were given.
    pub shares: Vec<Secret>,
    /// Whether they are recovery shares: they authorise, they do not decrypt.
    pub recovery: bool,
    /// The first root token, or a message in base64 that holds it.
    pub root_token: Secret,
}

/// The ceremonies behind `sys/init`, `sys/unseal` and `sys/seal`.
pub trait SealControl: Send + Sync {
    /// The state now. Never blocks on an HSM.
    fn status(&self) -> SealStatus;

    /// Makes the root key, keyring and root token. [`Error::Invalid`] if that was done before. Leaves the server unsealed
    /// with an HSM, sealed with shares.
    fn initialize(&self, request: &InitRequest) -> Result<InitAnswer, Error>;

    /// Takes one share; `None` abandons the attempt. Unseals when enough are there.
    fn submit(&self, share: Option<Secret>) -> Result<SealStatus, Error>;

    /// Takes one share of the old seal, for moving from it to the one that the configuration names. With enough of them the
    /// new seal protects the storage, which is unsealed; whatever ends the server before, the old one still does.
    /// [`Error::Invalid`] if there is nothing to move.
    fn migrate(&self, share: Secret) -> Result<SealStatus, Error>;

    /// Forgets every key. After this no secret is left in the process.
    fn seal(&self) -> Result<(), Error>;
}

/// A share that is given to a ceremony.
pub struct Given {
    /// The share.
    pub share: Secret,
    /// The nonce of the ceremony that its holder means.
    pub nonce: String,
}

/// How a generated token is to be hidden from all but its receiver.
#[derive(Default)]
pub struct TokenRequest {
    /// A one-time password to XOR it with; `None` for one that the server makes.
    pub otp: Option<Secret>,
    /// The PGP key to encrypt it to, in place of a password.
    pub pgp_key: Option<String>,
}

/// How far the generation of a token has come.
#[derive(Debug, Default)]
pub struct TokenAttempt {
    /// Names the attempt; empty when none is under way.
    pub nonce: String,
    /// Whether one is under way, or was until this answer.
    pub started: bool,
    /// Different shares given so far.
    pub progress: u8,
    /// Shares needed.
    pub required: u8,
    /// The hidden token, in base64; with it the attempt is over.
    pub encoded_token: Option<Secret>,
    /// The one-time password, where the server made it just now.
    pub otp: Option<Secret>,
    /// How long a one-time password has to be, in bytes.
    pub otp_length: usize,
    /// Fingerprint of the PGP key that hides it, or empty.
    pub pgp_fingerprint: String,
}

/// Generating a token by quorum: `sys/generate-root`. One attempt at a time.
pub trait GenerateToken: Send + Sync {
    /// The attempt now.
    fn attempt(&self) -> Result<TokenAttempt, Error>;

    /// Starts one. [`Error::Invalid`] if there is one, or the password has the wrong length.
    fn start(&self, wanted: TokenRequest) -> Result<TokenAttempt, Error>;

    /// Takes a share. With enough of them the token is made and the attempt is over; if they are wrong all of them are
    /// forgotten ([`Error::Invalid`]), and the attempt goes on under its nonce.
    fn give(&self, given: Given) -> Result<TokenAttempt, Error>;

    /// Gives up; no effect if there is nothing to give up.
    fn cancel(&self);
}

/// The token of recovery mode, which a quorum has made.
pub trait RecoveryToken: GenerateToken {
    /// Whether it is this one.
    fn admits(&self, token: Option<&Secret>) -> bool;
}

/// What `sys/raw` has to know of the records that it reads and writes. [`Error::Sealed`] while sealed.
pub trait RawRecords: Send + Sync {
    /// Whether the record is a key, so that nobody may see or change it.
    fn is_protected(&self, name: &str) -> bool;

    /// Whether the seal wraps the record; `None` if there is none.
    fn is_wrapped(&self, name: &str) -> Result<Option<bool>, Error>;
}

/// Which shares are made anew.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeySet {
    /// Those of the unseal key; where an HSM unseals there are none, and only the root key is made anew.
    Unseal,
    /// Those of the recovery key, which exists only beside an HSM.
    Recovery,
}

/// What `sys/rekey/init` asks for.
#[derive(Clone, Debug)]
pub struct RekeyRequest {
    /// How many new shares.
    pub shares: u8,
    /// How many of them will be needed.
    pub threshold: u8,
    /// PGP keys to encrypt the new shares to, in order: none, or one for each share.
    pub pgp_keys: Vec<String>,
    /// Whether the encrypted shares are kept, for [`ShareBackup`].
    pub backup: bool,
    /// Whether the new shares count only once a quorum of them has been shown again.
    pub verify: bool,
}

/// How far a rekey has come.
#[derive(Clone, Debug, Default)]
pub struct RekeyState {
    /// Names the ceremony; empty when none is under way.
    pub nonce: String,
    /// Whether one is under way.
    pub started: bool,
    /// New shares.
    pub shares: u8,
    /// New shares that will be needed.
    pub threshold: u8,
    /// Different old shares given so far.
    pub progress: u8,
    /// Old shares needed.
    pub required: u8,
    /// Fingerprints of the PGP keys that the new shares will be encrypted to.
    pub pgp_fingerprints: Vec<String>,
    /// Whether the encrypted shares will be kept.
    pub backup: bool,
    /// Whether the new shares have to be verified.
    pub verify: bool,
    /// Names the verification, once the new shares are out.
    pub verification_nonce: String,
}

/// New shares, given out once.
pub struct NewShares {
    /// The nonce of the ceremony.
    pub nonce: String,
    /// The shares; encrypted where PGP keys were given.
    pub shares: Vec<Secret>,
    /// Fingerprints of the PGP keys that they are encrypted to, in the same order.
    pub pgp_fingerprints: Vec<String>,
    /// Whether the encrypted shares are kept.
    pub backup: bool,
    /// Names the verification that has to follow; empty if the shares count already.
    pub verification_nonce: String,
}

/// What became of a share given to a rekey.
pub enum RekeyStep {
    /// More are needed.
    More(RekeyState),
    /// It was the last; these are the new shares.
    Done(NewShares),
}

/// How far the verification of new shares has come.
#[derive(Clone, Debug, Default)]
pub struct Verification {
    /// Names the verification.
    pub nonce: String,
    /// Whether the new shares are out and wait for it.
    pub started: bool,
    /// New shares.
    pub shares: u8,
    /// New shares that are needed.
    pub threshold: u8,
    /// Different new shares given so far.
    pub progress: u8,
    /// The new shares count from now on.
    pub complete: bool,
}

/// New shares by a quorum of the old: `sys/rekey`, `sys/rotate/root/init` and the like. One ceremony at a time for each
/// [`KeySet`]; [`Error::Invalid`] for a set that the seal does not have.
pub trait Rekey: Send + Sync {
    /// The ceremony now.
    fn state(&self, set: KeySet) -> Result<RekeyState, Error>;

    /// Starts one. [`Error::Invalid`] if there is one, or the numbers are impossible.
    fn start(&self, set: KeySet, wanted: RekeyRequest) -> Result<RekeyState, Error>;

    /// Takes an old share. With enough of them there are new shares, which count at once unless they are to be verified; if
    /// they are wrong all of them are forgotten ([`Error::Invalid`]), and the ceremony goes on under its nonce.
    fn give(&self, set: KeySet, given: Given) -> Result<RekeyStep, Error>;

    /// Gives up, with new shares that were not verified; no effect if there is nothing to give up.
    fn cancel(&self, set: KeySet);
}

/// Showing that new shares have reached their holders before they count.
pub trait VerifyRekey: Send + Sync {
    /// The verification now. [`Error::Invalid`] if there is no rekey.
    fn verification(&self, set: KeySet) -> Result<Verification, Error>;

    /// Takes a new share; with enough of them the new shares count and the old ones no more. If they are wrong all of them
    /// are forgotten ([`Error::Invalid`]), and the verification starts again under a new nonce.
    fn verify(&self, set: KeySet, given: Given) -> Result<Verification, Error>;

    /// Forgets the new shares that were shown, and names the verification anew.
    fn restart_verification(&self, set: KeySet) -> Result<Verification, Error>;
}

/// Encrypted shares that were kept when they were given out.
pub struct KeptShares {
    /// The nonce of the rekey that made them.
    pub nonce: String,
    /// The encrypted shares, each with the fingerprint of the PGP key that reads it.
    pub shares: Vec<(String, Secret)>,
}

/// What is kept of PGP-encrypted shares, for the case that an answer got lost: `sys/rekey/backup`.
pub trait ShareBackup: Send + Sync {
    /// What is kept; `None` if nothing is.
    fn kept(&self, set: KeySet) -> Result<Option<KeptShares>, Error>;

    /// Keeps it no more.
    fn drop_kept(&self, set: KeySet) -> Result<(), Error>;
}

/// The data key in use.
#[derive(Clone, Copy, Debug)]
pub struct KeyStatus {
    /// Its number.
    pub term: u32,
    /// When it was made.
    pub installed: Timestamp,
    /// Values encrypted with it; never less than the true number, and after a restart some thousands more.
    pub encryptions: u64,
}

/// The keys of the barrier, as `sys/key-status` and `sys/rotate` see them.
pub trait KeyRotation: Send + Sync {
    /// The data key in use. [`Error::Sealed`] while sealed.
    fn data_key(&self) -> Result<KeyStatus, Error>;

    /// Makes a new data key for new values.
    fn rotate_data_key(&self, now: Timestamp) -> Result<(), Error>;

    /// Puts the keyring under a new root key. The shares stay as they are.
    fn rotate_root_key(&self) -> Result<(), Error>;
}
