//! The first bytes of every record, in one place.
//!
//! | record       | layout (integers big-endian) |
//! |---|---|
//! | value        | [`VALUE`], term u32, cipher u8, nonce 12, ciphertext, tag 16 |
//! | keyring      | [`KEYRING`], cipher u8, check value of the root key 8, nonce 12, ciphertext, tag 16 |
//! | seal record  | [`SEAL_RECORD`], MAC 32, data |
//! | wrapped      | [`WRAPPED`], cipher u8, length u16, [`Wrapped::encode_all`], nonce 12, ciphertext, tag 16 |
//!
//! Associated data is always all that stands before the nonce, then the record's key on the disk.

use framework::{Error, KeyId, Wrapped};

/// A value under a data key.
pub(crate) const VALUE: u8 = 1;
/// The keyring under the root key.
pub(crate) const KEYRING: u8 = 2;
/// A record that is readable while sealed.
pub(crate) const SEAL_RECORD: u8 = 3;
/// Any of the others under an entry key that a seal wrapped, or several did.
pub(crate) const WRAPPED: u8 = 4;

/// AES-256-GCM-SIV (RFC 8452), 96-bit random nonce.
pub(crate) const AES_256_GCM_SIV: u8 = 1;

/// Bytes of a value's header.
pub(crate) const VALUE_HEADER: usize = 6;

/// The header of a value under `term`.
pub(crate) fn value_header(term: u32) -> [u8; VALUE_HEADER] {
    let [a, b, c, d] = term.to_be_bytes();
    [VALUE, a, b, c, d, AES_256_GCM_SIV]
}

/// The term a value was encrypted in. `record` may come from a damaged or hostile disk.
pub(crate) fn value_term(record: &[u8]) -> Result<u32, &'static str> {
    match record.first_chunk::<VALUE_HEADER>() {
        Some(&[VALUE, a, b, c, d, AES_256_GCM_SIV]) => Ok(u32::from_be_bytes([a, b, c, d])),
        Some(&[VALUE, ..]) => Err("it names an unknown cipher"),
        Some(&[WRAPPED, ..]) => Err("it is wrapped by a seal that is not in use here"),
        _ => Err("it has no valid header"),
    }
}

/// The header of a wrapped record, up to its nonce.
pub(crate) fn wrapped_header(wrapped: &[Wrapped]) -> Result<Vec<u8>, Error> {
    let entry_key = Wrapped::encode_all(wrapped)?;
    let length =
        u16::try_from(entry_key.len()).map_err(|_| Error::internal("the seal made a wrapped key over 64 KiB long"))?;
    let mut header = Vec::with_capacity(4 + entry_key.len());
    header.extend_from_slice(&[WRAPPED, AES_256_GCM_SIV]);
    header.extend_from_slice(&length.to_be_bytes());
    header.extend_from_slice(&entry_key);
    Ok(header)
}

/// Whether a record is a wrapped one.
pub(crate) fn is_wrapped(record: &[u8]) -> bool {
    record.first() == Some(&WRAPPED)
}

/// The length of a wrapped record's header, and the encoded entry key in it.
pub(crate) fn split_wrapped(record: &[u8]) -> Result<(usize, &[u8]), Error> {
    let malformed = || Error::internal("a seal-wrapped record failed its integrity check: it has no valid header");
    let (&[WRAPPED, AES_256_GCM_SIV, high, low], rest) = record.split_first_chunk::<4>().ok_or_else(malformed)? else {
        return Err(malformed());
    };
    let entry_key = rest.get(..usize::from(u16::from_be_bytes([high, low]))).ok_or_else(malformed)?;
    Ok((4 + entry_key.len(), entry_key))
}

/// Whether the seal protects a record on the disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Coverage {
    /// By an entry key that a seal wrapped.
    Wrapped {
        /// The seals' keys that each wrapped the entry key.
        key_ids: Vec<KeyId>,
    },
    /// By the barrier alone.
    Unwrapped,
}

/// How the record with these bytes on the disk is protected. Reads the header only; checks no integrity.
pub fn inspect(record: &[u8]) -> Result<Coverage, Error> {
    if !is_wrapped(record) {
        return Ok(Coverage::Unwrapped);
    }
    let (_, entry_key) = split_wrapped(record)?;
    let key_ids = Wrapped::decode_all(entry_key)?.into_iter().map(|wrapped| wrapped.key_id).collect();
    Ok(Coverage::Wrapped { key_ids })
}
