//! Sessions, mechanisms, the seal key, and how fast all that is.

use std::time::Duration;

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::session::UserType;
use cryptoki::types::RawAuthPin;

use super::{Patient, Seen, Verdict, expect, median};
use crate::key;
use crate::mechanism::{self, AES_CBC_PAD, RSA_OAEP};

/// Most sessions that are opened to see whether they can be.
const MANY: usize = 64;
/// Slower than this, writes to seal-wrapped paths would be no good.
const SLOW: Duration = Duration::from_secs(1);

pub(super) fn read_only_sessions(patient: &Patient<'_>) -> Seen {
    let door = patient.entry.door;
    let accepted = door.module.pkcs11().open_ro_session(door.slot).is_ok();
    let text = if accepted { "accepted" } else { "refused" };
    expect(accepted == patient.rules.read_only_sessions, format!("{text}; this program never asks for one"))
}

pub(super) fn sessions(patient: &Patient<'_>) -> Seen {
    let wanted = patient.config.max_sessions.max(MANY).min(patient.rules.most_sessions);
    let mut open = Vec::new();
    let refused = loop {
        if open.len() == wanted {
            break None;
        }
        match patient.entry.door.session() {
            Ok(session) => open.push(session),
            Err(fault) => break Some(fault),
        }
    };
    let enough = open.len() >= patient.config.max_sessions;
    let detail = match refused {
        None => format!("{wanted} at once"),
        Some(fault) => format!("{} at once, then {}", open.len(), fault.message),
    };
    Ok((if enough { Verdict::Ok } else { Verdict::Fail }, detail))
}

/// One login holds for all sessions of a process, and the token says so.
pub(super) fn second_login(patient: &Patient<'_>) -> Seen {
    let pin = RawAuthPin::new(Box::new(patient.config.pin.expose().to_vec()));
    match patient.entry.door.session()?.login_with_raw(UserType::User, &pin) {
        Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
            Ok((Verdict::Ok, "one login holds for every session (CKR_USER_ALREADY_LOGGED_IN)".to_owned()))
        }
        Ok(()) => expect(false, "another login is accepted: sessions may be logged in one by one"),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn mechanisms(patient: &Patient<'_>) -> Seen {
    let door = patient.entry.door;
    let offered = door.module.pkcs11().get_mechanism_list(door.slot)?;
    let number = patient.config.mechanism.unwrap_or(patient.entry.profile.mechanism);
    let needed: &[MechanismType] = match number {
        AES_CBC_PAD => &[MechanismType::AES_KEY_GEN, MechanismType::AES_CBC_PAD, MechanismType::SHA256_HMAC],
        RSA_OAEP => &[MechanismType::RSA_PKCS_KEY_PAIR_GEN, MechanismType::RSA_PKCS_OAEP],
        _ => &[MechanismType::AES_KEY_GEN, MechanismType::AES_GCM],
    };
    let missing: Vec<String> =
        needed.iter().filter(|needed| !offered.contains(needed)).map(ToString::to_string).collect();
    if !missing.is_empty() {
        return Ok((Verdict::Fail, format!("not offered: {}", missing.join(", "))));
    }
    let name = mechanism::name(number);
    let text = format!("what {name} needs is among the {} offered", offered.len());
    // CloudHSM offers its vendor's own wrapping only.
    let foreign = offered.contains(&MechanismType::AES_KEY_WRAP);
    match patient.rules.name {
        "cloudhsm" if foreign => expect(false, format!("{text}; CKM_AES_KEY_WRAP too, which CloudHSM has not")),
        _ => Ok((Verdict::Ok, text)),
    }
}

pub(super) fn random(patient: &Patient<'_>) -> Seen {
    let one = patient.session.generate_random_vec(32)?;
    let other = patient.session.generate_random_vec(32)?;
    let good = one.len() == 32 && one != other && one.iter().any(|byte| *byte != 0);
    let text =
        if good { "C_GenerateRandom gives 32 bytes, others each time" } else { "C_GenerateRandom repeats itself" };
    Ok((if good { Verdict::Ok } else { Verdict::Fail }, text.to_owned()))
}

/// One only, fit for it, and able to wrap. None yet is no fault of the HSM's.
pub(super) fn seal_key(patient: &Patient<'_>) -> Seen {
    let (config, entry) = (patient.config, &patient.entry);
    let number = config.mechanism.unwrap_or(entry.profile.mechanism);
    let roles = mechanism::roles(number, config)?;
    if let Some((role, label)) = roles.first()
        && key::labelled(&patient.session, role, label, config.key_id.as_deref())?.is_empty()
    {
        return expect(true, format!("no key labelled {label:?} yet: `holdfast hsm init` makes it"));
    }
    let opened = mechanism::open(number, entry, config)?;
    let session = entry.door.session()?;
    let blob = opened.mechanism.wrap(&session, b"holdfast doctor", b"holdfast doctor v1")?;
    let plain = opened.mechanism.unwrap(&session, &blob, b"holdfast doctor v1")?;
    if plain.expose() != b"holdfast doctor" {
        return Ok((Verdict::Fail, "it does not unwrap what it wrapped".to_owned()));
    }
    Ok((Verdict::Ok, format!("one key labelled {:?}, fit for it; {}", config.key_label, opened.mechanism.about())))
}

pub(super) fn latency(patient: &Patient<'_>) -> Seen {
    let door = patient.entry.door;
    let number = patient.config.mechanism.unwrap_or(patient.entry.profile.mechanism);
    let open = median(|| door.session().map(drop))?;
    let search = median(|| key::labelled(&patient.session, &key::AES, &patient.config.key_label, None).map(drop))?;
    let mut text = format!("open a session {}, find the key {}", milliseconds(open), milliseconds(search));
    let mut slowest = open.max(search);
    if let Ok(opened) = mechanism::open(number, &patient.entry, patient.config) {
        let session = door.session()?;
        let mut blob = Vec::new();
        let wrap = median(|| {
            blob = opened.mechanism.wrap(&session, &[0; 32], b"holdfast doctor v1")?;
            Ok(())
        })?;
        let unwrap = median(|| opened.mechanism.unwrap(&session, &blob, b"holdfast doctor v1").map(drop))?;
        text = format!("{text}, wrap {}, unwrap {} (medians)", milliseconds(wrap), milliseconds(unwrap));
        slowest = slowest.max(wrap).max(unwrap);
    }
    Ok((if slowest < SLOW { Verdict::Ok } else { Verdict::Fail }, text))
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}
