//! The one type that carries secret bytes.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::arena::{ArenaFull, Slot};
use crate::random::random_bytes;

/// Bytes of a secret: wiped on drop, never printed, compared in constant time.
///
/// Key material is *locked*: it lives in the guarded [arena](crate::arena). Passing values (a request body, a
/// decrypted record) are *transient*: they live on the heap.
pub struct Secret(Home);

enum Home {
    Locked { slot: Slot, len: usize },
    Transient(Zeroizing<Vec<u8>>),
}

impl Secret {
    /// Copies key material into guarded memory. Wiping `bytes` stays the caller's business.
    ///
    /// # Errors
    /// [`ArenaFull`] if there is no room, or more than [`LARGEST`](crate::arena::LARGEST) bytes are given.
    pub fn locked(bytes: &[u8]) -> Result<Secret, ArenaFull> {
        Secret::locked_with(bytes.len(), |room| room.copy_from_slice(bytes))
    }

    /// `len` bytes of guarded memory, zero at first, written by `fill`: the value is never anywhere else.
    ///
    /// # Errors
    /// As [`Secret::locked`].
    pub fn locked_with(len: usize, fill: impl FnOnce(&mut [u8])) -> Result<Secret, ArenaFull> {
        let mut slot = Slot::take(len)?;
        fill(slot.bytes_mut().get_mut(..len).unwrap_or_default());
        Ok(Secret(Home::Locked { slot, len }))
    }

    /// `len` random bytes in guarded memory, straight from getrandom(2).
    ///
    /// # Errors
    /// As [`Secret::locked`].
    pub fn random(len: usize) -> Result<Secret, ArenaFull> {
        Secret::locked_with(len, random_bytes)
    }

    /// A passing value, taken over without a copy; its buffer is wiped on drop, spare capacity included.
    pub fn transient(bytes: Vec<u8>) -> Secret {
        Secret(Home::Transient(Zeroizing::new(bytes)))
    }

    /// The bytes. Copies made from them are the caller's to wipe.
    pub fn expose(&self) -> &[u8] {
        match &self.0 {
            Home::Locked { slot, len } => slot.bytes().get(..*len).unwrap_or_default(),
            Home::Transient(bytes) => bytes,
        }
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.expose().len()
    }

    /// True if there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True if it lives in guarded memory.
    pub fn is_locked(&self) -> bool {
        matches!(self.0, Home::Locked { .. })
    }

    /// A second copy of the same kind: a locked secret is copied into guarded memory, a transient one on the heap.
    ///
    /// # Errors
    /// [`ArenaFull`], for a locked secret only.
    pub fn try_clone(&self) -> Result<Secret, ArenaFull> {
        match &self.0 {
            Home::Locked { .. } => Secret::locked(self.expose()),
            Home::Transient(bytes) => Ok(Secret::transient(bytes.to_vec())),
        }
    }

    /// Compares in time that depends on the lengths alone.
    pub fn ct_eq(&self, other: &[u8]) -> bool {
        self.expose().ct_eq(other).into()
    }

    /// Gives the bytes up to the caller, who wipes them (the wiping allocator does). A transient value is not copied;
    /// a locked one leaves guarded memory.
    pub fn into_vec(mut self) -> Vec<u8> {
        match &mut self.0 {
            Home::Locked { .. } => self.expose().to_vec(),
            Home::Transient(bytes) => std::mem::take(&mut **bytes),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.len())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.ct_eq(other.expose())
    }
}

impl Eq for Secret {}

/// A transient secret, taken over without a copy.
impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Secret {
        Secret::transient(bytes)
    }
}

/// A transient secret, taken over without a copy.
impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret::transient(text.into_bytes())
    }
}

/// A transient secret, copied.
impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret::transient(text.as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_no_content_and_compares_by_content() {
        let secret = Secret::locked(b"hunter2").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(7 bytes)");
        assert_eq!(secret, Secret::from("hunter2"));
        assert_ne!(secret, Secret::from("hunter3"));
        assert!(!secret.ct_eq(b"hunter"));
    }

    #[test]
    fn a_copy_lives_where_the_original_does() {
        let locked = Secret::random(32).unwrap().try_clone().unwrap();
        assert!(locked.is_locked() && locked.len() == 32);
        let passing = Secret::from("value".to_owned());
        assert!(!passing.try_clone().unwrap().is_locked());
    }

    #[test]
    fn a_passing_value_is_taken_and_given_without_a_copy() {
        let bytes = b"body".to_vec();
        let at = bytes.as_ptr();
        let secret = Secret::from(bytes);
        assert_eq!(secret.expose().as_ptr(), at);
        let bytes = secret.into_vec();
        assert_eq!((bytes.as_ptr(), bytes.as_slice()), (at, &b"body"[..]));
    }

    #[test]
    fn empty_and_random_secrets_are_what_they_say() {
        assert!(Secret::locked(b"").unwrap().is_empty());
        let mut bytes = [0; 300];
        random_bytes(&mut bytes);
        assert!(bytes.iter().any(|byte| *byte != 0));
        assert_ne!(Secret::random(32).unwrap(), Secret::random(32).unwrap());
    }
}
