//! Finding the one token that is meant.

use cryptoki::slot::{Slot, TokenInfo};

use crate::config::TokenChoice;
use crate::error::Fault;
use crate::module::Module;

/// The initialised tokens that can be seen, in the module's order.
pub(crate) fn list(module: &Module) -> Result<Vec<(Slot, TokenInfo)>, Fault> {
    let mut tokens = Vec::new();
    for slot in module.pkcs11().get_slots_with_token()? {
        match module.pkcs11().get_token_info(slot) {
            Ok(token) if token.token_initialized() => tokens.push((slot, token)),
            Ok(_) => {}
            // One broken reader must not hide the token next to it.
            Err(error) => tracing::warn!(slot = slot.id(), error = %Fault::from(error).message, "token is unreadable"),
        }
    }
    Ok(tokens)
}

/// The one token that `choice` names.
pub(crate) fn find(module: &Module, choice: &TokenChoice) -> Result<(Slot, TokenInfo), Fault> {
    let tokens = list(module)?;
    let seen = describe(&tokens);
    let chosen = |(slot, token): &(Slot, TokenInfo)| match choice {
        TokenChoice::Label(label) => token.label() == label,
        TokenChoice::Serial(serial) => token.serial_number() == serial,
        TokenChoice::Slot(id) => slot.id() == *id,
    };
    let mut matching = tokens.into_iter().filter(chosen);
    let library = module.path().display();
    match (matching.next(), matching.next()) {
        (Some(token), None) => Ok(token),
        (None, _) => Err(Fault::operator(format!("{library} has no token {choice}; tokens seen: {seen}"))),
        (Some(_), Some(_)) => Err(Fault::operator(format!(
            "{library} has more than one token {choice}; name it by its serial number, or rename one. Tokens seen: {seen}"
        ))),
    }
}

fn describe(tokens: &[(Slot, TokenInfo)]) -> String {
    let name = |(slot, token): &(Slot, TokenInfo)| {
        format!("{:?} (serial number {:?}, slot {})", token.label(), token.serial_number(), slot.id())
    };
    let names: Vec<String> = tokens.iter().map(name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
