//! The seal stanzas, one by one and together: which HSMs unseal, and which are being left.

use framework::hcl::{Block, ParseError, Position};

use super::{ConfigError, Hsm, pkcs11};

/// More than anybody needs: each has a process of its own.
const MOST: usize = 8;

/// One stanza.
#[derive(Debug)]
pub(super) struct Stanza {
    at: Position,
    disabled: bool,
    /// None: shares held by operators.
    hsm: Option<Hsm>,
}

pub(super) fn read(block: &Block<'_>, warnings: &mut Vec<String>) -> Result<Stanza, ParseError> {
    let (at, mut reader) = (block.at, block.reader("seal"));
    match block.label() {
        "shamir" => {
            let disabled = reader.boolean("disabled")?.unwrap_or(false);
            reader.finish()?;
            Ok(Stanza { at, disabled, hsm: None })
        }
        "pkcs11" => {
            let hsm = pkcs11::read(block, warnings)?;
            Ok(Stanza { at, disabled: hsm.disabled, hsm: Some(hsm) })
        }
        other => Err(ParseError { at, message: format!("unknown seal \"{other}\": take \"pkcs11\" or \"shamir\"") }),
    }
}

/// The HSMs of all stanzas: those that unseal, the preferred one first, then those that are being left. If none unseals,
/// shares do.
pub(super) fn together(stanzas: Vec<Stanza>, multiseal: bool) -> Result<Vec<Hsm>, ConfigError> {
    let refused = |at: Position, message: String| Err(ConfigError(format!("line {}: {message}", at.line)));
    let enabled = stanzas.iter().filter(|stanza| !stanza.disabled).count();
    if let Some(second) = stanzas.iter().filter(|stanza| !stanza.disabled).nth(1) {
        if stanzas.iter().any(|stanza| !stanza.disabled && stanza.hsm.is_none()) {
            let message = "a second seal stanza beside seal \"shamir\": shares and an HSM do not unseal together; write \
                           disabled = \"true\" in the stanza that is to be left";
            return refused(second.at, message.to_owned());
        }
        if !multiseal {
            let message = "a second seal stanza: write enable_multiseal = true if each of them is to unseal, or \
                           disabled = \"true\" in the stanza that is to be left";
            return refused(second.at, message.to_owned());
        }
    }
    if stanzas.len() > MOST {
        return Err(ConfigError(format!("more than {MOST} seal stanzas")));
    }
    let mut hsms: Vec<(Position, Hsm)> = Vec::new();
    for Stanza { at, hsm, .. } in stanzas {
        let Some(hsm) = hsm else { continue };
        for (_, other) in &hsms {
            if other.name == hsm.name {
                return refused(
                    at,
                    format!("a second seal stanza with the name \"{}\": give each its own name", hsm.name),
                );
            }
            if other.key_label == hsm.key_label {
                let message = format!(
                    "a second seal stanza with key_label \"{}\": wrapped values name their key by its label, so each key \
                     needs a label of its own, on another token too",
                    hsm.key_label
                );
                return refused(at, message);
            }
            if enabled > 1 && !other.disabled && !hsm.disabled && other.priority == hsm.priority {
                return refused(at, format!("a second seal stanza with priority {}: give each its own", hsm.priority));
            }
        }
        hsms.push((at, hsm));
    }
    if hsms.len() > 1
        && let Some(variable) = pkcs11::variable_that_is_set()
    {
        return Err(ConfigError(format!(
            "the environment variable {variable} is set, and there are several seal \"pkcs11\" stanzas: write in each what \
             it needs"
        )));
    }
    hsms.sort_by_key(|(_, hsm)| (hsm.disabled, hsm.priority));
    Ok(hsms.into_iter().map(|(_, hsm)| hsm).collect())
}
