//! Many policies to one ACL.

use super::capability::Capabilities;
use super::judge::{Cause, Granting, Judgement, Question, Refusal};
use super::limits::{Breach, Limits};
use super::pattern::Pattern;
use super::policy::{Policy, Rule};
use super::template::Identity;
use super::trie::Trie;
use crate::{Json, Map, Operation, Timestamp};

/// What a token's policies allow, all together. Costs nothing to share; changes never.
#[derive(Clone, Debug, Default)]
pub struct Acl {
    root: bool,
    trie: Trie,
    rules: Vec<Merged>,
    policies: Vec<Box<str>>,
    expires: Option<Timestamp>,
}

/// What all policies say about one path.
#[derive(Clone, Debug)]
struct Merged {
    pattern: Pattern,
    capabilities: Capabilities,
    limits: Option<Box<Limits>>,
    /// What each policy adds, by its place in `Acl::policies`.
    granting: Vec<(u32, Capabilities)>,
}

impl Merged {
    fn merge(&mut self, rule: &Rule, policy: u32) {
        self.granting.push((policy, rule.capabilities));
        if self.capabilities.contains(Capabilities::DENY) {
            return;
        }
        if rule.capabilities.contains(Capabilities::DENY) {
            self.capabilities = Capabilities::DENY;
            self.limits = None;
            return;
        }
        self.capabilities = self.capabilities.union(rule.capabilities);
        match (&mut self.limits, &rule.limits) {
            (Some(mine), Some(theirs)) => mine.merge(theirs),
            (mine @ None, Some(theirs)) => *mine = Some(theirs.clone()),
            (_, None) => {}
        }
    }
}

/// The rank of each rule, from 1 for the lowest.
fn ranks(rules: &[Merged]) -> Vec<u32> {
    let mut order: Vec<(usize, &Merged)> = rules.iter().enumerate().collect();
    order.sort_by(|(_, a), (_, b)| a.pattern.rank().cmp(&b.pattern.rank()));
    let mut ranks = vec![0; rules.len()];
    for (rank, (rule, _)) in (1..).zip(order) {
        if let Some(slot) = ranks.get_mut(rule) {
            *slot = rank;
        }
    }
    ranks
}

impl Acl {
    /// Merges policies for one identity, at one moment.
    ///
    /// Paths with a template that `identity` has no value for are left out, as are policies and paths that have expired; see
    /// [`Acl::expires`]. Policies that are not there are simply not given.
    pub fn compile<'p>(
        policies: impl IntoIterator<Item = &'p Policy>,
        identity: Option<&Identity>,
        now: Timestamp,
    ) -> Self {
        let mut acl = Self::default();
        for policy in policies.into_iter().filter(|policy| policy.in_force(now)) {
            acl.ends_with(policy.expires());
            acl.root |= policy.root;
            let number = u32::try_from(acl.policies.len()).unwrap_or(u32::MAX);
            acl.policies.push(policy.name().into());
            for rule in &policy.rules {
                if rule.expires.is_some_and(|end| end <= now) {
                    continue;
                }
                acl.ends_with(rule.expires);
                let Some(path) = rule.path.render(identity, policy.values) else { continue };
                let pattern = Pattern::new(path);
                let fresh = acl.rules.len();
                let found = acl.trie.insert(&pattern, u32::try_from(fresh).unwrap_or(u32::MAX));
                match usize::try_from(found).ok().and_then(|found| acl.rules.get_mut(found)) {
                    Some(merged) => merged.merge(rule, number),
                    None => acl.rules.push(Merged {
                        pattern,
                        capabilities: rule.capabilities,
                        limits: rule.limits.clone(),
                        granting: vec![(number, rule.capabilities)],
                    }),
                }
            }
        }
        acl.trie.rank(&ranks(&acl.rules));
        acl.policies.shrink_to_fit();
        acl.rules.shrink_to_fit();
        acl
    }

    fn ends_with(&mut self, part: Option<Timestamp>) {
        self.expires = [self.expires, part].into_iter().flatten().min();
    }

    /// When the first of the policies or rules expires: from then on the ACL must be compiled anew.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Whether the policy `root` is among the policies.
    pub fn is_root(&self) -> bool {
        self.root
    }

    /// Judges a request. Takes time in proportion to the length of the path (and to the parameters, where a rule limits them).
    pub fn judge<'q>(&'q self, question: &Question<'q>) -> Judgement<'q> {
        if self.root {
            return Judgement { allowed: true, is_root: true, refusal: None, granting: Granting::default() };
        }
        let needed = Capabilities::needed_for(question.operation);
        let refuse = |cause| Judgement {
            allowed: false,
            is_root: false,
            refusal: Some(Refusal { path: question.path, operation: question.operation, cause }),
            granting: Granting::default(),
        };
        let Some(rule) = self.rule_for(question.path, question.operation == Operation::List) else {
            return refuse(Cause::NoRule);
        };
        if !rule.capabilities.contains(needed) {
            let denied = rule.capabilities.contains(Capabilities::DENY);
            return refuse(if denied { Cause::Denied } else { Cause::Capability });
        }
        if let Some(limits) = &rule.limits
            && let Err(breach) = limits.check(question)
        {
            return refuse(match breach {
                Breach::Wrapping => Cause::Wrapping,
                Breach::Required(name) => Cause::RequiredParameter(name),
                Breach::Parameter(name) => Cause::Parameter(name),
            });
        }
        if question.needs_sudo && !rule.capabilities.contains(Capabilities::SUDO) {
            return refuse(Cause::Sudo);
        }
        let granting = Granting { policies: &self.policies, by: &rule.granting, needed };
        Judgement { allowed: true, is_root: false, refusal: None, granting }
    }

    /// The capabilities on a path by name, in alphabetical order: `["root"]` for root, `["deny"]` where there are none.
    /// A path is looked at as a list operation would, so that `foo/` also finds rules on `foo`.
    pub fn capabilities(&self, path: &str) -> Vec<&'static str> {
        if self.root {
            return vec!["root"];
        }
        let mut names = self.rule_for(path, true).map_or(Capabilities::DENY, |rule| rule.capabilities).names();
        names.sort_unstable();
        names
    }

    /// Whether some path under a mount (with a slash at its end) is granted anything: then the mount may be shown.
    /// Takes time in proportion to the number of rules.
    pub fn reaches(&self, mount: &str) -> bool {
        self.root
            || self.rule_for(mount, true).is_some_and(|rule| rule.capabilities.grants())
            || self.rules.iter().any(|rule| rule.capabilities.grants() && rule.pattern.reaches(mount))
    }

    /// What `sys/internal/ui/resultant-acl` answers: `exact_paths`, `glob_paths` (both without paths with `+`) and `root`.
    pub fn resultant(&self) -> Map<String, Json> {
        let mut answer = Map::new();
        answer.insert("root".to_owned(), self.root.into());
        if self.root {
            return answer;
        }
        let (mut exact, mut globs) = (Map::new(), Map::new());
        for rule in &self.rules {
            let paths = match &rule.pattern {
                pattern if pattern.segmented => continue,
                pattern if pattern.glob => &mut globs,
                _ => &mut exact,
            };
            let mut shown = Map::new();
            shown.insert("capabilities".to_owned(), rule.capabilities.names().into());
            if let Some(limits) = &rule.limits {
                limits.describe(&mut shown);
            }
            paths.insert(rule.pattern.text.to_string(), Json::Object(shown));
        }
        answer.insert("exact_paths".to_owned(), Json::Object(exact));
        answer.insert("glob_paths".to_owned(), Json::Object(globs));
        answer
    }

    /// The rule that counts for a path. Rules on lists are written with and without the slash at the end, so a list
    /// operation also finds a rule on the path without it: an exact one before all wildcards, another as the last resort.
    fn rule_for(&self, path: &str, list: bool) -> Option<&Merged> {
        let path = path.trim_start_matches('/');
        let found = self.find(path);
        match path.strip_suffix('/') {
            Some(short) if list && !found.is_some_and(|rule| rule.pattern.exact()) => {
                let without = self.find(short);
                without.filter(|rule| rule.pattern.exact()).or(found).or(without)
            }
            _ => found,
        }
    }

    fn find(&self, path: &str) -> Option<&Merged> {
        self.rules.get(usize::try_from(self.trie.find(path.as_bytes())?).ok()?)
    }
}
