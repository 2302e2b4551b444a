//! When a certificate expires, read from its DER form (RFC 5280 §4.1).
//!
//! A dozen lines of DER in place of an X.509 parser: only the two dates are wanted, and the bytes are the operator's own.

use framework::Timestamp;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0; // [0] EXPLICIT
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// `notBefore` and `notAfter` of a certificate; `None` if it is not one.
pub(crate) fn of(certificate: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let mut certificate = Der(certificate);
    let mut certificate = Der(certificate.take(SEQUENCE)?);
    let mut body = Der(certificate.take(SEQUENCE)?);
    if body.0.first() == Some(&VERSION) {
        body.take(VERSION)?;
    }
    body.take(INTEGER)?; // serial number
    body.take(SEQUENCE)?; // signature algorithm
    body.take(SEQUENCE)?; // issuer
    let mut validity = Der(body.take(SEQUENCE)?);
    Some((validity.time()?, validity.time()?))
}

struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next element, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&found, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (length.iter().fold(0usize, |sum, &byte| sum << 8 | usize::from(byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (found == tag).then_some(content)
    }

    /// `YYMMDDHHMMSSZ`, with years from 1950 to 2049, or `YYYYMMDDHHMMSSZ`.
    fn time(&mut self) -> Option<Timestamp> {
        let tag = *self.0.first()?;
        let text = std::str::from_utf8(self.take(tag)?).ok()?;
        let full = match tag {
            UTC_TIME => format!("{}{text}", if text.get(..2)? < "50" { "20" } else { "19" }),
            GENERALIZED_TIME => text.to_owned(),
            _ => return None,
        };
        let part = |from: usize, to: usize| full.get(from..to);
        let at = Timestamp::parse(&format!(
            "{}-{}-{}T{}:{}:{}{}",
            part(0, 4)?,
            part(4, 6)?,
            part(6, 8)?,
            part(8, 10)?,
            part(10, 12)?,
            part(12, 14)?,
            full.get(14..)?
        ));
        // Our clock ends in 2262; certificates without an end say 9999 (RFC 5280 §4.1.2.5).
        at.or_else(|| (part(0, 4)? > "2261").then_some(Timestamp::from_nanos(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], &length[..], content].concat()
    }

    fn certificate(validity: &[u8]) -> Vec<u8> {
        let version = element(VERSION, &element(INTEGER, &[2]));
        let rest =
            [element(INTEGER, &[1]), element(SEQUENCE, &[]), element(SEQUENCE, &[]), element(SEQUENCE, validity)];
        element(SEQUENCE, &element(SEQUENCE, &[version, rest.concat()].concat()))
    }

    #[test]
    fn both_kinds_of_time_are_read() {
        let dates = [element(UTC_TIME, b"991231235959Z"), element(GENERALIZED_TIME, b"20500102030405Z")].concat();
        let (from, to) = of(&certificate(&dates)).unwrap();
        assert_eq!(from.to_string(), "1999-12-31T23:59:59Z");
        assert_eq!(to.to_string(), "2050-01-02T03:04:05Z");
        let endless = [element(UTC_TIME, b"491231235959Z"), element(GENERALIZED_TIME, b"99991231235959Z")].concat();
        let (from, to) = of(&certificate(&endless)).unwrap();
        assert_eq!((from.to_string().as_str(), to.nanos()), ("2049-12-31T23:59:59Z", i64::MAX));
    }

    #[test]
    fn anything_else_is_nothing() {
        let whole = certificate(&[element(UTC_TIME, b"991231235959Z"), element(UTC_TIME, b"49")].concat());
        assert_eq!(of(&whole), None);
        for end in 0..whole.len() {
            assert_eq!(of(&whole[..end]), None);
        }
        assert_eq!(of(&[SEQUENCE, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
