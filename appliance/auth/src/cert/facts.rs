//! What a certificate says of itself.

use std::collections::BTreeMap;

use framework::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_cert::Certificate;
use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::{Decode, Tag, Tagged};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, SubjectAltName, SubjectKeyIdentifier,
};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANIZATIONAL_UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// The parts of a certificate that decide about a login, or are told by it.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) common_name: String,
    pub(super) organizational_units: Vec<String>,
    pub(super) dns_names: Vec<String>,
    pub(super) emails: Vec<String>,
    pub(super) uris: Vec<String>,
    /// In decimal.
    pub(super) serial: String,
    pub(super) subject_key_id: Vec<u8>,
    pub(super) authority_key_id: Vec<u8>,
    /// The DER values of its extensions, by the OIDs.
    pub(super) extensions: BTreeMap<String, Vec<u8>>,
    pub(super) is_authority: bool,
    /// Its extended key usage, if it has one, includes TLS clients.
    pub(super) for_clients: bool,
    not_before: u64,
    not_after: u64,
}

impl Facts {
    /// Reads a certificate; `None` if it is malformed.
    pub(super) fn of(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let tbs = certificate.tbs_certificate();
        let mut facts = Self {
            serial: decimal(tbs.serial_number().as_bytes()),
            not_before: tbs.validity().not_before.to_unix_duration().as_secs(),
            not_after: tbs.validity().not_after.to_unix_duration().as_secs(),
            is_authority: tbs.get_extension::<BasicConstraints>().ok()?.is_some_and(|(_, constraints)| constraints.ca),
            for_clients: tbs.get_extension::<ExtendedKeyUsage>().ok()?.is_none_or(|(_, ExtendedKeyUsage(usages))| {
                usages.iter().any(|usage| *usage == CLIENT_AUTH || *usage == ANY_USAGE)
            }),
            ..Self::default()
        };
        for attribute in tbs.subject().iter() {
            let value = text((&attribute.value).into());
            match attribute.oid {
                COMMON_NAME => facts.common_name = value.unwrap_or_default(),
                ORGANIZATIONAL_UNIT => facts.organizational_units.extend(value),
                _ => {}
            }
        }
        if let Some((_, SubjectAltName(names))) = tbs.get_extension::<SubjectAltName>().ok()? {
            for name in names {
                match name {
                    GeneralName::DnsName(name) => facts.dns_names.push(name.to_string()),
                    GeneralName::Rfc822Name(name) => facts.emails.push(name.to_string()),
                    GeneralName::UniformResourceIdentifier(name) => facts.uris.push(name.to_string()),
                    _ => {}
                }
            }
        }
        if let Some((_, SubjectKeyIdentifier(id))) = tbs.get_extension::<SubjectKeyIdentifier>().ok()? {
            facts.subject_key_id = id.as_bytes().to_vec();
        }
        if let Some((_, authority)) = tbs.get_extension::<AuthorityKeyIdentifier>().ok()? {
            facts.authority_key_id = authority.key_identifier.map(|id| id.as_bytes().to_vec()).unwrap_or_default();
        }
        let extensions = tbs.extensions().into_iter().flatten();
        facts.extensions =
            extensions.map(|ext| (ext.extn_id.to_string(), ext.extn_value.as_bytes().to_vec())).collect();
        Some(facts)
    }

    /// Whether `now` lies in its validity.
    pub(super) fn is_current(&self, now: Timestamp) -> bool {
        u64::try_from(now.secs()).is_ok_and(|now| (self.not_before..=self.not_after).contains(&now))
    }

    /// The text of an extension; empty if it is none, as in Vault. `None` without the extension.
    pub(super) fn extension_text(&self, oid: &str) -> Option<String> {
        let value = self.extensions.get(oid)?;
        Some(AnyRef::from_der(value).ok().and_then(text).unwrap_or_default())
    }

    /// The value of an extension in hexadecimal.
    pub(super) fn extension_hex(&self, oid: &str) -> Option<String> {
        self.extensions.get(oid).map(|value| framework::hex::encode(value))
    }
}

/// The certificates in a PEM text; others and what is malformed is left out.
pub(super) fn from_pem(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok).collect()
}

/// The text of an ASN.1 string, of whichever type.
fn text(value: AnyRef<'_>) -> Option<String> {
    let bytes = value.value();
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            String::from_utf8(bytes.to_vec()).ok()
        }
        // ISO 8859-1 in practice, as Go reads it.
        Tag::TeletexString => Some(bytes.iter().copied().map(char::from).collect()),
        Tag::BmpString => {
            let units: Vec<u16> = bytes
                .chunks(2)
                .map(|pair| if let [high, low] = pair { Some(u16::from_be_bytes([*high, *low])) } else { None })
                .collect::<Option<_>>()?;
            String::from_utf16(&units).ok()
        }
        _ => None,
    }
}

/// A number given as bytes, the greatest first, in decimal.
pub(super) fn decimal(bytes: &[u8]) -> String {
    // The least digit first.
    let mut digits = vec![0_u8];
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            let value = u32::from(*digit) * 256 + carry;
            *digit = u8::try_from(value % 10).unwrap_or_default();
            carry = value / 10;
        }
        while carry > 0 {
            digits.push(u8::try_from(carry % 10).unwrap_or_default());
            carry /= 10;
        }
    }
    digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_are_decimal() {
        for (bytes, text) in [
            (&[][..], "0"),
            (&[0], "0"),
            (&[7], "7"),
            (&[1, 0], "256"),
            (&[0, 255, 255], "65535"),
            (&[0x7f; 16], "169473963133173273960190490760135540607"),
        ] {
            assert_eq!(decimal(bytes), text);
        }
    }
}
