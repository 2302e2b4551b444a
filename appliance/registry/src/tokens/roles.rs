//! Token roles: what tokens may be that are made at `auth/token/create/<role>`.

use std::time::Duration;

use framework::{Cidr, Error, FieldType, Fields, Input, Json, Page, Secs, TokenRule, View, fields};

use super::rules;
use crate::names;
use crate::registry::Registry;

fields! {
    /// A token role, as it is stored and as the API has it.
    #[derive(Clone, Debug)]
    pub struct TokenRole {
        /// Policies that may be asked for, whatever the caller has; those that are given where none is asked for.
        pub allowed_policies: Vec<String> => clear,
        /// As allowed_policies, with `*` for anything; none of them is given unasked.
        pub allowed_policies_glob: Vec<String> => clear,
        /// Policies that may not be asked for.
        pub disallowed_policies: Vec<String> => clear,
        /// As disallowed_policies, with `*` for anything.
        pub disallowed_policies_glob: Vec<String> => clear,
        /// Whether the tokens have no parent.
        pub orphan: bool = false,
        /// Whether the tokens may be renewable.
        pub renewable: bool = true,
        /// Ends the path of the tokens, so that they can be revoked together.
        pub path_suffix: String = String::new(),
        /// Names of entity aliases that may be asked for, with `*` for anything.
        pub allowed_entity_aliases: Json = Json::Null,
        /// `service`, `batch`, `default-service` or `default-batch`.
        pub token_type: String = TokenRule::default().name().to_owned() => clear,
        /// Leave the policy `default` out.
        pub token_no_default_policy: bool = false,
        /// How often the tokens may be used; 0 for any number.
        pub token_num_uses: Option<i64>,
        /// From where the tokens may be used.
        pub token_bound_cidrs: Option<Vec<Cidr>>,
        /// The old name of token_bound_cidrs.
        pub bound_cidrs: Option<Vec<Cidr>>,
        /// Renewal always sets this lifetime.
        pub token_period: Secs = Secs::default(),
        /// The old name of token_period.
        pub period: Secs = Secs::default(),
        /// The tokens cannot live longer than this.
        pub token_explicit_max_ttl: Secs = Secs::default(),
        /// The old name of token_explicit_max_ttl.
        pub explicit_max_ttl: Secs = Secs::default(),
    }
}

impl TokenRole {
    /// Whether it has its own say about policies.
    pub(super) fn rules_policies(&self) -> bool {
        !(self.allowed_policies.is_empty()
            && self.allowed_policies_glob.is_empty()
            && self.disallowed_policies.is_empty()
            && self.disallowed_policies_glob.is_empty())
    }

    /// Which kind of tokens it gives.
    pub(super) fn rule(&self) -> TokenRule {
        TokenRule::parse(&self.token_type).unwrap_or_default()
    }

    pub(super) fn num_uses(&self) -> u64 {
        self.token_num_uses.and_then(|uses| u64::try_from(uses).ok()).unwrap_or_default()
    }

    pub(super) fn bound_cidrs(&self) -> Vec<Cidr> {
        self.token_bound_cidrs.clone().unwrap_or_default()
    }

    pub(super) fn period(&self) -> Duration {
        self.token_period.0
    }

    pub(super) fn explicit_max_ttl(&self) -> Duration {
        self.token_explicit_max_ttl.0
    }

    /// Checks what the fields may hold. The sentences are Vault's.
    fn check(&self) -> Result<(), Error> {
        if !self.path_suffix.is_empty() && !is_suffix(&self.path_suffix) {
            let message = "given role path suffix contains invalid characters; must match \\w[\\w-.]+\\w";
            return Err(Error::field("path_suffix", message));
        }
        if self.token_num_uses.is_some_and(|uses| uses < 0) {
            return Err(Error::field(
                "token_num_uses",
                "error parsing role fields: 'token_num_uses' cannot be negative",
            ));
        }
        match TokenRule::parse(&self.token_type).filter(|_| !self.token_type.is_empty()) {
            None => Err(Error::field("token_type", format!("invalid 'token_type' value {:?}", self.token_type))),
            Some(TokenRule::Batch) => self.check_batch(),
            Some(_) => Ok(()),
        }
    }

    fn check_batch(&self) -> Result<(), Error> {
        let wrong = [
            (!self.orphan, "non-orphan tokens"),
            (!self.period().is_zero(), "periodic tokens"),
            (self.renewable, "renewable tokens"),
            (!self.explicit_max_ttl().is_zero(), "tokens with an explicit max TTL"),
            (self.num_uses() > 0, "tokens with limited use count"),
        ];
        match wrong.iter().find(|(wrong, _)| *wrong) {
            None => Ok(()),
            Some((_, what)) => Err(Error::field(
                "token_type",
                format!("'token_type' cannot be 'batch' when role is set to generate {what}"),
            )),
        }
    }

    /// With names as they are compared, and nothing in place of what is empty.
    fn tidied(mut self) -> Result<Self, Error> {
        self.allowed_policies = rules::sanitized(&self.allowed_policies, false);
        self.allowed_policies_glob = rules::sanitized(&self.allowed_policies_glob, false);
        self.disallowed_policies = rules::distinct(&self.disallowed_policies);
        self.disallowed_policies_glob = rules::distinct(&self.disallowed_policies_glob);
        self.token_num_uses = self.token_num_uses.filter(|&uses| uses > 0);
        self.token_bound_cidrs = self.token_bound_cidrs.filter(|blocks| !blocks.is_empty());
        self.bound_cidrs = self.bound_cidrs.filter(|blocks| !blocks.is_empty());
        if !self.allowed_entity_aliases.is_null() {
            let aliases = <Vec<String> as FieldType>::parse(self.allowed_entity_aliases);
            let aliases = aliases.map_err(|expected| Error::field("allowed_entity_aliases", expected))?;
            self.allowed_entity_aliases = rules::distinct(&aliases).into();
        }
        Ok(self)
    }
}

/// A segment that can stand in the path of a token: letters, digits, `_`, and between them `-` and `.`.
fn is_suffix(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let inside = |c: char| word(c) || matches!(c, '-' | '.');
    text.len() > 2 && text.chars().all(inside) && text.starts_with(word) && text.ends_with(word) && !text.contains("..")
}

impl Registry {
    /// The token role `name`.
    pub fn token_role(&self, view: &View<'_>, name: &str) -> Result<Option<TokenRole>, Error> {
        let stored = names::read(view, &record_name(name))?;
        stored.map(|body| TokenRole::parse(&mut Input { path: Vec::new(), body })).transpose()
    }

    /// Writes a token role. [`Error::Invalid`] if its fields contradict each other.
    pub fn put_token_role(&self, view: &View<'_>, name: &str, role: TokenRole) -> Result<(), Error> {
        role.check()?;
        names::write(view, &record_name(name), &role.tidied()?.emit())
    }

    /// Deletes a token role; one that is not there is no error. Its tokens live on, and cannot be renewed.
    pub fn delete_token_role(&self, view: &View<'_>, name: &str) -> Result<(), Error> {
        view.delete(&record_name(name))
    }

    /// The names of all token roles, sorted.
    pub fn token_roles(&self, view: &View<'_>) -> Result<Vec<String>, Error> {
        let mut all = view.list(names::TOKEN_ROLES, &Page::default())?;
        all.iter_mut().for_each(|name| *name = names::unsegment(name));
        all.sort();
        Ok(all)
    }
}

fn record_name(name: &str) -> String {
    format!("{}{}", names::TOKEN_ROLES, names::segment(name))
}
