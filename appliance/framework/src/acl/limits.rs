//! What a rule says beside its capabilities: parameters and wrapping times.

use std::collections::BTreeMap;
use std::time::Duration;

use super::judge::Question;
use crate::{Json, Map, Operation};

/// Values by parameter, in lower case; no values stand for any value.
pub(super) type Parameters = BTreeMap<String, Vec<Json>>;

/// Each in force only where it is set.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Limits {
    pub(super) min_wrapping_ttl: Option<Duration>,
    pub(super) max_wrapping_ttl: Option<Duration>,
    pub(super) allowed: Option<Parameters>,
    pub(super) denied: Option<Parameters>,
    pub(super) required: Vec<String>,
}

/// Which limit a request does not keep.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Breach<'l> {
    Wrapping,
    Required(&'l str),
    Parameter(&'l str),
}

impl Limits {
    /// Adds what another policy says about the same path, as Vault does: the shorter of two times, more parameters allowed,
    /// more denied, more required. A rule without allowed parameters does not lift another's.
    pub(super) fn merge(&mut self, other: &Self) {
        lesser(&mut self.min_wrapping_ttl, other.min_wrapping_ttl);
        lesser(&mut self.max_wrapping_ttl, other.max_wrapping_ttl);
        merge_parameters(&mut self.allowed, other.allowed.as_ref());
        merge_parameters(&mut self.denied, other.denied.as_ref());
        for parameter in &other.required {
            if !self.required.contains(parameter) {
                self.required.push(parameter.clone());
            }
        }
    }

    /// Parameters count for operations that carry them: not for list and delete.
    pub(super) fn check<'l>(&'l self, question: &Question<'l>) -> Result<(), Breach<'l>> {
        self.check_wrapping(question.wrap_ttl)?;
        match question.operation {
            Operation::List | Operation::Delete => Ok(()),
            Operation::Create | Operation::Read | Operation::Update | Operation::Patch => {
                self.check_parameters(question.parameters)
            }
        }
    }

    fn check_wrapping(&self, ttl: Option<Duration>) -> Result<(), Breach<'_>> {
        let kept = self.max_wrapping_ttl.is_none_or(|max| ttl.is_some_and(|ttl| ttl <= max))
            && self.min_wrapping_ttl.is_none_or(|min| ttl.is_some_and(|ttl| ttl >= min));
        if kept { Ok(()) } else { Err(Breach::Wrapping) }
    }

    fn check_parameters<'l>(&'l self, given: Option<&'l Map<String, Json>>) -> Result<(), Breach<'l>> {
        if let Some(missing) = self.required.iter().find(|name| !given.is_some_and(|given| given.contains_key(*name))) {
            return Err(Breach::Required(missing));
        }
        let Some(given) = given.filter(|given| !given.is_empty()) else { return Ok(()) };
        if let Some(denied) = self.denied.as_ref().filter(|denied| !denied.is_empty()) {
            let all = denied.contains_key("*");
            let hit =
                given.iter().find(|(name, value)| all || values(denied, name).is_some_and(|list| denies(list, value)));
            if let Some((name, _)) = hit {
                return Err(Breach::Parameter(name));
            }
        }
        let Some(allowed) = self.allowed.as_ref().filter(|allowed| !allowed.is_empty()) else { return Ok(()) };
        let others = allowed.contains_key("*");
        if others && allowed.len() == 1 {
            return Ok(());
        }
        let hit = given.iter().find(|(name, value)| match values(allowed, name) {
            Some(list) => !allows(list, value),
            None => !others,
        });
        hit.map_or(Ok(()), |(name, _)| Err(Breach::Parameter(name)))
    }

    /// As `sys/internal/ui/resultant-acl` shows it.
    pub(super) fn describe(&self, into: &mut Map<String, Json>) {
        let seconds = |ttl: Duration| Json::from(ttl.as_secs());
        let object = |parameters: &Parameters| {
            Json::Object(parameters.iter().map(|(name, values)| (name.clone(), Json::Array(values.clone()))).collect())
        };
        let fields = [
            ("allowed_parameters", self.allowed.as_ref().filter(|p| !p.is_empty()).map(object)),
            ("denied_parameters", self.denied.as_ref().filter(|p| !p.is_empty()).map(object)),
            ("max_wrapping_ttl", self.max_wrapping_ttl.map(seconds)),
            ("min_wrapping_ttl", self.min_wrapping_ttl.map(seconds)),
            ("required_parameters", (!self.required.is_empty()).then(|| Json::from(self.required.clone()))),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                into.insert(name.to_owned(), value);
            }
        }
    }
}

fn lesser(into: &mut Option<Duration>, other: Option<Duration>) {
    if let Some(other) = other {
        *into = Some(into.map_or(other, |mine| mine.min(other)));
    }
}

fn merge_parameters(into: &mut Option<Parameters>, other: Option<&Parameters>) {
    let Some(other) = other.filter(|other| !other.is_empty()) else { return };
    let into = into.get_or_insert_default();
    for (name, values) in other {
        match into.get_mut(name) {
            None => {
                into.insert(name.clone(), values.clone());
            }
            // No values stand for any value, in whichever policy.
            Some(mine) if mine.is_empty() || values.is_empty() => mine.clear(),
            Some(mine) => mine.extend(values.iter().filter(|value| !mine.contains(value)).cloned().collect::<Vec<_>>()),
        }
    }
}

/// The values for a parameter; the name's case does not matter.
fn values<'p>(parameters: &'p Parameters, name: &str) -> Option<&'p [Json]> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
        return parameters.get(&name.to_lowercase()).map(Vec::as_slice);
    }
    parameters.get(name).map(Vec::as_slice)
}

/// Whether a value is among the allowed ones, or is a list (also one in a string, with commas) of allowed ones.
fn allows(list: &[Json], value: &Json) -> bool {
    if list.is_empty() || list.iter().any(|allowed| same(allowed, value)) {
        return true;
    }
    match value {
        Json::Array(values) => {
            !values.is_empty() && values.iter().all(|value| list.iter().any(|allowed| same(allowed, value)))
        }
        Json::String(text) => {
            let mut parts = comma_separated(text).peekable();
            parts.peek().is_some() && parts.all(|part| list.iter().any(|allowed| same_text(allowed, part)))
        }
        _ => false,
    }
}

/// Whether a value is among the denied ones, or is a list of which one is.
fn denies(list: &[Json], value: &Json) -> bool {
    let hit = |value: &Json| list.iter().any(|denied| same(denied, value) || same_in_text(denied, value));
    list.is_empty()
        || hit(value)
        || match value {
            Json::Array(values) => values.iter().any(hit),
            Json::String(text) => comma_separated(text).any(|part| list.iter().any(|denied| same_text(denied, part))),
            _ => false,
        }
}

fn comma_separated(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn same(wanted: &Json, value: &Json) -> bool {
    match (wanted, value) {
        (Json::String(_), Json::String(text)) => same_text(wanted, text),
        (Json::Number(a), Json::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a == b,
            _ => a.as_f64() == b.as_f64(),
        },
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => wanted == value,
    }
}

fn same_text(wanted: &Json, text: &str) -> bool {
    matches!(wanted, Json::String(pattern) if globbed(pattern, text))
}

/// Whether two single values would read the same in a query string.
fn same_in_text(wanted: &Json, value: &Json) -> bool {
    let text = |value: &Json| match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(truth) => Some(truth.to_string()),
        _ => None,
    };
    match (wanted, text(wanted), text(value)) {
        (Json::String(pattern), _, Some(value)) => globbed(pattern, &value),
        (_, Some(wanted), Some(value)) => wanted == value,
        _ => false,
    }
}

/// A `*` at the beginning or the end, or both, stands for anything; alone it is a star.
fn globbed(pattern: &str, text: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        _ if pattern.len() < 2 => text == pattern,
        (Some(rest), Some(_)) => rest.strip_suffix('*').is_some_and(|middle| text.contains(middle)),
        (Some(end), None) => text.ends_with(end),
        (None, Some(start)) => text.starts_with(start),
        (None, None) => text == pattern,
    }
}
