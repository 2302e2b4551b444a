//! Which policies a token gets, and what it is called, by Vault's rules and in its words.

use std::collections::BTreeSet;

use framework::{Caller, Error, glob};

use super::{TokenRole, TokenSpec};
use crate::policies;

/// The policies of a token that `parent` makes.
pub(super) fn child_policies(
    spec: &TokenSpec,
    role: Option<&TokenRole>,
    parent: &Caller,
    sudo: bool,
) -> Result<Vec<String>, Error> {
    let of_parent = |name: &str| parent.policies.iter().any(|policy| policy == name);
    let mut policies = if let Some(role) = role.filter(|role| role.rules_policies()) {
        policies_by_role(spec, role, parent)?
    } else if spec.policies.is_empty() {
        // What the parent has, `default` too where it has it.
        sanitized(&parent.policies, false)
    } else {
        let wanted = sanitized(&spec.policies, false);
        if !sudo && !wanted.iter().all(|policy| of_parent(policy)) {
            return Err(Error::field("policies", "child policies must be subset of parent"));
        }
        sanitized(&wanted, !spec.no_default_policy && (sudo || of_parent("default")))
    };
    if spec.no_default_policy && !spec.policies.iter().any(|policy| policy.trim().eq_ignore_ascii_case("default")) {
        policies.retain(|policy| policy != "default");
    }
    assignable(&policies)?;
    Ok(policies)
}

/// A role that says which policies its tokens may have says so whatever the parent has.
fn policies_by_role(spec: &TokenSpec, role: &TokenRole, parent: &Caller) -> Result<Vec<String>, Error> {
    let listed = |list: &[String], policy: &String| list.contains(policy);
    let globbed = |globs: &[String], policy: &str| globs.iter().any(|glob| glob::fits(glob, policy));
    let add_default = !spec.no_default_policy
        && !role.token_no_default_policy
        && !listed(&role.disallowed_policies, &"default".to_owned())
        && !globbed(&role.disallowed_policies_glob, "default");
    let wanted = if spec.policies.is_empty() { Vec::new() } else { sanitized(&spec.policies, add_default) };
    let restricted = !(role.allowed_policies.is_empty() && role.allowed_policies_glob.is_empty());
    let policies = match (restricted, wanted.is_empty()) {
        (true, true) => sanitized(&role.allowed_policies, add_default),
        (true, false) => {
            let allowed = sanitized(&role.allowed_policies, add_default);
            let globs = &role.allowed_policies_glob;
            if !wanted.iter().all(|policy| listed(&allowed, policy) || globbed(globs, policy)) {
                let message = format!(
                    "token policies ({}) must be subset of the role's allowed policies ({}) or glob policies ({})",
                    shown(&wanted),
                    shown(&allowed),
                    shown(globs)
                );
                return Err(Error::field("policies", message));
            }
            wanted
        }
        (false, true) => sanitized(&parent.policies, add_default),
        (false, false) => wanted,
    };
    let disallowed =
        |policy: &&String| listed(&role.disallowed_policies, policy) || globbed(&role.disallowed_policies_glob, policy);
    match policies.iter().find(disallowed) {
        Some(policy) => Err(Error::field("policies", format!("token policy {policy:?} is disallowed by this role"))),
        None => Ok(policies),
    }
}

/// Refuses policies that are for tokens of the server's own making.
pub(super) fn assignable(policies: &[String]) -> Result<(), Error> {
    match policies.iter().find(|policy| policies::unassignable(policy)) {
        Some(policy) => Err(Error::field("policies", format!("cannot assign policy {policy:?}"))),
        None => Ok(()),
    }
}

/// Trimmed, in lower case, sorted, each once. `root` stands alone.
pub(super) fn sanitized(policies: &[String], add_default: bool) -> Vec<String> {
    let mut policies = distinct(policies);
    if policies.iter().any(|policy| policy == "root") {
        return vec!["root".to_owned()];
    }
    if add_default && let Err(at) = policies.binary_search_by(|policy| policy.as_str().cmp("default")) {
        policies.insert(at, "default".to_owned());
    }
    policies
}

/// Trimmed, in lower case, sorted, each once.
pub(super) fn distinct(names: &[String]) -> Vec<String> {
    let trimmed = names.iter().map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty());
    trimmed.collect::<BTreeSet<_>>().into_iter().collect()
}

/// As Go prints a list of quoted text.
fn shown(list: &[String]) -> String {
    format!("[{}]", list.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" "))
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
