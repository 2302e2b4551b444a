//! Which token a login gets: the settings that users, roles and certificates have in common.

use std::collections::BTreeSet;

use framework::{Auth, Cidr, Context, Error, FieldType, Json, Kind, Secs, TokenKind, fields};

fields! {
    /// The `token_*` parameters of every auth method.
    pub struct TokenSettings {
        /// Comma separated string or JSON list of CIDR blocks.
        /// If set, specifies the blocks of IP addresses which are allowed to use the generated token.
        pub token_bound_cidrs: Vec<Cidr> = Vec::new(),
        /// If set, the generated token cannot live longer than this, whatever is renewed and whatever the role says by then.
        pub token_explicit_max_ttl: Secs = Secs::default(),
        /// The maximum lifetime of the generated token.
        pub token_max_ttl: Secs = Secs::default(),
        /// If true, the 'default' policy will not automatically be added to generated tokens.
        pub token_no_default_policy: bool = false,
        /// The maximum number of times a token may be used, a value of zero means unlimited.
        pub token_num_uses: u64 = 0,
        /// If set, the generated token has no maximum lifetime; instead, every renewal sets this lifetime.
        pub token_period: Secs = Secs::default(),
        /// Comma-separated list of policies.
        pub token_policies: Vec<String> = Vec::new() => clear,
        /// If true, the generated token may be used from the address of its login only.
        pub token_strictly_bind_ip: bool = false,
        /// The initial ttl of the token to generate.
        pub token_ttl: Secs = Secs::default(),
        /// The type of token to generate: service, batch, or default for what the mount says.
        pub token_type: TokenType = TokenType::default(),
    }
}

/// `token_type`, as roles have it.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenType(pub TokenKind);

impl FieldType for TokenType {
    const KIND: Kind = Kind::String;
    fn parse(value: Json) -> Result<Self, &'static str> {
        let name = String::parse(value)?;
        TokenKind::parse(&name).map(Self).ok_or("expected default, service or batch")
    }
    fn emit(self) -> Option<Json> {
        Some(self.0.name().into())
    }
}

impl TokenSettings {
    /// Checks what the settings say together. The sentences are Vault's.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let (Secs(ttl), Secs(max_ttl)) = (self.token_ttl, self.token_max_ttl);
        if !max_ttl.is_zero() && ttl > max_ttl {
            return Err(Error::field("token_ttl", "'token_ttl' cannot be greater than 'token_max_ttl'"));
        }
        let batch = self.token_type.0 == TokenKind::Batch;
        let kind = "'token_type' cannot be 'batch' or 'default_batch' when set to generate";
        if batch && !self.token_period.0.is_zero() {
            return Err(Error::field("token_type", format!("{kind} periodic tokens")));
        }
        if batch && self.token_num_uses > 0 {
            return Err(Error::field("token_type", format!("{kind} tokens with limited use count")));
        }
        Ok(())
    }

    /// The token for a login that has succeeded.
    pub(crate) fn auth(self, cx: &Context<'_>) -> Auth {
        let bound_cidrs = if self.token_strictly_bind_ip {
            vec![Cidr::from(cx.origin.remote_address)]
        } else {
            self.token_bound_cidrs
        };
        Auth {
            policies: self.token_policies,
            no_default_policy: self.token_no_default_policy,
            ttl: self.token_ttl.0,
            max_ttl: self.token_max_ttl.0,
            explicit_max_ttl: self.token_explicit_max_ttl.0,
            period: self.token_period.0,
            renewable: true,
            num_uses: self.token_num_uses,
            kind: self.token_type.0,
            orphan: true,
            bound_cidrs,
            ..Auth::default()
        }
    }

    /// [`Error::Denied`] where the caller's address is not one at which the token could be used.
    pub(crate) fn admits(&self, cx: &Context<'_>) -> Result<(), Error> {
        if Cidr::any_contains(&self.token_bound_cidrs, cx.origin.remote_address) { Ok(()) } else { Err(Error::Denied) }
    }

    /// Renews by what the settings say now. Refused if the policies are others than those of the token.
    pub(crate) fn renew_with_same_policies(&self, auth: &mut Auth) -> Result<(), Error> {
        if effective(&self.token_policies) != effective(&auth.policies) {
            return Err(Error::invalid("failed to renew entry: policies have changed, not renewing"));
        }
        self.renew(auth);
        Ok(())
    }

    /// Renews by what the settings say now.
    pub(crate) fn renew(&self, auth: &mut Auth) {
        auth.ttl = self.token_ttl.0;
        auth.max_ttl = self.token_max_ttl.0;
        auth.period = self.token_period.0;
    }
}

/// Policies as they work: in lower case, in no order, and `default` aside, which the issue may have added.
fn effective(policies: &[String]) -> BTreeSet<String> {
    policies
        .iter()
        .map(|policy| policy.trim().to_lowercase())
        .filter(|policy| !matches!(policy.as_str(), "" | "default"))
        .collect()
}
