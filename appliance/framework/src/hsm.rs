//! The protocol between the server process and the hsm process: typed messages in length-prefixed frames over a socketpair.
//!
//! Frame: length of the rest (big-endian u32), id (big-endian u64), tag (u8), fields; a byte string is its length (u32) and
//! itself. An answer carries the id of its question; answers may overtake one another. Neither side trusts the other:
//! [`Question::decode`] and [`Answer::decode`] take any bytes.

use crate::Secret;

/// No frame is longer: a wrapped value is at most 16,224 bytes, and its associated data a path.
pub const LONGEST_FRAME: usize = 64 * 1024;

/// What the server asks of the HSM.
#[derive(Debug, Eq, PartialEq)]
pub enum Question {
    /// Is the HSM there, and which key is in use?
    Describe,
    /// Wrap `plain` under the seal key, bound to `aad`.
    Wrap {
        /// The plaintext.
        plain: Secret,
        /// The associated data.
        aad: Vec<u8>,
    },
    /// Unwrap `blob`, made by `mechanism` under the key labelled `key_label`.
    Unwrap {
        /// Label of the key that wrapped it.
        key_label: String,
        /// The `CKM_` number it was wrapped with.
        mechanism: u32,
        /// In the mechanism's own layout.
        blob: Vec<u8>,
        /// The associated data.
        aad: Vec<u8>,
    },
}

/// What the HSM process says.
#[derive(Debug, Eq, PartialEq)]
pub enum Answer {
    /// The HSM is usable.
    Description(Description),
    /// A wrapped value.
    Wrapped {
        /// Label of the key that wrapped it.
        key_label: String,
        /// The `CKM_` number.
        mechanism: u32,
        /// In the mechanism's own layout.
        blob: Vec<u8>,
    },
    /// An unwrapped value.
    Plain(Secret),
    /// It did not work.
    Failed(Failure),
}

/// What is behind the seal.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Description {
    /// Label of the token.
    pub token_label: String,
    /// Label of the seal key.
    pub key_label: String,
    /// Check value of the seal key: says whether it is the same key as before, and nothing about its bytes.
    pub check_value: Vec<u8>,
    /// Manufacturer, model, library version: for people.
    pub library: String,
}

/// Who must act on a failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FailureKind {
    /// It may work if asked again.
    Transient,
    /// The configuration or the token must be changed by an operator: wrong PIN, no such token, no or two keys.
    Operator,
    /// This blob and associated data do not belong together, or were altered.
    Rejected,
}

/// What went wrong in the HSM process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// Who must act.
    pub kind: FailureKind,
    /// What failed and what to do, with function and `CKR_` name. Holds no secret.
    pub message: String,
}

const DESCRIBE: u8 = 1;
const WRAP: u8 = 2;
const UNWRAP: u8 = 3;
const DESCRIPTION: u8 = 129;
const WRAPPED: u8 = 130;
const PLAIN: u8 = 131;
const FAILED: u8 = 132;

impl Question {
    /// A whole frame, for one write. It may hold a secret, so it is one.
    pub fn encode(&self, id: u64) -> Secret {
        match self {
            Self::Describe => frame(id, DESCRIBE, &[]),
            Self::Wrap { plain, aad } => frame(id, WRAP, &[plain.expose(), aad]),
            Self::Unwrap { key_label, mechanism, blob, aad } => {
                frame(id, UNWRAP, &[key_label.as_bytes(), &mechanism.to_be_bytes(), blob, aad])
            }
        }
    }

    /// Reads what follows a frame's length. `None` for bytes that are no question.
    pub fn decode(frame: &[u8]) -> Option<(u64, Self)> {
        let (id, tag, mut fields) = open(frame)?;
        let question = match tag {
            DESCRIBE => Self::Describe,
            WRAP => Self::Wrap { plain: take_secret(&mut fields)?, aad: take(&mut fields)?.to_vec() },
            UNWRAP => Self::Unwrap {
                key_label: take_text(&mut fields)?,
                mechanism: take_u32(&mut fields)?,
                blob: take(&mut fields)?.to_vec(),
                aad: take(&mut fields)?.to_vec(),
            },
            _ => return None,
        };
        fields.is_empty().then_some((id, question))
    }
}

impl Answer {
    /// A whole frame, for one write. It may hold a secret, so it is one.
    pub fn encode(&self, id: u64) -> Secret {
        match self {
            Self::Description(d) => {
                let fields = [d.token_label.as_bytes(), d.key_label.as_bytes(), &d.check_value, d.library.as_bytes()];
                frame(id, DESCRIPTION, &fields)
            }
            Self::Wrapped { key_label, mechanism, blob } => {
                frame(id, WRAPPED, &[key_label.as_bytes(), &mechanism.to_be_bytes(), blob])
            }
            Self::Plain(plain) => frame(id, PLAIN, &[plain.expose()]),
            Self::Failed(failure) => {
                let kind = match failure.kind {
                    FailureKind::Transient => 1,
                    FailureKind::Operator => 2,
                    FailureKind::Rejected => 3,
                };
                frame(id, FAILED, &[&[kind], failure.message.as_bytes()])
            }
        }
    }

    /// Reads what follows a frame's length. `None` for bytes that are no answer.
    pub fn decode(frame: &[u8]) -> Option<(u64, Self)> {
        let (id, tag, mut fields) = open(frame)?;
        let answer = match tag {
            DESCRIPTION => Self::Description(Description {
                token_label: take_text(&mut fields)?,
                key_label: take_text(&mut fields)?,
                check_value: take(&mut fields)?.to_vec(),
                library: take_text(&mut fields)?,
            }),
            WRAPPED => Self::Wrapped {
                key_label: take_text(&mut fields)?,
                mechanism: take_u32(&mut fields)?,
                blob: take(&mut fields)?.to_vec(),
            },
            PLAIN => Self::Plain(take_secret(&mut fields)?),
            FAILED => {
                let kind = match take(&mut fields)? {
                    [1] => FailureKind::Transient,
                    [2] => FailureKind::Operator,
                    [3] => FailureKind::Rejected,
                    _ => return None,
                };
                Self::Failed(Failure { kind, message: take_text(&mut fields)? })
            }
            _ => return None,
        };
        fields.is_empty().then_some((id, answer))
    }
}

fn frame(id: u64, tag: u8, fields: &[&[u8]]) -> Secret {
    let body: usize = 9 + fields.iter().map(|field| 4 + field.len()).sum::<usize>();
    let length = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = Vec::with_capacity(4 + body);
    bytes.extend_from_slice(&length(body));
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.push(tag);
    for field in fields {
        bytes.extend_from_slice(&length(field.len()));
        bytes.extend_from_slice(field);
    }
    Secret::transient(bytes)
}

fn open(frame: &[u8]) -> Option<(u64, u8, &[u8])> {
    let (id, rest) = frame.split_first_chunk::<8>()?;
    let (&tag, fields) = rest.split_first()?;
    Some((u64::from_be_bytes(*id), tag, fields))
}

fn take<'f>(fields: &mut &'f [u8]) -> Option<&'f [u8]> {
    let (length, rest) = fields.split_first_chunk::<4>()?;
    let (field, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *fields = rest;
    Some(field)
}

fn take_secret(fields: &mut &[u8]) -> Option<Secret> {
    Secret::locked(take(fields)?).ok()
}

fn take_text(fields: &mut &[u8]) -> Option<String> {
    String::from_utf8(take(fields)?.to_vec()).ok()
}

fn take_u32(fields: &mut &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(take(fields)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_cross_whole_and_cut_ones_do_not() {
        let question =
            Question::Unwrap { key_label: "k".into(), mechanism: 0x1087, blob: vec![1; 40], aad: b"a/b".to_vec() };
        let bytes = question.encode(7);
        let body = &bytes.expose()[4..];
        assert_eq!(Question::decode(body), Some((7, question)));
        for cut in 0..body.len() {
            assert_eq!(Question::decode(&body[..cut]), None);
        }
        let answer =
            Answer::Failed(Failure { kind: FailureKind::Operator, message: "C_Login: CKR_PIN_INCORRECT".into() });
        assert_eq!(Answer::decode(&answer.encode(9).expose()[4..]), Some((9, answer)));
    }
}
