//! Shell completion: what may come next on a command line, from the declarations of the commands.

pub(crate) mod shells;

use crate::Beside;
use crate::client::{Ask, Client};
use crate::command::Command;
use crate::commands;
use crate::flags::{Flag, Kind, Parsed};
use crate::settings::Settings;

/// Seconds that a server may take to name its mounts while somebody waits at a prompt.
const PATIENCE: &str = "2";

/// What fits the last word of `line`, the text in front of the cursor with the program's name in it. Sorted.
pub(crate) fn suggestions(line: &str, beside: &[Beside], environment: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    let last = if line.ends_with(char::is_whitespace) { "" } else { words.pop().unwrap_or_default() };
    let typed = Typed::read(words.get(1..).unwrap_or_default(), last, beside);
    let mut found = typed.choices(environment);
    found.retain(|choice| choice.starts_with(typed.last));
    found.sort();
    found.dedup();
    found
}

/// A command line as far as it goes.
struct Typed<'a> {
    /// The command, if its name is complete.
    command: Option<&'static Command>,
    /// The words of the name so far, with a space behind each.
    prefix: String,
    /// How many arguments stand behind the name.
    arguments: usize,
    /// The flag whose value comes next.
    flag: Option<&'static Flag>,
    /// The word to complete; of `-flag=value`, the value.
    last: &'a str,
    beside: &'a [Beside],
}

impl<'a> Typed<'a> {
    fn read(words: &[&str], last: &'a str, beside: &'a [Beside]) -> Self {
        let mut typed = Self { command: None, prefix: String::new(), arguments: 0, flag: None, last, beside };
        for word in words {
            if typed.flag.take().is_none() {
                typed.add(word);
            }
        }
        if let (Some(flag), Some((_, value))) = (typed.named(last), last.split_once('=')) {
            (typed.flag, typed.last) = (Some(flag), value);
        }
        typed
    }

    fn add(&mut self, word: &str) {
        if word.starts_with('-') {
            self.flag = self.named(word).filter(|flag| flag.kind != Kind::Switch && !word.contains('='));
        } else if self.command.is_some_and(|command| !is_group(command.name, word)) {
            self.arguments += 1;
        } else {
            self.prefix = format!("{}{word} ", self.prefix);
            self.command = commands::all().find(|command| command.name == self.prefix.trim_end());
        }
    }

    /// The declared flag that a word such as `-mount=x` gives.
    fn named(&self, word: &str) -> Option<&'static Flag> {
        let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
        let name = name.split_once('=').map_or(name, |(name, _)| name);
        self.flags().into_iter().find(|flag| flag.answers_to(name))
    }

    fn flags(&self) -> Vec<&'static Flag> {
        self.command.map_or_else(crate::command::global_flags, Command::all_flags)
    }

    fn choices(&self, environment: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
        if let Some(flag) = self.flag {
            return flag.values.iter().map(|value| (*value).to_owned()).collect();
        }
        let beside = self.beside.iter().find(|beside| beside.name == self.prefix.trim_end());
        match (self.command, beside) {
            (Some(_), _) if self.last.starts_with('-') => {
                self.flags().into_iter().map(|flag| format!("-{}", flag.name)).collect()
            }
            (None, Some(beside)) => beside.flags.iter().map(|flag| (*flag).to_owned()).collect(),
            (Some(command), _) if self.arguments == 0 => mounts(command, environment),
            (Some(_), _) => Vec::new(),
            (None, None) => self.next_words(),
        }
    }

    /// The words that may follow those of the name so far.
    fn next_words(&self) -> Vec<String> {
        let names = commands::all().map(|command| command.name).chain(self.beside.iter().map(|beside| beside.name));
        let rest = names.filter_map(|name| name.strip_prefix(self.prefix.as_str()));
        rest.filter_map(|rest| rest.split(' ').next()).map(str::to_owned).collect()
    }
}

/// Whether the word behind a command's name is part of a longer name, as `metadata` is not but might be.
fn is_group(name: &str, word: &str) -> bool {
    commands::all().any(|command| command.name.starts_with(&format!("{name} {word}")))
}

/// The mounts that a command's first argument may begin with, as far as the server answers at once.
fn mounts(command: &Command, environment: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let auth = command.name.starts_with("auth ");
    let first = command.arguments.split_whitespace().next().unwrap_or_default();
    if !["PATH", "KEY", "SOURCE"].contains(&first) || command.name.starts_with("audit ") || command.name == "policy fmt"
    {
        return Vec::new();
    }
    let hurried = |name: &str| match name.ends_with("_CLIENT_TIMEOUT") {
        true => Some(PATIENCE.to_owned()),
        false => environment(name),
    };
    let answer = Client::new(&Settings::new(&Parsed::default(), &hurried))
        .ok()
        .and_then(|client| client.secret(&Ask::get("sys/internal/ui/mounts").unwrapped()).ok().flatten());
    let found = answer.as_ref().and_then(|answer| answer.get(if auth { "auth" } else { "secret" }));
    found.and_then(|found| found.as_object()).map(|found| found.keys().cloned().collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::suggestions;
    use crate::Beside;

    #[test]
    fn words_flags_and_values_come_from_the_declarations() {
        let beside = [Beside { name: "server", about: "", flags: &["-config", "-dev"] }];
        let at = |line: &str| suggestions(line, &beside, &|_| None).join(" ");
        for (line, expected) in [
            ("holdfast kv d", "delete destroy"),
            ("holdfast kv metadata g", "get"),
            ("holdfast -address=x -ns y kv g", "get"),
            ("holdfast s", "scan secrets server status"),
            ("holdfast server -", "-config -dev"),
            ("holdfast kv get -ver", "-version"),
            ("holdfast kv get --ver", ""),
            ("holdfast kv get x -mou", "-mount"),
            ("holdfast read -format=", "json raw table yaml"),
            ("holdfast read -format j", "json"),
            ("holdfast read -format json x -fi", "-field"),
            ("holdfast kv patch -method=r", "rw"),
            ("holdfast kv get -mount ", ""),
            ("holdfast odd ", ""),
            ("holdfast policy read ", ""),
        ] {
            assert_eq!(at(line), expected, "{line}");
        }
    }
}
