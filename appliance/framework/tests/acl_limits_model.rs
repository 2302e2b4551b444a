//! What policies say about parameters, against a slow, obvious model: sets of values, and patterns tried on every part of a text.

use std::collections::{BTreeMap, BTreeSet};

use framework::acl::{Acl, Policy, Question};
use framework::{Json, Map, Operation, Timestamp};
use proptest::prelude::*;
use serde_json::json;

type Lists = BTreeMap<String, Vec<Json>>;

/// What one policy says about the path.
#[derive(Clone, Debug)]
struct Rule {
    deny: bool,
    allowed: Lists,
    denied: Lists,
    required: BTreeSet<String>,
}

impl Rule {
    fn text(&self) -> String {
        let capability = if self.deny { "deny" } else { "update" };
        let rule = json!({
            "capabilities": [capability, "list"], "required_parameters": self.required,
            "allowed_parameters": self.allowed, "denied_parameters": self.denied,
        });
        json!({"path": {"a": rule}}).to_string()
    }
}

/// What all policies list for a parameter: `None` where none names it, nothing where one names it without values.
fn listed<'r>(lists: impl Iterator<Item = &'r Lists>, name: &str) -> Option<Vec<Json>> {
    let all: Vec<&Vec<Json>> = lists.filter_map(|lists| lists.get(name)).collect();
    let any_value = all.iter().any(|values| values.is_empty());
    (!all.is_empty()).then(|| if any_value { Vec::new() } else { all.into_iter().flatten().cloned().collect() })
}

/// Whether a text fits a pattern: some part of it is the pattern without its stars, and only at a star is there more.
fn fits(pattern: &str, text: &str) -> bool {
    if pattern == "*" {
        return text == "*";
    }
    let (before, after) = (pattern.starts_with('*'), pattern.ends_with('*'));
    let core = pattern.strip_prefix('*').unwrap_or(pattern);
    let core = core.strip_suffix('*').unwrap_or(core);
    (0..=text.len()).any(|start| {
        (start..=text.len())
            .any(|end| text.get(start..end) == Some(core) && (before || start == 0) && (after || end == text.len()))
    })
}

fn same(wanted: &Json, value: &Json) -> bool {
    match (wanted, value) {
        (Json::String(pattern), Json::String(text)) => fits(pattern, text),
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => wanted == value,
    }
}

/// A value in a query string.
fn in_text(value: &Json) -> Option<String> {
    match value {
        Json::Null | Json::Array(_) | Json::Object(_) => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The values in a list, also in one with commas.
fn members(value: &Json) -> Vec<Json> {
    match value {
        Json::Array(values) => values.clone(),
        Json::String(text) => text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Json::from).collect(),
        _ => Vec::new(),
    }
}

fn allows(list: &[Json], value: &Json) -> bool {
    let one = |value: &Json| list.iter().any(|wanted| same(wanted, value));
    let members = members(value);
    list.is_empty() || one(value) || (!members.is_empty() && members.iter().all(one))
}

fn denies(list: &[Json], value: &Json) -> bool {
    let one = |value: &Json| {
        list.iter().any(|wanted| {
            same(wanted, value)
                || in_text(wanted).zip(in_text(value)).is_some_and(|(wanted, value)| fits(&wanted, &value))
        })
    };
    list.is_empty() || one(value) || members(value).iter().any(one)
}

fn model(rules: &[Rule], operation: Operation, given: &Map<String, Json>) -> bool {
    let (allowed, denied) = (|| rules.iter().map(|rule| &rule.allowed), || rules.iter().map(|rule| &rule.denied));
    if rules.is_empty() || rules.iter().any(|rule| rule.deny) {
        return false;
    }
    if operation == Operation::List {
        return true;
    }
    let required = rules.iter().flat_map(|rule| &rule.required).all(|name| given.contains_key(name));
    let is_denied = |name: &str, value: &Json| {
        listed(denied(), "*").is_some() || listed(denied(), name).is_some_and(|list| denies(&list, value))
    };
    let anything = allowed().all(Lists::is_empty) || allowed().flat_map(Lists::keys).all(|name| name == "*");
    let is_allowed = |name: &str, value: &Json| match listed(allowed(), name) {
        Some(list) => allows(&list, value),
        None => anything || listed(allowed(), "*").is_some(),
    };
    required
        && given.iter().all(|(name, value)| {
            let name = name.to_lowercase();
            !is_denied(&name, value) && (anything || is_allowed(&name, value))
        })
}

fn value() -> impl Strategy<Value = Json> {
    let texts = vec!["", "x", "y", "xy", "yx", "x,y", "x, xy", ",", "*", "x*", "1", "true", "é"];
    let single = prop_oneof![
        prop::sample::select(texts).prop_map(Json::from),
        prop::sample::select(vec![json!(1), json!(1.0), json!(2), json!(true), json!(null), json!({"x": 1})]),
    ];
    prop_oneof![4 => single.clone(), 1 => prop::collection::vec(single, 0..3).prop_map(Json::from)]
}

/// A value that a policy may name.
fn named() -> impl Strategy<Value = Json> {
    let texts = vec!["", "x", "xy", "x*", "*y", "*x*", "*", "**", "1", "tr*", "x,y"];
    let single = prop_oneof![
        4 => prop::sample::select(texts).prop_map(Json::from),
        1 => prop::sample::select(vec![json!(1), json!(2), json!(true)]),
    ];
    prop_oneof![6 => single.clone(), 1 => prop::collection::vec(single, 0..3).prop_map(Json::from)]
}

fn lists() -> impl Strategy<Value = Lists> {
    let name = prop::sample::select(vec!["p", "q", "p", "q", "*"]).prop_map(str::to_owned);
    prop::collection::btree_map(name, prop::collection::vec(named(), 0..3), 0..3)
}

fn rule() -> impl Strategy<Value = Rule> {
    let required = prop::collection::btree_set(prop::sample::select(vec!["p", "q"]).prop_map(str::to_owned), 0..2);
    let required = prop_oneof![3 => Just(BTreeSet::new()), 1 => required];
    let denied = prop_oneof![1 => Just(Lists::new()), 1 => lists()];
    (prop::bool::weighted(0.03), lists(), denied, required).prop_map(|(deny, allowed, denied, required)| Rule {
        deny,
        allowed,
        denied,
        required,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn parameters_are_judged_as_the_lists_say(
        rules in prop::collection::vec(rule(), 0..4),
        requests in prop::collection::vec(
            prop::collection::btree_map(prop::sample::select(vec!["p", "q", "r", "P"]), value(), 0..3), 8),
    ) {
        let policies: Vec<Policy> = rules.iter().map(|rule| Policy::parse("p", &rule.text()).unwrap()).collect();
        let acl = Acl::compile(&policies, None, Timestamp::from_secs(0));
        for given in requests {
            let given: Map<String, Json> = given.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            for operation in [Operation::Update, Operation::List] {
                let question =
                    Question { path: "a", operation, parameters: Some(&given), wrap_ttl: None, needs_sudo: false };
                let wanted = model(&rules, operation, &given);
                prop_assert_eq!(acl.judge(&question).allowed, wanted, "{} {:?} by {:?}", operation, given, rules);
            }
        }
    }
}
