//! Certificate revocation lists. As in Vault, a list counts for every authority, and until it is replaced or deleted.

use aws_lc_rs::digest;
use framework::Operation::{Delete, List, Read, Update};
use framework::{Context, Error, Json, Map, Names, Output, Page, Paging, Route, View, fields};
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use x509_cert::certificate::Rfc5280;
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode;

use super::facts::decimal;
use crate::names;

/// How many serial numbers a part has, about: a login reads one part of each list for each certificate.
const PART: usize = 1024;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(List, "crls", "List the revocation lists.", |cx: &Context<'_>, page: Paging| {
            Names::below(&cx.view, "crls", page)
        }),
        Route::new(Read, "crls/{name}", "Read a revocation list.", read),
        Route::new(Update, "crls/{name}", "Upload a revocation list.", write),
        Route::new(Delete, "crls/{name}", "Delete a revocation list.", |cx: &Context<'_>, at: At| {
            let name = names::lower(&at.name)?;
            parts(&cx.view, &name)?.ok_or_else(|| no_such(&name))?;
            remove(&cx.view, &name)
        }),
    ]
}

fields! {
    struct At {
        /// The name of the revocation list.
        name: String,
    }

    struct Upload {
        /// The name of the revocation list.
        name: String,
        /// The public CRL that should be trusted to attest to certificates' validity statuses. PEM encoded.
        /// Note: the expiration time is ignored; if the CRL is no longer valid, delete it using the same name as here.
        crl: Option<String>,
        /// Not supported by this version, which does not fetch revocation lists.
        url: Option<String>,
    }
}

fn no_such(name: &str) -> Error {
    Error::field("name", format!("no such CRL {name}"))
}

/// In how many parts a list is; `None` if there is no such list.
fn parts(view: &View<'_>, name: &str) -> Result<Option<usize>, Error> {
    view.read(&format!("crls/{name}"))
}

fn part(view: &View<'_>, name: &str, part: usize) -> Result<Vec<String>, Error> {
    Ok(view.read(&format!("revoked/{name}/{part}"))?.unwrap_or_default())
}

/// In which of a list's parts a serial number would be.
fn part_of(serial: &str, parts: usize) -> usize {
    let hash = digest::digest(&digest::SHA256, serial.as_bytes());
    let number = hash.as_ref().iter().take(4).fold(0, |number, byte| number << 8 | usize::from(*byte));
    number.checked_rem(parts).unwrap_or_default()
}

/// Whether any list has a certificate with this serial number.
pub(super) fn revoked(view: &View<'_>, serial: &str) -> Result<bool, Error> {
    for name in view.list("crls", &Page::default())? {
        let count = parts(view, &name)?.unwrap_or_default();
        if part(view, &name, part_of(serial, count))?.iter().any(|revoked| revoked == serial) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn read(cx: &Context<'_>, at: At) -> Result<Output, Error> {
    let name = names::lower(&at.name)?;
    let count = parts(&cx.view, &name)?.ok_or_else(|| no_such(&name))?;
    let mut serials = Map::new();
    for n in 0..count {
        serials.extend(part(&cx.view, &name, n)?.into_iter().map(|serial| (serial, Json::Object(Map::new()))));
    }
    let mut data = Map::new();
    if !serials.is_empty() {
        data.insert("serials".to_owned(), Json::Object(serials));
    }
    Ok(Output { data: Some(data), ..Output::default() })
}

fn write(cx: &Context<'_>, upload: Upload) -> Result<(), Error> {
    let name = names::lower(&upload.name)?;
    let crl = match (upload.crl, upload.url) {
        (Some(crl), _) => crl,
        (None, Some(_)) => {
            let message = "url is not supported: this server does not fetch revocation lists; upload them as crl";
            return Err(Error::field("url", message));
        }
        (None, None) => return Err(Error::invalid("one of 'crl' or 'url' must be provided")),
    };
    let serials = serials(crl.as_bytes())
        .ok_or_else(|| Error::field("crl", "failed to parse CRL: expected a certificate revocation list in PEM"))?;
    remove(&cx.view, &name)?;
    let count = serials.len().div_ceil(PART).max(1);
    let mut parts = vec![Vec::new(); count];
    for serial in serials {
        if let Some(part) = parts.get_mut(part_of(&serial, count)) {
            part.push(serial);
        }
    }
    cx.view.write(&format!("crls/{name}"), &count)?;
    parts.iter().enumerate().try_for_each(|(n, part)| cx.view.write(&format!("revoked/{name}/{n}"), part))
}

fn remove(view: &View<'_>, name: &str) -> Result<(), Error> {
    for n in 0..parts(view, name)?.unwrap_or_default() {
        view.delete(&format!("revoked/{name}/{n}"))?;
    }
    view.delete(&format!("crls/{name}"))
}

/// The serial numbers that a list revokes, in decimal; `None` if it is malformed.
fn serials(pem: &[u8]) -> Option<Vec<String>> {
    let der = CertificateRevocationListDer::from_pem_slice(pem).ok()?;
    let list = CertificateList::<Rfc5280>::from_der(&der).ok()?;
    let revoked = list.tbs_cert_list.revoked_certificates.unwrap_or_default();
    Some(revoked.iter().map(|entry| decimal(entry.serial_number.as_bytes())).collect())
}
