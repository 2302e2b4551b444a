//! Trusted certificates: who may log in with what, and which token that gives.

use framework::Operation::{Delete, List, Read, Update};
use framework::{Change, Cidr, Context, Error, Fields, Input, Names, Output, Page, Paging, Route, Secs, View, fields};

use super::facts::{self, Facts};
use crate::texts::Texts;
use crate::token::TokenSettings;
use crate::{names, record};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(List, "certs", "List the trusted certificates.", |cx: &Context<'_>, page: Paging| {
            Names::below(&cx.view, "cert", page)
        }),
        Route::new(Read, "certs/{name}", "Read a trusted certificate.", |cx: &Context<'_>, at: At| {
            find(&cx.view, &at.name)?.ok_or(Error::NotFound)
        }),
        Route::new(Update, "certs/{name}", "Trust a certificate, or change what it is good for.", write),
        Route::new(Delete, "certs/{name}", "Trust a certificate no more.", |cx: &Context<'_>, at: At| {
            cx.view.delete(&place(&at.name)?)
        }),
    ]
}

fields! {
    struct At {
        /// The name of the certificate.
        name: String,
    }

    /// The certificate, and what another one that it vouches for must be like.
    pub(super) struct Constraints {
        /// The public certificate that should be trusted. Must be x509 PEM encoded.
        pub(super) certificate: String = String::new(),
        /// The display name to use for clients using this certificate.
        pub(super) display_name: String = String::new() => clear,
        /// A comma-separated list of names. At least one must exist in either the Common Name or SANs. Supports globbing.
        /// Deprecated: use allowed_common_names, allowed_dns_sans, allowed_email_sans, allowed_uri_sans.
        pub(super) allowed_names: Texts = Texts::default(),
        /// A comma-separated list of names. At least one must exist in the Common Name. Supports globbing.
        pub(super) allowed_common_names: Texts = Texts::default(),
        /// A comma-separated list of DNS names. At least one must exist in the SANs. Supports globbing.
        pub(super) allowed_dns_sans: Texts = Texts::default(),
        /// A comma-separated list of Email Addresses. At least one must exist in the SANs. Supports globbing.
        pub(super) allowed_email_sans: Texts = Texts::default(),
        /// A comma-separated list of URIs. At least one must exist in the SANs. Supports globbing.
        pub(super) allowed_uri_sans: Texts = Texts::default(),
        /// A comma-separated list of Organizational Units names. At least one must exist in the OU field. Supports globbing.
        pub(super) allowed_organizational_units: Texts = Texts::default(),
        /// A comma-separated string or array of extensions formatted as "oid:value", where the extension's value is some
        /// type of ASN1 string, or as "hex:oid:value" for any other. All values must match. Supports globbing on "value".
        pub(super) required_extensions: Texts = Texts::default(),
        /// A comma-separated string or array of oid extensions, which are added as metadata if they are present in the
        /// certificate, with dashes in place of the dots.
        pub(super) allowed_metadata_extensions: Texts = Texts::default(),
    }

    /// What would need requests to other servers.
    pub(super) struct Ocsp {
        /// Not supported by this version, which makes no OCSP requests.
        ocsp_enabled: bool = false,
        /// Not supported by this version, which makes no OCSP requests.
        ocsp_ca_certificates: String = String::new(),
        /// Not supported by this version, which makes no OCSP requests.
        ocsp_servers_override: Texts = Texts::default(),
        /// Not supported by this version, which makes no OCSP requests.
        ocsp_fail_open: bool = false,
        /// Not supported by this version, which makes no OCSP requests.
        ocsp_query_all_servers: bool = false,
    }

    /// Deprecated names.
    pub(super) struct Old {
        /// Use "token_policies" instead. If both are specified, only "token_policies" will be used.
        policies: Option<Vec<String>> => clear,
        /// Use "token_ttl" instead. If both are specified, only "token_ttl" will be used.
        ttl: Option<Secs>,
        /// Use "token_max_ttl" instead. If both are specified, only "token_max_ttl" will be used.
        max_ttl: Option<Secs>,
        /// Use "token_period" instead. If both are specified, only "token_period" will be used.
        period: Option<Secs>,
        /// Use "token_bound_cidrs" instead. If both are specified, only "token_bound_cidrs" will be used.
        bound_cidrs: Option<Vec<Cidr>>,
    }

    struct Lease {
        /// Use "token_ttl" instead.
        lease: Option<Secs>,
    }
}

/// The record of a trusted certificate.
pub(super) type Role = ((Constraints, Ocsp), (Old, TokenSettings));

fn place(name: &str) -> Result<String, Error> {
    Ok(format!("cert/{}", names::lower(name)?))
}

pub(super) fn find(view: &View<'_>, name: &str) -> Result<Option<Role>, Error> {
    record::read(view, &place(name)?)
}

/// All of them, or the one of this name, if there is such a one.
pub(super) fn named(view: &View<'_>, name: &str) -> Result<Vec<(String, Role)>, Error> {
    let names = if name.is_empty() { view.list("cert", &Page::default())? } else { vec![names::lower(name)?] };
    let mut roles = Vec::new();
    for name in names {
        roles.extend(find(view, &name)?.map(|role| (name, role)));
    }
    Ok(roles)
}

fn write(cx: &Context<'_>, (at, (lease, mut change)): (At, (Lease, Change<Role>))) -> Result<Output, Error> {
    let name = names::lower(&at.name)?;
    if let Some(lease) = lease.lease.filter(|_| !change.has("ttl") && !change.has("token_ttl")) {
        change.set("ttl", lease.0.as_secs().into());
    }
    for (old, new) in [
        ("policies", "token_policies"),
        ("ttl", "token_ttl"),
        ("max_ttl", "token_max_ttl"),
        ("period", "token_period"),
        ("bound_cidrs", "token_bound_cidrs"),
    ] {
        change.supersede(old, new);
    }
    let role = match find(&cx.view, &name)? {
        Some(role) => role,
        None => Role::parse(&mut Input::default())?,
    };
    let mut role = change.over(role)?;
    let ((constraints, ocsp), (_, token)) = &mut role;
    token.check()?;
    ocsp.check()?;
    constraints.check()?;
    if constraints.display_name.is_empty() {
        constraints.display_name.clone_from(&name);
    }
    let warnings = warnings(cx, token);
    record::write(&cx.view, &place(&name)?, role)?;
    Ok(Output { warnings, ..Output::default() })
}

/// What tokens of such a role will not get. The sentences are Vault's.
fn warnings(cx: &Context<'_>, token: &TokenSettings) -> Vec<String> {
    let (default, max) = (cx.mount.default_ttl, cx.mount.max_ttl);
    let system = "current mount/system default";
    [
        ("ttl", token.token_ttl, default, system),
        ("max_ttl", token.token_max_ttl, max, system),
        ("period", token.token_period, max, "the backend's maximum TTL"),
    ]
    .into_iter()
    .filter(|(_, Secs(given), limit, _)| given > limit)
    .map(|(name, Secs(given), limit, what)| {
        let (given, limit) = (given.as_secs(), limit.as_secs());
        format!("Given {name} of {given} seconds is greater than {what} of {limit} seconds")
    })
    .collect()
}

impl Constraints {
    fn check(&self) -> Result<(), Error> {
        let first = facts::from_pem(&self.certificate).first().and_then(|der| Facts::of(der));
        let first = first.ok_or_else(|| Error::field("certificate", "failed to parse certificate"))?;
        if !first.is_authority && !first.for_clients {
            let message = "nonCA certificates should have TLS client authentication set as an extended key usage";
            return Err(Error::field("certificate", message));
        }
        if let Some(bad) = self.required_extensions.0.iter().find(|required| !required.contains(':')) {
            let message = format!("required_extensions are of the form \"oid:value\"; this one is not: {bad:?}");
            return Err(Error::field("required_extensions", message));
        }
        Ok(())
    }
}

impl Ocsp {
    /// Refused rather than ignored: who asks for it counts on revoked certificates being refused.
    fn check(&self) -> Result<(), Error> {
        let given = [
            ("ocsp_enabled", self.ocsp_enabled),
            ("ocsp_ca_certificates", !self.ocsp_ca_certificates.is_empty()),
            ("ocsp_servers_override", !self.ocsp_servers_override.0.is_empty()),
            ("ocsp_fail_open", self.ocsp_fail_open),
            ("ocsp_query_all_servers", self.ocsp_query_all_servers),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((name, _)) => Err(Error::field(
                name,
                format!(
                    "{name} is not supported: this server makes no OCSP requests; upload revocation lists to crls/ instead"
                ),
            )),
        }
    }
}
