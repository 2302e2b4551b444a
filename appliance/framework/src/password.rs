//! Password policies: what a made password consists of, in Vault's HCL.
//!
//! ```hcl
//! length = 20
//! rule "charset" { charset = "abcdefghijklmnopqrstuvwxyz" min-chars = 1 }
//! rule "charset" { charset = "0123456789"                 min-chars = 2 }
//! ```
//! A password is drawn from all characters of all rules, each as likely as any other, and drawn again as a whole until it has
//! as many of each rule's as the rule wants: so every password that keeps the rules is as likely as any other.

use std::collections::BTreeSet;

use crate::hcl::{self, Block, ParseError};
use crate::{Error, Rng, Secret};

/// How long a password may be, in characters. Vault's bounds.
const LENGTHS: std::ops::RangeInclusive<usize> = 4..=100;
/// How many characters are drawn before a policy is given up.
const DRAWN: usize = 2_000_000;

/// What a password consists of.
#[derive(Clone, Debug)]
pub struct PasswordPolicy {
    length: usize,
    /// Every character of every rule, once.
    characters: Vec<char>,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    characters: BTreeSet<char>,
    /// How many of them there are at least.
    least: usize,
}

impl PasswordPolicy {
    /// Reads a policy in HCL or JSON. [`Error::Invalid`], in Vault's words, if it is none, or if hardly any password keeps it.
    pub fn parse(text: &str, rng: &dyn Rng) -> Result<Self, Error> {
        let policy = Self::read(text).map_err(|Unusable(why)| invalid(why))?;
        // A tenth of the usual effort has to do, so that the whole effort never fails by chance.
        policy
            .draw(rng, DRAWN / 10)
            .ok_or_else(|| invalid("unable to generate a password: the rules ask for too much"))?;
        Ok(policy)
    }

    /// A new password.
    pub fn generate(&self, rng: &dyn Rng) -> Result<Secret, Error> {
        self.draw(rng, DRAWN).ok_or_else(|| Error::internal("no password was found that keeps its policy"))
    }

    fn read(text: &str) -> Result<Self, Unusable> {
        let body = hcl::parse(text)?;
        let mut reader = body.reader("the policy");
        let length = reader.integer("length")?.unwrap_or(0);
        let rules = reader.blocks("rule", 1)?.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
        reader.finish()?;
        let refuse = |why: String| Err(Unusable(why));
        let characters: BTreeSet<char> = rules.iter().flat_map(|rule| rule.characters.iter().copied()).collect();
        let least = rules.iter().fold(0usize, |sum, rule| sum.saturating_add(rule.least));
        let length = match usize::try_from(length) {
            Ok(length) if length > 0 => length,
            _ => return refuse("length must be > 0".to_owned()),
        };
        if characters.is_empty() {
            return refuse("no charset specified".to_owned());
        }
        if least > length {
            return refuse(format!("specified rules require at least {least} characters but {length} is specified"));
        }
        if !LENGTHS.contains(&length) {
            return refuse(format!("passwords must be between {} and {} characters", LENGTHS.start(), LENGTHS.end()));
        }
        Ok(Self { length, characters: characters.into_iter().collect(), rules })
    }

    /// Draws passwords until one keeps the rules, for as long as `most` characters last.
    fn draw(&self, rng: &dyn Rng, most: usize) -> Option<Secret> {
        let mut dice = Dice::new(rng);
        let mut password = Vec::with_capacity(self.length);
        for _ in 0..(most / self.length).max(1) {
            password.clear();
            password.extend((0..self.length).filter_map(|_| dice.pick(&self.characters)));
            let keeps = |rule: &Rule| password.iter().filter(|c| rule.characters.contains(c)).count() >= rule.least;
            if self.rules.iter().all(keeps) {
                return Some(Secret::from(password.iter().collect::<String>()));
            }
        }
        None
    }
}

fn invalid(why: impl std::fmt::Display) -> Error {
    Error::field("policy", format!("invalid password policy: {why}"))
}

/// Why a text is no policy, for the client.
struct Unusable(String);

impl From<ParseError> for Unusable {
    fn from(error: ParseError) -> Self {
        Self(error.to_string())
    }
}

fn rule(block: &Block<'_>) -> Result<Rule, Unusable> {
    if block.label() != "charset" {
        return Err(Unusable(format!("unrecognized rule type {}", block.label())));
    }
    let mut reader = block.reader("rule");
    let characters: BTreeSet<char> = reader.string("charset")?.unwrap_or_default().chars().collect();
    let least = reader.integer("min-chars")?.unwrap_or(0);
    let least = usize::try_from(least).map_err(|_| reader.error("min-chars", "min-chars must not be negative"))?;
    reader.finish()?;
    if !characters.iter().all(|&c| printable(c)) {
        return Err(Unusable("non-printable character in charset".to_owned()));
    }
    Ok(Rule { characters, least })
}

/// Whether a character can be typed and seen. Rust escapes the others, and quotes.
fn printable(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().count() == 1
}

/// Random choices, each of several as likely as any other.
struct Dice<'r> {
    rng: &'r dyn Rng,
    pool: Vec<u8>,
}

impl<'r> Dice<'r> {
    fn new(rng: &'r dyn Rng) -> Self {
        Self { rng, pool: Vec::new() }
    }

    /// One of `from`; `None` if there are none. What of the 2^32 throws would favour the first ones is thrown again.
    fn pick(&mut self, from: &[char]) -> Option<char> {
        let count = u32::try_from(from.len()).ok().filter(|count| *count > 0)?;
        let fair = u32::MAX - u32::MAX % count;
        loop {
            let thrown = self.throw();
            if thrown < fair {
                return from.get(usize::try_from(thrown % count).ok()?).copied();
            }
        }
    }

    fn throw(&mut self) -> u32 {
        loop {
            if let Some((rest, four)) = self.pool.split_last_chunk::<4>() {
                let (thrown, left) = (u32::from_ne_bytes(*four), rest.len());
                self.pool.truncate(left);
                return thrown;
            }
            self.pool.resize(1024, 0);
            self.rng.fill(&mut self.pool);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemRng;

    fn refusal(text: &str) -> String {
        PasswordPolicy::parse(text, &SystemRng).map_or_else(|error| error.to_string(), |_| "taken".to_owned())
    }

    #[test]
    fn refusals_are_vaults_and_limits_hold() {
        let abc = "rule \"charset\" { charset = \"abc\" }";
        for (text, wanted) in [
            (abc.to_owned(), "length must be > 0"),
            (format!("length = -1 {abc}"), "length must be > 0"),
            (format!("length = 3 {abc}"), "passwords must be between 4 and 100 characters"),
            (format!("length = 101\n{abc}"), "passwords must be between 4 and 100 characters"),
            ("length = 20".to_owned(), "no charset specified"),
            ("length = 20\nrule \"charset\" { min-chars = 1 }".to_owned(), "no charset specified"),
            (
                "length = 20\nrule \"charset\" { charset = \"a\" min-chars = 15 }\nrule \"charset\" { charset = \"b\" min-chars = 15 }".to_owned(),
                "specified rules require at least 30 characters but 20 is specified",
            ),
            ("length = 20\nrule \"words\" { charset = \"a\" }".to_owned(), "unrecognized rule type words"),
            ("length = 20\nrule \"charset\" { charset = \"a\\nb\" }".to_owned(), "non-printable character in charset"),
        ] {
            assert_eq!(refusal(&text), format!("invalid password policy: {wanted}"), "{text}");
        }
        for text in [
            "length = 20\nrule \"charset\" { charset = \"a\" min_chars = 1 }",
            "length = 20\nrule \"charset\" { charset = \"a\" min-chars = -1 }",
            "length = 20\nlength = 30\nrule \"charset\" { charset = \"a\" }",
            "length = 20.5\nrule \"charset\" { charset = \"a\" }",
            "length = 20\ncharset = \"a\"",
            "!!",
        ] {
            assert!(refusal(text).starts_with("invalid password policy: "), "{text}: {}", refusal(text));
        }
        // Possible, but by chance once in 36^98.
        let rare = "length = 100\nrule \"charset\" { charset = \"x\" min-chars = 98 }\nrule \"charset\" { charset = \"abcdefghijklmnopqrstuvwyz0123456789\" }";
        assert!(refusal(rare).contains("the rules ask for too much"));
        assert_eq!(
            refusal("{\"length\": 20, \"rule\": [{\"charset\": {\"charset\": \"abc\", \"min-chars\": 1}}]}"),
            "taken"
        );
    }

    #[test]
    fn passwords_keep_the_rules_and_no_character_is_favoured() {
        let text = "length = 40\nrule \"charset\" { charset = \"aäb€\" min-chars = 3 }\nrule \"charset\" { charset = \"012\" min-chars = 5 }";
        let policy = PasswordPolicy::parse(text, &SystemRng).unwrap();
        let mut counts = std::collections::BTreeMap::<char, u32>::new();
        for _ in 0..2000 {
            let password = policy.generate(&SystemRng).unwrap();
            let password = std::str::from_utf8(password.expose()).unwrap();
            let digits = password.chars().filter(char::is_ascii_digit).count();
            assert!(password.chars().count() == 40 && digits >= 5 && 40 - digits >= 3, "{password}");
            password.chars().for_each(|c| *counts.entry(c).or_default() += 1);
        }
        // 80,000 characters of 7 kinds: 11,429 of each, with a deviation of 99; the rules are too weak to show.
        assert!(counts.len() == 7 && counts.values().all(|count| (10_800..12_050).contains(count)), "{counts:?}");
    }
}
