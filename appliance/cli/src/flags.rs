//! Flags: declared once, parsed and explained from that declaration.

use std::collections::BTreeMap;

use crate::duration;
use crate::failure::Failure;

/// What a flag takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One text.
    Text,
    /// One whole number.
    Integer,
    /// One duration, see [`duration::parse`].
    Duration,
    /// Present or absent, or `=true` / `=false`.
    Switch,
    /// A text each time it is given.
    Many,
    /// A `key=value` each time it is given.
    Pairs,
}

/// The declaration of one flag. Both `-name` and `--name` set it.
pub(crate) struct Flag {
    pub(crate) name: &'static str,
    alias: &'static str,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
    /// Values that completion offers.
    pub(crate) values: &'static [&'static str],
}

impl Flag {
    pub(crate) const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, alias: "", kind, help, values: &[] }
    }

    /// A second name for the same flag; help texts mention it themselves.
    pub(crate) const fn alias(mut self, alias: &'static str) -> Self {
        self.alias = alias;
        self
    }

    /// Values worth offering to who completes the command line; others may be allowed too.
    pub(crate) const fn offers(mut self, values: &'static [&'static str]) -> Self {
        self.values = values;
        self
    }

    pub(crate) fn answers_to(&self, name: &str) -> bool {
        self.name == name || !self.alias.is_empty() && self.alias == name
    }

    /// How the flag is written in help: `-ttl=<duration>`.
    pub(crate) fn synopsis(&self) -> String {
        let value = match self.kind {
            Kind::Text | Kind::Many => "=<string>",
            Kind::Integer => "=<int>",
            Kind::Duration => "=<duration>",
            Kind::Switch => "",
            Kind::Pairs => "=<key=value>",
        };
        format!("-{}{value}", self.name)
    }

    fn check(&self, value: &str) -> Result<(), Failure> {
        let problem = match self.kind {
            Kind::Text | Kind::Many => None,
            Kind::Integer => value.parse::<i64>().is_err().then_some("must be a whole number"),
            Kind::Duration => duration::parse(value).is_none().then_some("must be a duration such as 30s, 5m or 1h"),
            Kind::Switch => switch(value).is_none().then_some("must be true or false"),
            Kind::Pairs => (!value.contains('=')).then_some("must be key=value"),
        };
        match problem {
            Some(problem) => Err(Failure::local(format!("invalid value {value:?} for flag -{}: {problem}", self.name))),
            None => Ok(()),
        }
    }
}

/// A boolean as flags and environment variables write it.
pub(crate) fn switch(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// The flags given on one command line; every value has passed the check of its kind.
#[derive(Default)]
pub(crate) struct Parsed {
    values: BTreeMap<&'static str, Vec<String>>,
}

impl Parsed {
    /// The last value given, if the flag was given.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(|values| values.last()).map(String::as_str)
    }

    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        self.text(name).and_then(|value| value.parse().ok())
    }

    /// Seconds.
    pub(crate) fn duration(&self, name: &str) -> Option<i64> {
        self.text(name).and_then(duration::parse)
    }

    /// Whether the switch is on; absent is off.
    pub(crate) fn on(&self, name: &str) -> bool {
        self.choice(name) == Some(true)
    }

    /// The switch as given, where absent and `=false` differ.
    pub(crate) fn choice(&self, name: &str) -> Option<bool> {
        self.text(name).and_then(switch)
    }

    pub(crate) fn many(&self, name: &str) -> &[String] {
        self.values.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The pairs in the order given; a later one with the same key wins where they are collected into a map.
    pub(crate) fn pairs(&self, name: &str) -> Vec<(&str, &str)> {
        self.many(name).iter().filter_map(|pair| pair.split_once('=')).collect()
    }

    pub(crate) fn given(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }
}

/// A parsed command line.
pub(crate) enum Line {
    /// `-h`, `-help` or `--help` stood among the flags.
    Help,
    /// Flags and the remaining arguments in order.
    Run(Parsed, Vec<String>),
}

/// Sorts arguments into flags and the rest. Flags may stand anywhere before `--`; a lone `-` is an argument.
/// A flag that is not declared, lacks its value or has one of the wrong kind is refused.
pub(crate) fn parse(declared: &[&'static Flag], arguments: &[String]) -> Result<Line, Failure> {
    let mut parsed = Parsed::default();
    let mut rest = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            rest.extend(arguments.cloned());
            break;
        }
        let Some((name, inline)) = split(argument) else {
            rest.push(argument.clone());
            continue;
        };
        let Some(flag) = declared.iter().find(|flag| flag.answers_to(name)) else {
            if ["h", "help"].contains(&name) {
                return Ok(Line::Help);
            }
            return Err(Failure::local(format!("flag provided but not defined: -{name}")));
        };
        let value = match (inline, flag.kind) {
            (Some(value), _) => value.to_owned(),
            (None, Kind::Switch) => "true".to_owned(),
            (None, _) => match arguments.next() {
                Some(value) => value.clone(),
                None => return Err(Failure::local(format!("flag needs an argument: -{name}"))),
            },
        };
        flag.check(&value)?;
        parsed.values.entry(flag.name).or_default().push(value);
    }
    Ok(Line::Run(parsed, rest))
}

/// Moves flags that stand before the command's name behind it, so that `-address=… kv get x` works too.
/// Stops at the first argument that is not one of `global`.
pub(crate) fn behind_command(global: &[&'static Flag], arguments: &[String]) -> Vec<String> {
    let mut index = 0;
    while let Some((name, inline)) = arguments.get(index).and_then(|argument| split(argument)) {
        let Some(flag) = global.iter().find(|flag| flag.answers_to(name)) else { break };
        index += if inline.is_none() && flag.kind != Kind::Switch { 2 } else { 1 };
    }
    let (leading, rest) = arguments.split_at_checked(index).unwrap_or((&[], arguments));
    // Before the arguments, not after them: a `--` among them must not turn these flags into arguments.
    let words = rest.iter().take_while(|argument| split(argument).is_none() && *argument != "--").count();
    let (words, tail) = rest.split_at_checked(words).unwrap_or((rest, &[]));
    [words, leading, tail].concat()
}

/// `-name`, `--name`, `-name=value` or `--name=value`; `None` for anything else, a lone `-` and `--` included.
fn split(argument: &str) -> Option<(&str, Option<&str>)> {
    let body = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'))?;
    if body.is_empty() {
        return None;
    }
    match body.split_once('=') {
        Some((name, value)) => Some((name, Some(value))),
        None => Some((body, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Flag, Kind, Line, Parsed, behind_command, parse};

    static DECLARED: [Flag; 5] = [
        Flag::new("mount", Kind::Text, ""),
        Flag::new("cas", Kind::Integer, ""),
        Flag::new("force", Kind::Switch, "").alias("f"),
        Flag::new("ttl", Kind::Duration, ""),
        Flag::new("metadata", Kind::Pairs, ""),
    ];

    fn line(text: &str) -> Result<(Parsed, Vec<String>), String> {
        let declared: Vec<_> = DECLARED.iter().collect();
        let arguments: Vec<String> = text.split(' ').map(str::to_owned).collect();
        match parse(&declared, &arguments) {
            Ok(Line::Run(parsed, rest)) => Ok((parsed, rest)),
            Ok(Line::Help) => Err("help".to_owned()),
            Err(failure) => Err(format!("{failure:?}")),
        }
    }

    #[test]
    fn one_dash_two_dashes_inline_or_next_anywhere() {
        let (parsed, rest) = line("-mount=s --cas 3 a -f b --metadata=k=v=w -metadata x= - -- -mount=z").unwrap();
        assert_eq!(parsed.text("mount"), Some("s"));
        assert_eq!(parsed.integer("cas"), Some(3));
        assert!(parsed.on("force"));
        assert_eq!(parsed.pairs("metadata"), [("k", "v=w"), ("x", "")]);
        assert_eq!(rest, ["a", "b", "-", "-mount=z"]);
        assert_eq!(line("-force=false").unwrap().0.choice("force"), Some(false));
    }

    #[test]
    fn unknown_flags_and_wrong_values_are_refused() {
        for (text, said) in [
            ("-bogus a", "not defined: -bogus"),
            ("a -bogus=1", "not defined: -bogus"),
            ("-cas x", "flag -cas: must be a whole number"),
            ("-ttl=1y", "flag -ttl: must be a duration"),
            ("-force=maybe", "flag -force: must be true or false"),
            ("-metadata k", "flag -metadata: must be key=value"),
            ("a -mount", "flag needs an argument: -mount"),
            ("a -help", "help"),
        ] {
            let failure = line(text).err().unwrap_or_default();
            assert!(failure.contains(said), "{text}: {failure}");
        }
    }

    #[test]
    fn flags_before_the_command_move_behind_its_words() {
        let declared: Vec<_> = DECLARED.iter().collect();
        let arguments = ["-f", "-mount", "s", "kv", "put", "--", "-x"].map(str::to_owned);
        assert_eq!(behind_command(&declared, &arguments), ["kv", "put", "-f", "-mount", "s", "--", "-x"]);
    }
}
