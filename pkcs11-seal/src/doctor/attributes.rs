//! Attributes of keys: what is asked for, kept, withheld and taken for granted.

use cryptoki::mechanism::Mechanism as Call;
use cryptoki::object::{Attribute, AttributeType};

use super::{Patient, Seen, Verdict, expect, scratch_template};
use crate::key;
use crate::report::AttributeValue;

pub(super) fn as_asked(patient: &Patient<'_>) -> Seen {
    let found = key::read(&patient.session, patient.scratch)?;
    let asked = key::named(&scratch_template("holdfast doctor")).0;
    let number = asked.len();
    let wrong: Vec<String> = asked
        .into_iter()
        .filter(|(attribute, wanted)| found.get(*attribute) != Some(wanted))
        .map(|(attribute, wanted)| match found.get(attribute) {
            Some(value) => format!("{attribute} is {value}, not {wanted}"),
            None => format!("{attribute} is not shown"),
        })
        .collect();
    if wrong.is_empty() {
        return Ok((Verdict::Ok, format!("{number} attributes of a new key were read back as they were asked for")));
    }
    Ok((Verdict::Fail, wrong.join("; ")))
}

pub(super) fn value_withheld(patient: &Patient<'_>) -> Seen {
    let shown = match patient.session.get_attributes(patient.scratch, &[AttributeType::Value]) {
        Ok(attributes) => {
            attributes.iter().any(|attribute| matches!(attribute, Attribute::Value(bytes) if !bytes.is_empty()))
        }
        Err(_) => false,
    };
    Ok(if shown {
        (Verdict::Fail, "CKA_VALUE of a sensitive key can be read".to_owned())
    } else {
        (Verdict::Ok, "CKA_VALUE of a sensitive key cannot be read".to_owned())
    })
}

/// Not relied on: this program gives every attribute. A program that does not is safe on one HSM and not on another.
pub(super) fn defaults(patient: &Patient<'_>) -> Seen {
    let session = patient.entry.door.session()?;
    let bare = session.generate_key(&Call::AesKeyGen, &[Attribute::ValueLen(32.into())])?;
    let found = key::read(&session, bare)?;
    let kinds = [AttributeType::Token, AttributeType::Extractable, AttributeType::Encrypt, AttributeType::Sign];
    let text = kinds.map(|kind| format!("{kind} {}", found.text(kind))).join(", ");
    let flag = |kind| found.get(kind) == Some(&AttributeValue::Flag(true));
    let as_cloudhsm = flag(AttributeType::Extractable) && flag(AttributeType::Sign) && !flag(AttributeType::Encrypt);
    expect(as_cloudhsm || patient.rules.name != "cloudhsm", format!("a key with no attributes given: {text}"))
}

pub(super) fn public_secrets(patient: &Patient<'_>) -> Seen {
    let session = patient.entry.door.session()?;
    let template = [Attribute::ValueLen(32.into()), Attribute::Private(false)];
    let accepted = session.generate_key(&Call::AesKeyGen, &template).is_ok();
    let refused = patient.rules.name == "cloudhsm";
    let text = if accepted { "CKA_PRIVATE may be false" } else { "CKA_PRIVATE must be true" };
    expect(accepted != refused, text)
}
