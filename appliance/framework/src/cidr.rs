//! Blocks of IP addresses, to which tokens and roles are bound.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{FieldType, Json, Kind};

/// A block of addresses: `10.0.0.0/8`, `::1/128`, or one address. Shown as it was written; one address without its length.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    address: IpAddr,
    /// Leading bits that count.
    length: u8,
}

impl Cidr {
    /// Reads a block; `None` for what is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.trim().split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().ok()?;
        let whole = bits(address);
        let length = match length {
            Some(length) if length.bytes().all(|b| b.is_ascii_digit()) => length.parse().ok()?,
            Some(_) => return None,
            None => whole,
        };
        (length <= whole).then_some(Self { address, length })
    }

    /// Whether an address lies in the block. An IPv4 address that came in over IPv6 (`::ffff:a.b.c.d`) counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let shift = u32::from(bits(self.address) - self.length);
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (own.to_bits() ^ other.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (own.to_bits() ^ other.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// Whether every address of another block lies in this one.
    pub fn covers(&self, other: &Self) -> bool {
        self.length <= other.length && self.contains(other.address) && self.address.is_ipv4() == other.address.is_ipv4()
    }

    /// Whether an address may be used where these blocks are what it is bound to; none binds to nothing.
    pub fn any_contains(blocks: &[Self], address: IpAddr) -> bool {
        blocks.is_empty() || blocks.iter().any(|block| block.contains(address))
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl From<IpAddr> for Cidr {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, length: bits(address) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.length == bits(self.address) {
            true => write!(f, "{}", self.address),
            false => write!(f, "{}/{}", self.address, self.length),
        }
    }
}

impl From<Cidr> for String {
    fn from(block: Cidr) -> Self {
        block.to_string()
    }
}

impl TryFrom<String> for Cidr {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or(EXPECTED)
    }
}

const EXPECTED: &str = "expected IP addresses or blocks of them, such as \"10.0.0.0/8\"";

impl FieldType for Vec<Cidr> {
    const KIND: Kind = Kind::Strings;
    const REQUIRED: bool = false;
    fn parse(value: Json) -> Result<Self, &'static str> {
        let texts = <Vec<String> as FieldType>::parse(value).map_err(|_| EXPECTED)?;
        texts.iter().map(|text| Cidr::parse(text).ok_or(EXPECTED)).collect()
    }
    fn absent() -> Option<Self> {
        Some(Vec::new())
    }
    fn emit(self) -> Option<Json> {
        Some(self.iter().map(Cidr::to_string).collect::<Vec<_>>().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_their_addresses() {
        let holds = |block: &str, address: &str| Cidr::parse(block).unwrap().contains(address.parse().unwrap());
        assert!(holds("10.1.2.3/8", "10.255.0.1") && !holds("10.1.2.3/8", "11.0.0.1"));
        assert!(holds("127.0.0.1", "127.0.0.1") && !holds("127.0.0.1", "127.0.0.2"));
        assert!(holds("0.0.0.0/0", "8.8.8.8") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("::/0", "2001:db8::1") && !holds("::/0", "1.2.3.4"));
        assert!(holds("2001:db8::/32", "2001:db8:1::") && !holds("2001:db8::/32", "2001:db9::"));
        assert!(holds("127.0.0.0/8", "::ffff:127.0.0.1"));
        let covers = |block: &str, other: &str| Cidr::parse(block).unwrap().covers(&Cidr::parse(other).unwrap());
        assert!(covers("10.0.0.0/8", "10.1.0.0/16") && covers("10.0.0.0/8", "10.0.0.0/8") && covers("::/0", "::1"));
        assert!(
            !covers("10.1.0.0/16", "10.0.0.0/8") && !covers("10.0.0.0/8", "11.0.0.1") && !covers("::/0", "1.2.3.4")
        );
        assert!(Cidr::any_contains(&[], "1.2.3.4".parse().unwrap()));
    }

    #[test]
    fn blocks_are_shown_as_written_and_nonsense_is_refused() {
        for text in ["10.1.2.3/8", "127.0.0.1", "2001:db8::/32", "::1"] {
            assert_eq!(Cidr::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Cidr::parse(" 127.0.0.1/32 ").unwrap().to_string(), "127.0.0.1");
        for bad in ["", "x", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/+1", "10.0.0/8", "/8"] {
            assert!(Cidr::parse(bad).is_none(), "{bad:?}");
        }
    }
}
