//! The stanzas `user_lockout "KIND"`: when users are locked out who fail to log in too often.

use std::collections::BTreeMap;
use std::time::Duration;

use framework::hcl::{Block, ParseError};
use registry::LockoutRules;

/// Auth methods that lock users out.
const KINDS: [&str; 3] = ["all", "userpass", "approle"];

/// What one stanza says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stanza {
    threshold: Option<u32>,
    duration: Option<Duration>,
    counter_reset: Option<Duration>,
    disabled: Option<bool>,
}

/// The stanzas so far, by kind.
pub(super) type Stanzas = BTreeMap<String, Stanza>;

pub(super) fn read(block: &Block<'_>, stanzas: &mut Stanzas, warnings: &mut Vec<String>) -> Result<(), ParseError> {
    let kind = block.label().to_owned();
    let mut reader = block.reader("user_lockout");
    let threshold = reader.integer("lockout_threshold")?.map(|threshold| {
        let threshold = u32::try_from(threshold).ok().filter(|&threshold| threshold > 0);
        threshold.ok_or_else(|| reader.error("lockout_threshold", "lockout_threshold must be a number above 0"))
    });
    let stanza = Stanza {
        threshold: threshold.transpose()?,
        duration: reader.duration("lockout_duration")?,
        counter_reset: reader.duration("lockout_counter_reset")?,
        disabled: reader.boolean("disable_lockout")?,
    };
    reader.finish()?;
    let refused = |message: String| Err(ParseError { at: block.at, message });
    match kind.as_str() {
        "ldap" => warnings
            .push(format!("line {}: user_lockout \"ldap\" has no effect: there is no such auth method", block.at.line)),
        kind if !KINDS.contains(&kind) => {
            return refused(format!("unknown auth method \"{kind}\": take \"all\", \"userpass\" or \"approle\""));
        }
        _ if stanzas.contains_key(&kind) => return refused(format!("a second user_lockout stanza for \"{kind}\"")),
        _ => drop(stanzas.insert(kind, stanza)),
    }
    Ok(())
}

impl Stanza {
    fn over(self, rules: LockoutRules) -> LockoutRules {
        LockoutRules {
            threshold: self.threshold.unwrap_or(rules.threshold),
            duration: self.duration.unwrap_or(rules.duration),
            counter_reset: self.counter_reset.unwrap_or(rules.counter_reset),
            disabled: self.disabled.unwrap_or(rules.disabled),
        }
    }
}

/// The rules by kind. What a stanza does not say is what `all` says, and then Vault's default.
pub(super) fn rules(stanzas: &Stanzas) -> BTreeMap<String, LockoutRules> {
    let all = stanzas.get("all").copied().unwrap_or_default().over(LockoutRules::default());
    stanzas.iter().map(|(kind, stanza)| (kind.clone(), stanza.over(all))).collect()
}

#[cfg(test)]
mod tests {
    use framework::hcl;

    use super::*;

    #[test]
    fn stanzas_build_on_all_and_all_on_the_defaults() {
        let text = r#"
            user_lockout "all"      { lockout_threshold = "3"  lockout_duration = "1m" }
            user_lockout "userpass" { lockout_duration = 30  disable_lockout = true }
        "#;
        let body = hcl::parse(text).unwrap();
        let (mut stanzas, mut warnings) = (Stanzas::new(), Vec::new());
        for block in body.reader("test").blocks("user_lockout", 1).unwrap() {
            read(&block, &mut stanzas, &mut warnings).unwrap();
        }
        let rules = rules(&stanzas);
        let seconds = Duration::from_secs;
        let all = LockoutRules { threshold: 3, duration: seconds(60), counter_reset: seconds(900), disabled: false };
        assert_eq!(rules["all"], all);
        assert_eq!(rules["userpass"], LockoutRules { duration: seconds(30), disabled: true, ..all });
    }
}
