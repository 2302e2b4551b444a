//! Where the ceremonies' records stand behind the barrier. `sys/raw` refuses all of them.

/// The key under which the registry knows tokens: made once.
pub(crate) const TOKEN_KEY: &str = "core/token-key";
/// What a recovery key is checked against.
pub(crate) const RECOVERY_KEY: &str = "core/recovery-key";
/// The key that operators hold in shares, so that the root key can be made anew without them. It opens no more than what
/// is open while this can be read.
pub(crate) const UNSEAL_KEY: &str = "core/unseal-key";

/// PGP-encrypted unseal shares that were kept.
pub(crate) const UNSEAL_BACKUP: &str = "core/unseal-shares";
/// PGP-encrypted recovery shares that were kept.
pub(crate) const RECOVERY_BACKUP: &str = "core/recovery-shares";

/// All of them: nobody reads or changes them but the ceremonies.
pub(crate) const ALL: [&str; 5] = [TOKEN_KEY, RECOVERY_KEY, UNSEAL_KEY, UNSEAL_BACKUP, RECOVERY_BACKUP];
