//! Policies and what they allow, by Vault's rules.
//!
//! A [`Policy`] is parsed once, when it is written. The policies of a token are compiled into an [`Acl`], once for a set of
//! policies (and an entity, where one of them is templated), and the [`Acl`] judges each request in time that depends on the
//! length of the path, not on the number of policies.
//!
//! **Which rule counts.** The rule that names the path exactly. Otherwise, of all rules with `*` or `+` that match, the one
//! 1. whose first `+` or `*` stands latest; then
//! 2. that does not end in `*`; then
//! 3. with fewer `+`; then
//! 4. the longer; then
//! 5. the greater in byte order.
//!
//! One rule counts, never a union of several: only rules with the *same* path are merged, and there `deny` wins. A list
//! operation on `foo/` looks for rules on `foo` as well: for an exact one before all wildcards, for another where nothing
//! matches `foo/`. (So does OpenBao 2.7. Vault asks the wildcards about `foo` before it asks them about `foo/`.)
//!
//! **Where this is stricter than Vault.** A value that a template fills in is taken as it stands: a `*` or `+` in an entity's
//! name is no wildcard, and a value with a slash fits nowhere, unless the policy allows the one or the other ([`Values`]; by
//! OpenBao such a value makes all of the token's policies void). Keys, template directives and capabilities that would have no effect are refused when the policy is
//! written. An empty value does not satisfy a list of allowed values. Numbers are compared as numbers, and denied values also
//! in their text form.

mod capability;
mod compile;
mod judge;
mod limits;
mod pattern;
mod policy;
mod template;
mod trie;

pub use capability::Capabilities;
pub use compile::Acl;
pub use judge::{Cause, Judgement, Question, Refusal};
pub use policy::Policy;
pub use template::{Alias, Group, Identity, Values};
