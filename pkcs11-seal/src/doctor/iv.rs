//! AES-GCM: who makes the IV, and whether it can be trusted with that.

use std::collections::HashSet;

use cryptoki::mechanism::Mechanism as Call;
use cryptoki::mechanism::aead::GcmParams;
use hardening::random_bytes;

use super::{Patient, Seen, Verdict, expect};
use crate::config::IvSource;
use crate::error::Fault;
use crate::mechanism::LONGEST_PLAINTEXT;

const PLAIN: &[u8] = b"holdfast doctor";
const AAD: &[u8] = b"holdfast doctor v1";
/// Encryptions whose IVs are compared.
const ROUNDS: usize = 64;

/// Encrypts with the scratch key in a session of its own; what stands in `iv` afterwards is what counts.
fn encrypt(patient: &Patient<'_>, iv: &mut [u8; 12], plain: &[u8]) -> Result<Vec<u8>, Fault> {
    let session = patient.entry.door.session()?;
    let params = GcmParams::new(iv, AAD, 128.into())?;
    Ok(session.encrypt(&Call::AesGcm(params), patient.scratch, plain)?)
}

fn decrypt(patient: &Patient<'_>, mut iv: [u8; 12], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Fault> {
    let session = patient.entry.door.session()?;
    let params = GcmParams::new(&mut iv, aad, 128.into())?;
    Ok(session.decrypt(&Call::AesGcm(params), patient.scratch, sealed)?)
}

fn random_iv() -> [u8; 12] {
    let mut iv = [0; 12];
    random_bytes(&mut iv);
    iv
}

/// An encryption whose IV is made by whoever makes it here.
fn sealed(patient: &Patient<'_>, plain: &[u8]) -> Result<([u8; 12], Vec<u8>), Fault> {
    let source = patient.config.iv.or(patient.entry.profile.iv).unwrap_or(IvSource::Caller);
    let mut iv = if source == IvSource::Caller { random_iv() } else { [0; 12] };
    let sealed = encrypt(patient, &mut iv, plain)?;
    Ok((iv, sealed))
}

pub(super) fn of_the_caller(patient: &Patient<'_>) -> Seen {
    let given = random_iv();
    let mut iv = given;
    let by_token = patient.rules.iv == Some(IvSource::Token);
    match encrypt(patient, &mut iv, PLAIN) {
        Err(fault) => expect(patient.rules.iv != Some(IvSource::Caller), format!("refused ({})", fault.message)),
        Ok(_) if iv == given => expect(!by_token, "used as given"),
        Ok(_) => expect(patient.rules.iv != Some(IvSource::Caller), "overwritten by the token's own"),
    }
}

/// The mistake that must not be possible: a caller who leaves the IV to a token that does not make one.
pub(super) fn left_to_the_token(patient: &Patient<'_>) -> Seen {
    let mut iv = [0; 12];
    match encrypt(patient, &mut iv, PLAIN) {
        Ok(_) if iv == [0; 12] => Ok((
            Verdict::Fail,
            "encrypts under the all-zero IV, every time the same: a program that leaves the IV to the token, as AWS \
             CloudHSM wants it, gives its plaintexts away. This program refuses the result"
                .to_owned(),
        )),
        Ok(_) => Ok((Verdict::Ok, "the token makes one and writes it back".to_owned())),
        Err(fault) => expect(patient.rules.iv != Some(IvSource::Token), format!("refused ({})", fault.message)),
    }
}

pub(super) fn fresh(patient: &Patient<'_>) -> Seen {
    let mut seen = HashSet::new();
    for _ in 0..ROUNDS {
        let (iv, _) = sealed(patient, PLAIN)?;
        if iv == [0; 12] || !seen.insert(iv) {
            return Ok((Verdict::Fail, "an IV was zero or came twice".to_owned()));
        }
    }
    Ok((Verdict::Ok, format!("{ROUNDS} encryptions under as many different IVs")))
}

pub(super) fn authentication(patient: &Patient<'_>) -> Seen {
    let (iv, sealed) = sealed(patient, PLAIN)?;
    if decrypt(patient, iv, AAD, &sealed)? != PLAIN {
        return Ok((Verdict::Fail, "what was encrypted does not come back".to_owned()));
    }
    let mut flipped = sealed.clone();
    if let Some(first) = flipped.first_mut() {
        *first ^= 1;
    }
    match (decrypt(patient, iv, AAD, &flipped), decrypt(patient, iv, b"elsewhere", &sealed)) {
        (Err(one), Err(other)) => {
            let both =
                if one.message == other.message { one.message } else { format!("{}; {}", one.message, other.message) };
            Ok((Verdict::Ok, format!("altered ciphertext and other associated data are refused ({both})")))
        }
        _ => Ok((Verdict::Fail, "altered ciphertext or other associated data are accepted".to_owned())),
    }
}

pub(super) fn longest(patient: &Patient<'_>) -> Seen {
    sealed(patient, &vec![0; LONGEST_PLAINTEXT])?;
    let more = sealed(patient, &vec![0; LONGEST_PLAINTEXT + 1]).is_ok();
    let limited = patient.rules.name == "cloudhsm";
    let beyond = if more { "more is accepted" } else { "more is refused" };
    expect(more != limited, format!("{LONGEST_PLAINTEXT} bytes at once; {beyond}"))
}

pub(super) fn parts(patient: &Patient<'_>) -> Seen {
    let session = patient.entry.door.session()?;
    let source = patient.config.iv.or(patient.entry.profile.iv).unwrap_or(IvSource::Caller);
    let mut iv = if source == IvSource::Caller { random_iv() } else { [0; 12] };
    session.encrypt_init(&Call::AesGcm(GcmParams::new(&mut iv, AAD, 128.into())?), patient.scratch)?;
    let accepted = session.encrypt_update(PLAIN).is_ok();
    let refused = patient.rules.name == "cloudhsm";
    expect(accepted != refused, if accepted { "AES-GCM in parts is accepted" } else { "AES-GCM in one part only" })
}
