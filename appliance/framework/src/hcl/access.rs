//! Reading a tree: blocks in either form, and attributes by type, with errors that say where and what to write instead.

use std::time::Duration;

use super::{Body, Item, ParseError, Position, Value};
use crate::duration;

/// One block, whichever way it was written.
#[derive(Clone, Debug)]
pub struct Block<'b> {
    /// As many as were asked for.
    pub labels: Vec<&'b str>,
    /// What stands between the braces.
    pub body: &'b Body,
    /// Where the block begins.
    pub at: Position,
}

impl<'b> Block<'b> {
    /// The first label, or nothing.
    pub fn label(&self) -> &'b str {
        self.labels.first().copied().unwrap_or_default()
    }

    /// A reader whose messages call this block `kind "label"`.
    pub fn reader(&self, kind: &str) -> Reader<'b> {
        let mut what = kind.to_owned();
        for label in &self.labels {
            what.push_str(&format!(" \"{label}\""));
        }
        self.body.reader(what)
    }
}

impl Body {
    /// All items with this key, in source order.
    pub fn all<'b>(&'b self, key: &str) -> impl Iterator<Item = &'b Item> {
        self.items.iter().filter(move |item| item.key == key)
    }

    /// All blocks of a kind that has `labels` labels, in source order: `kind "a" "b" { … }`, and in the JSON form
    /// `{"kind": {"a": {"b": {…}}}}`, with a list of objects in the place of any object.
    ///
    /// # Errors
    /// Another number of labels, or something else than an object where a block should be.
    pub fn blocks<'b>(&'b self, kind: &str, labels: usize) -> Result<Vec<Block<'b>>, ParseError> {
        let mut found = Vec::new();
        for item in self.all(kind) {
            let shape = || ParseError::new(item.at, format!("`{kind}` is a block: {}", example(kind, labels)));
            if item.labels.len() > labels {
                return Err(shape());
            }
            let given = item.labels.iter().map(String::as_str).collect();
            descend(&item.value, given, item.at, labels, &mut found).ok_or_else(shape)?;
        }
        Ok(found)
    }

    /// Begins to read attributes; `what` names this body in messages, for example `listener "tcp"`.
    pub fn reader(&self, what: impl Into<String>) -> Reader<'_> {
        Reader { body: self, what: what.into(), asked: Vec::new() }
    }
}

fn example(kind: &str, labels: usize) -> String {
    match labels {
        0 => format!("{kind} {{ … }}"),
        1 => format!("{kind} \"…\" {{ … }}"),
        _ => format!("{kind} \"…\" \"…\" {{ … }}"),
    }
}

/// Collects the blocks under a value. The depth of recursion is bounded by `labels` and by the depth of the tree.
fn descend<'b>(
    value: &'b Value,
    given: Vec<&'b str>,
    at: Position,
    labels: usize,
    found: &mut Vec<Block<'b>>,
) -> Option<()> {
    match value {
        Value::Object(body) if given.len() == labels => found.push(Block { labels: given, body, at }),
        Value::Object(body) => {
            for item in &body.items {
                let mut given = given.clone();
                given.push(&item.key);
                given.extend(item.labels.iter().map(String::as_str));
                if given.len() > labels {
                    return None;
                }
                descend(&item.value, given, item.at, labels, found)?;
            }
        }
        Value::List(values) => {
            for value in values {
                descend(value, given.clone(), at, labels, found)?;
            }
        }
        _ => return None,
    }
    Some(())
}

/// Reads the attributes of one body by name and type. What it was asked for is what the body may hold: [`Reader::finish`]
/// refuses the rest. An attribute that is set twice is refused. Values are never shown in messages.
#[derive(Debug)]
pub struct Reader<'b> {
    body: &'b Body,
    what: String,
    asked: Vec<String>,
}

impl<'b> Reader<'b> {
    /// An attribute of any type.
    pub fn value(&mut self, key: &str) -> Result<Option<&'b Value>, ParseError> {
        Ok(self.item(key)?.map(|item| &item.value))
    }

    /// A string.
    pub fn string(&mut self, key: &str) -> Result<Option<&'b str>, ParseError> {
        self.read(key, "a string in double quotes", |value| match value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// A string, or a number or boolean as it was written: for what Vault takes either way, such as a slot or a label.
    pub fn text(&mut self, key: &str) -> Result<Option<&'b str>, ParseError> {
        self.read(key, "a string", |value| match value {
            Value::String(text) => Some(text.as_str()),
            Value::Number(number) => Some(number.text()),
            Value::Bool(truth) => Some(if *truth { "true" } else { "false" }),
            Value::List(_) | Value::Object(_) => None,
        })
    }

    /// A boolean; as Vault does, also `1`, `0`, and each of these in quotes.
    pub fn boolean(&mut self, key: &str) -> Result<Option<bool>, ParseError> {
        self.read(key, "true or false", |value| match value {
            Value::Bool(truth) => Some(*truth),
            Value::String(text) => truth(text),
            Value::Number(number) => truth(number.text()),
            Value::List(_) | Value::Object(_) => None,
        })
    }

    /// A whole number, also in quotes.
    pub fn integer(&mut self, key: &str) -> Result<Option<i64>, ParseError> {
        self.read(key, "a whole number", |value| match value {
            Value::Number(number) => number.integer(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        })
    }

    /// A duration: seconds as a number, or text such as `"90s"` and `"1h30m"`.
    pub fn duration(&mut self, key: &str) -> Result<Option<Duration>, ParseError> {
        self.read(key, "a duration such as \"90s\" or \"768h\"", |value| match value {
            Value::Number(number) => number.integer().and_then(|n| u64::try_from(n).ok()).map(Duration::from_secs),
            Value::String(text) => duration::parse(text),
            _ => None,
        })
    }

    /// A list of strings.
    pub fn strings(&mut self, key: &str) -> Result<Option<Vec<&'b str>>, ParseError> {
        self.read(key, "a list of strings", |value| match value {
            Value::List(values) => values
                .iter()
                .map(|value| match value {
                    Value::String(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect(),
            _ => None,
        })
    }

    /// Blocks inside this body; see [`Body::blocks`].
    pub fn blocks(&mut self, kind: &str, labels: usize) -> Result<Vec<Block<'b>>, ParseError> {
        self.asked.push(kind.to_owned());
        self.body.blocks(kind, labels)
    }

    /// Allows keys that mean nothing here. Returns those that are there, with their places, for a warning.
    pub fn ignore(&mut self, keys: &[&str]) -> Vec<(&'b str, Position)> {
        self.asked.extend(keys.iter().map(|&key| key.to_owned()));
        self.body
            .items
            .iter()
            .filter(|item| keys.contains(&item.key.as_str()))
            .map(|item| (item.key.as_str(), item.at))
            .collect()
    }

    /// Refuses what was not asked for, and proposes what may have been meant.
    pub fn finish(self) -> Result<(), ParseError> {
        let Some((item, meant)) = self.unknown() else { return Ok(()) };
        let mut message = format!("unknown key `{}` in {}", item.key, self.what);
        if let Some(meant) = meant {
            message.push_str(&format!("; did you mean `{meant}`?"));
        }
        Err(ParseError::new(item.at, message))
    }

    /// The first item that was not asked for, and what may have been meant.
    pub fn unknown(&self) -> Option<(&'b Item, Option<&str>)> {
        let item = self.body.items.iter().find(|item| !self.asked.contains(&item.key))?;
        Some((item, nearest(&item.key, &self.asked)))
    }

    /// An error about a key of this body, at its place, or at the body's where it is not set.
    pub fn error(&self, key: &str, message: impl Into<String>) -> ParseError {
        ParseError::new(self.body.all(key).next().map_or(self.body.at, |item| item.at), message)
    }

    fn item(&mut self, key: &str) -> Result<Option<&'b Item>, ParseError> {
        self.asked.push(key.to_owned());
        let mut items = self.body.all(key);
        let Some(item) = items.next() else { return Ok(None) };
        if let Some(second) = items.next() {
            let message = format!("`{key}` is set twice in {}; the first time on line {}", self.what, item.at.line);
            return Err(ParseError::new(second.at, message));
        }
        if !item.labels.is_empty() {
            return Err(ParseError::new(item.at, format!("`{key}` in {} takes no label", self.what)));
        }
        Ok(Some(item))
    }

    fn read<T>(
        &mut self,
        key: &str,
        wanted: &str,
        convert: impl FnOnce(&'b Value) -> Option<T>,
    ) -> Result<Option<T>, ParseError> {
        let Some(item) = self.item(key)? else { return Ok(None) };
        convert(&item.value).map(Some).ok_or_else(|| {
            let mut message = format!("`{key}` in {} must be {wanted}", self.what);
            let found = item.value.kind();
            if !matches!(item.value, Value::String(_)) && !wanted.starts_with(found) {
                message.push_str(&format!("; this is {found}"));
            }
            ParseError::new(item.at, message)
        })
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// The candidate that is at most a third of the word away from it, by insertions, deletions, changes.
fn nearest<'c>(word: &str, candidates: &'c [String]) -> Option<&'c str> {
    // Longer words are no typing errors, and the comparison is quadratic.
    if word.len() > 64 {
        return None;
    }
    let distances = candidates.iter().map(|candidate| (distance(word, candidate), candidate));
    let (distance, candidate) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= 1.max(word.chars().count() / 3)).then_some(candidate.as_str())
}

fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let change = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = change.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
