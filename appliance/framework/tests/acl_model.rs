//! The ACL against a slow, obvious model: all rules in a list, each tried, the winner by the rules as they are documented.

use std::cmp::Ordering;

use framework::acl::{Acl, Policy, Question};
use framework::{Operation, Timestamp};
use proptest::prelude::*;

/// One rule of a policy.
#[derive(Clone, Debug)]
struct Rule {
    path: String,
    capabilities: Vec<&'static str>,
}

impl Rule {
    /// A `+` after a slash, or as the first segment, makes a path one of segments.
    fn segmented(&self) -> bool {
        self.path == "+" || self.path.starts_with("+/") || self.path.contains("/+")
    }

    fn exact(&self) -> bool {
        !self.segmented() && !self.path.ends_with('*')
    }

    /// The path without its star.
    fn stem(&self) -> &str {
        self.path.strip_suffix('*').unwrap_or(&self.path)
    }

    fn matches(&self, path: &str) -> bool {
        let glob = self.path.ends_with('*');
        if !self.segmented() {
            return if glob { path.starts_with(self.stem()) } else { path == self.path };
        }
        let wanted: Vec<&str> = self.stem().split('/').collect();
        let given: Vec<&str> = path.split('/').collect();
        let length = if glob { given.len() >= wanted.len() } else { given.len() == wanted.len() };
        length
            && wanted.iter().zip(&given).enumerate().all(|(i, (wanted, given))| {
                *wanted == "+"
                    || wanted == given
                    || (glob && i + 1 == wanted_last(self.stem()) && given.starts_with(wanted))
            })
    }

    fn first_wildcard(&self) -> usize {
        self.path.find('+').filter(|_| self.segmented()).unwrap_or(self.stem().len())
    }

    /// Which of two rules that match the same path counts.
    fn compare(&self, other: &Self) -> Ordering {
        let plus = |rule: &Self| rule.stem().split('/').filter(|segment| *segment == "+").count();
        self.first_wildcard()
            .cmp(&other.first_wildcard())
            .then(other.path.ends_with('*').cmp(&self.path.ends_with('*')))
            .then(plus(other).cmp(&plus(self)))
            .then(self.stem().len().cmp(&other.stem().len()))
            .then(self.stem().cmp(other.stem()))
    }
}

fn wanted_last(stem: &str) -> usize {
    stem.split('/').count()
}

fn exact<'r>(rules: &'r [Rule], path: &str) -> Option<&'r Rule> {
    rules.iter().find(|rule| rule.exact() && rule.path == path)
}

fn wild<'r>(rules: &'r [Rule], path: &str) -> Option<&'r Rule> {
    rules.iter().filter(|rule| !rule.exact() && rule.matches(path)).max_by(|a, b| a.compare(b))
}

fn model(rules: &[Rule], path: &str, list: bool) -> Vec<&'static str> {
    let path = path.trim_start_matches('/');
    let short = path.strip_suffix('/').filter(|_| list).unwrap_or(path);
    let rule =
        exact(rules, path).or_else(|| exact(rules, short)).or_else(|| wild(rules, path)).or_else(|| wild(rules, short));
    let Some(winner) = rule else { return Vec::new() };
    let same = rules.iter().filter(|rule| rule.path == winner.path);
    let mut all: Vec<_> = same.flat_map(|rule| rule.capabilities.clone()).collect();
    all.sort_unstable();
    all.dedup();
    if all.contains(&"deny") { Vec::new() } else { all }
}

const OPERATIONS: [Operation; 6] =
    [Operation::Create, Operation::Read, Operation::Update, Operation::Patch, Operation::Delete, Operation::List];

fn path(glob: bool) -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec!["a", "b", "ab", "+", "+", "+b", "a+", "", "c"]);
    let end = prop::sample::select(if glob { vec!["", "", "*", "/*", "/"] } else { vec!["", "", "/"] });
    (prop::collection::vec(segment, 1..5), end)
        .prop_map(|(segments, end)| segments.join("/") + end)
        .prop_filter("forbidden", |path| !path.contains("+*") && !path.starts_with('/'))
}

fn rule() -> impl Strategy<Value = Rule> {
    let names = vec!["create", "read", "update", "patch", "delete", "list", "sudo"];
    let capabilities = prop::sample::subsequence(names, 0..4);
    (path(true), capabilities, prop::bool::weighted(0.1)).prop_map(|(path, mut capabilities, deny)| {
        if deny {
            capabilities.push("deny");
        }
        Rule { path, capabilities }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn the_tree_agrees_with_the_list(
        policies in prop::collection::vec(prop::collection::vec(rule(), 0..12), 1..4),
        paths in prop::collection::vec(path(false), 40),
    ) {
        let parsed: Vec<Policy> = policies.iter().map(|rules| {
            let text: String = rules.iter().map(|rule| format!("path {:?} {{ capabilities = {:?} }}\n", rule.path, rule.capabilities)).collect();
            Policy::parse("p", &text).unwrap()
        }).collect();
        let acl = Acl::compile(&parsed, None, Timestamp::from_secs(0));
        let rules: Vec<Rule> = policies.concat();
        for path in &paths {
            for operation in OPERATIONS {
                for needs_sudo in [false, true] {
                    let granted = model(&rules, path, operation == Operation::List);
                    let wanted = granted.contains(&operation.name()) && (!needs_sudo || granted.contains(&"sudo"));
                    let question = Question { path, operation, parameters: None, wrap_ttl: None, needs_sudo };
                    prop_assert_eq!(acl.judge(&question).allowed, wanted, "{} {:?} {:?}", operation, path, rules);
                }
            }
            let mut shown = model(&rules, path, true);
            if shown.is_empty() {
                shown.push("deny");
            }
            prop_assert_eq!(acl.capabilities(path), shown);
        }
    }
}
