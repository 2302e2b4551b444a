//! What tells one key from another without saying anything about it.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};

use crate::entry::Door;
use crate::error::{Fault, Kind};

/// What is encrypted for the check value: exactly two AES blocks.
const CHECK_LABEL: &[u8; 32] = b"holdfast seal key check value v1";

/// First byte of a check value made by CBC-MAC: 16 bytes follow.
const BY_CBC_MAC: u8 = 1;
/// First byte of a check value that is SHA-256 of an RSA key's modulus: 32 bytes follow.
const BY_MODULUS: u8 = 3;
/// First byte of a check value that is the token's `CKA_CHECK_VALUE`: usually 3 bytes follow.
const BY_ATTRIBUTE: u8 = 2;

/// The check value of an AES key.
///
/// It is the second block of AES-CBC, zero IV, over [`CHECK_LABEL`], and so a block cipher's output for an input that
/// nobody outside the HSM knows. It cannot be a block of a GCM key stream either, but by chance of 2^-128: those have
/// small counters in their last four bytes, and the label's first block has text there. GCM itself is no use for this,
/// since AWS CloudHSM lets nobody choose the IV; a CMAC would need a key that signs. Where the token has no AES-CBC,
/// AES-ECB gives the same value; where it has neither, its own `CKA_CHECK_VALUE` must do.
pub(super) fn of_secret(door: Door, key: ObjectHandle) -> Result<Vec<u8>, Fault> {
    let refused = |fault: &Fault| matches!(fault.kind, Kind::Operator);
    // A session of its own for each try: a failed operation may stay active in its session.
    let by_cbc =
        || -> Result<Vec<u8>, Fault> { Ok(door.session()?.encrypt(&Mechanism::AesCbc([0; 16]), key, CHECK_LABEL)?) };
    let by_ecb = || -> Result<Vec<u8>, Fault> {
        let session = door.session()?;
        let (first, second) = CHECK_LABEL.split_at(16);
        let chained = session.encrypt(&Mechanism::AesEcb, key, first)?;
        let input: Vec<u8> = chained.iter().zip(second).map(|(a, b)| a ^ b).collect();
        Ok([chained, session.encrypt(&Mechanism::AesEcb, key, &input)?].concat())
    };
    let encrypted = match by_cbc() {
        Err(fault) if refused(&fault) => by_ecb(),
        other => other,
    };
    match encrypted {
        Ok(blocks) => match blocks.get(16..) {
            Some(last) if last.len() == 16 => Ok([&[BY_CBC_MAC], last].concat()),
            _ => Err(Fault::operator("C_Encrypt: AES-CBC gave a result of the wrong length")),
        },
        Err(fault) if refused(&fault) => {
            let found = door.session()?.get_attributes(key, &[AttributeType::CheckValue])?;
            match found.first() {
                Some(Attribute::CheckValue(value)) if value.len() >= 3 => {
                    Ok([&[BY_ATTRIBUTE], value.as_slice()].concat())
                }
                _ => Err(Fault::operator(format!(
                    "{}; and there is no CKA_CHECK_VALUE: nothing tells this key from another",
                    fault.message
                ))),
            }
        }
        Err(fault) => Err(fault),
    }
}

/// The check value of an RSA key pair: its modulus is public, and hashed only to be short. The token does it.
pub(super) fn of_modulus(door: Door, key: ObjectHandle) -> Result<Vec<u8>, Fault> {
    let session = door.session()?;
    match session.get_attributes(key, &[AttributeType::Modulus])?.first() {
        Some(Attribute::Modulus(modulus)) => {
            Ok([vec![BY_MODULUS], session.digest(&Mechanism::Sha256, modulus)?].concat())
        }
        _ => Err(Fault::operator("the token does not show the modulus of the seal key: nothing tells it from another")),
    }
}
