//! Lists of text as Vault shows them.

use framework::{FieldType, Json, Kind};

/// A list of text; null where it is empty.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Texts(pub(crate) Vec<String>);

impl FieldType for Texts {
    const KIND: Kind = Kind::Strings;
    const REQUIRED: bool = false;
    fn parse(value: Json) -> Result<Self, &'static str> {
        Vec::parse(value).map(Self)
    }
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
    fn emit(self) -> Option<Json> {
        Some(if self.0.is_empty() { Json::Null } else { self.0.into() })
    }
}
