//! Whether a role trusts a client's certificate.

use std::cell::RefCell;
use std::time::Duration;

use framework::{Context, Error};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::crl;
use super::facts::{self, Facts, decimal};
use super::role::Constraints;
use framework::glob::{any_fits, fits};

/// A client's certificate, and those it sent along to show who vouches for it.
pub(super) struct Client<'c> {
    pub(super) leaf: CertificateDer<'c>,
    pub(super) intermediates: Vec<CertificateDer<'c>>,
    pub(super) facts: Facts,
}

/// What became of a role.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Match {
    /// The role trusts the certificate.
    Yes,
    /// It does, but a constraint or a revocation stands against it.
    Constrained,
    /// It knows nobody who vouches for it.
    No,
}

impl<'c> Client<'c> {
    /// The client of a request. [`Error::Invalid`] without a certificate, or with one that is malformed or not valid now.
    pub(super) fn of(cx: &Context<'c>) -> Result<Self, Error> {
        let mut chain = cx.origin.client_certificates.iter().map(|der| CertificateDer::from(der.as_slice()));
        let leaf = chain.next().ok_or_else(|| Error::invalid("no client certificate found"))?;
        let failed = |why: &str| Error::invalid(format!("failed to verify client's certificate: {why}"));
        let facts = Facts::of(&leaf).ok_or_else(|| failed("it is malformed"))?;
        if !facts.is_current(cx.now) {
            return Err(failed("certificate has expired or is not yet valid"));
        }
        Ok(Self { leaf, intermediates: chain.collect(), facts })
    }

    /// Whether a role trusts the client.
    pub(super) fn matches(&self, cx: &Context<'_>, role: &Constraints) -> Result<Match, Error> {
        let trusted = facts::from_pem(&role.certificate);
        let Some(first) = trusted.first() else { return Ok(Match::No) };
        let found = if Facts::of(first).is_some_and(|facts| facts.is_authority) {
            self.vouched_for(cx, &trusted)?
        } else if *first != self.leaf {
            Match::No
        } else if crl::revoked(&cx.view, &self.facts.serial)? {
            Match::Constrained
        } else {
            Match::Yes
        };
        Ok(if found == Match::Yes && !role.allow(&self.facts) { Match::Constrained } else { found })
    }

    /// Whether any of the trusted authorities vouches for the client, by a path in which nothing is revoked (RFC 5280, 6.1).
    fn vouched_for(&self, cx: &Context<'_>, trusted: &[CertificateDer<'_>]) -> Result<Match, Error> {
        let mut anchors = Vec::new();
        let mut any_revoked = false;
        for authority in trusted {
            let Some(facts) = Facts::of(authority).filter(|facts| facts.is_authority && facts.is_current(cx.now))
            else {
                continue;
            };
            if crl::revoked(&cx.view, &facts.serial)? {
                any_revoked = true;
            } else {
                anchors.extend(anchor_from_trusted_cert(authority).ok());
            }
        }
        let Ok(leaf) = EndEntityCert::try_from(&self.leaf) else { return Ok(Match::No) };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(cx.now.secs()).unwrap_or_default()));
        let fault = RefCell::new(None);
        let revocations = RefCell::new(any_revoked);
        let unrevoked = |path: &webpki::VerifiedPath<'_>| {
            let authorities = path.intermediate_certificates().map(|authority| decimal(authority.serial()));
            for serial in authorities.chain([self.facts.serial.clone()]) {
                match crl::revoked(&cx.view, &serial) {
                    Ok(false) => {}
                    Ok(true) => {
                        revocations.replace(true);
                        return Err(webpki::Error::CertRevoked);
                    }
                    Err(error) => {
                        fault.replace(Some(error));
                        return Err(webpki::Error::CertRevoked);
                    }
                }
            }
            Ok(())
        };
        let verified = leaf.verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &anchors,
            &self.intermediates,
            now,
            KeyUsage::client_auth(),
            None,
            Some(&unrevoked),
        );
        match (verified, fault.take()) {
            (_, Some(error)) => Err(error),
            (Ok(_), None) => Ok(Match::Yes),
            (Err(_), None) => Ok(if revocations.take() { Match::Constrained } else { Match::No }),
        }
    }
}

impl Constraints {
    /// Whether a certificate is as the constraints want it.
    fn allow(&self, facts: &Facts) -> bool {
        let common_name = std::slice::from_ref(&facts.common_name);
        let names = [common_name, &facts.dns_names, &facts.emails].concat();
        any_fits(&self.allowed_names.0, &names)
            && any_fits(&self.allowed_common_names.0, common_name)
            && any_fits(&self.allowed_dns_sans.0, &facts.dns_names)
            && any_fits(&self.allowed_email_sans.0, &facts.emails)
            && any_fits(&self.allowed_uri_sans.0, &facts.uris)
            && any_fits(&self.allowed_organizational_units.0, &facts.organizational_units)
            && self.required_extensions.0.iter().all(|required| has_extension(facts, required))
    }
}

/// Whether a certificate has an extension as it is required: `oid:pattern`, or `hex:oid:pattern`.
fn has_extension(facts: &Facts, required: &str) -> bool {
    let (value, pattern) = match required.strip_prefix("hex:").and_then(|rest| rest.split_once(':')) {
        Some((oid, pattern)) => (facts.extension_hex(oid), pattern),
        None => match required.split_once(':') {
            Some((oid, pattern)) => (facts.extension_text(oid), pattern),
            None => return false,
        },
    };
    value.is_some_and(|value| fits(pattern, &value))
}
