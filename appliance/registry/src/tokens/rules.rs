//! Which policies a token gets, and what it is called, by Vault's rules.

use std::collections::BTreeSet;

use framework::{Caller, Error};

use super::TokenSpec;
use crate::policies;

/// The policies of a token that `parent` makes.
pub(super) fn child_policies(spec: &TokenSpec, parent: &Caller, sudo: bool) -> Result<Vec<String>, Error> {
    let of_parent = |name: &str| parent.policies.iter().any(|policy| policy == name);
    let (wanted, add_default) = if spec.policies.is_empty() {
        // What the parent has, `default` too where it has it.
        (sanitized(&parent.policies, false), false)
    } else {
        let wanted = sanitized(&spec.policies, false);
        if !sudo && !wanted.iter().all(|policy| of_parent(policy)) {
            return Err(Error::field("policies", "child policies must be subset of parent"));
        }
        (wanted, !spec.no_default_policy && (sudo || of_parent("default")))
    };
    let mut policies = sanitized(&wanted, add_default);
    if spec.no_default_policy && !spec.policies.iter().any(|policy| policy.trim().eq_ignore_ascii_case("default")) {
        policies.retain(|policy| policy != "default");
    }
    match policies.iter().find(|policy| policies::unassignable(policy)) {
        Some(policy) => Err(Error::field("policies", format!("cannot assign policy {policy:?}"))),
        None => Ok(policies),
    }
}

/// Trimmed, in lower case, sorted, each once. `root` stands alone.
pub(super) fn sanitized(policies: &[String], add_default: bool) -> Vec<String> {
    let mut set: BTreeSet<String> =
        policies.iter().map(|policy| policy.trim().to_lowercase()).filter(|policy| !policy.is_empty()).collect();
    if set.contains("root") {
        return vec!["root".to_owned()];
    }
    if add_default {
        set.insert("default".to_owned());
    }
    set.into_iter().collect()
}

/// What the token of a login is called: the mount's path below `auth/`, with `-` for `/`, and the login's own name.
pub(super) fn login_name(mount: &str, name: &str) -> String {
    let source = mount.strip_prefix("auth/").unwrap_or(mount).replace('/', "-");
    let full = format!("{source}{name}");
    full.strip_suffix('-').unwrap_or(&full).to_owned()
}

/// `token`, or `token-` and the name with `-` for what is neither letter nor digit.
pub(super) fn display_name(name: &str) -> String {
    let clean: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let full = format!("token-{clean}");
    full.strip_suffix('-').unwrap_or(&full).to_owned()
}
