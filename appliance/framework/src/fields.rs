//! Typed fields: one struct is parser, schema, documentation and answer of a route.
//!
//! [`fields!`](crate::fields!) declares such a struct. The doc comment of a field is its description everywhere.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Error, Input, Json, Map, duration};

/// The JSON type of a field, as help and OpenAPI show it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// true or false.
    Boolean,
    /// Seconds as a number, or text such as `1h30m`.
    Seconds,
    /// A list of text; also taken as one comma-separated text.
    Strings,
    /// An object.
    Object,
    /// Any JSON.
    Any,
}

/// Where a field of a request stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Location {
    /// A segment of the path.
    Path,
    /// The query string.
    Query,
    /// The body.
    Body,
}

/// What is known of one field.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name in JSON and in the path pattern.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What it is for.
    pub about: &'static str,
    /// Whether a request without it is refused.
    pub required: bool,
    /// Whether the audit log shows its value as it is.
    pub clear: bool,
}

/// A struct whose members are the fields of a request or of an answer. Made by [`fields!`](crate::fields!).
pub trait Fields: Sized {
    /// The schema.
    fn fields() -> Vec<Field>;
    /// Takes the fields out of a request. The 400 names the field.
    fn parse(input: &mut Input) -> Result<Self, Error>;
    /// The JSON object of an answer.
    fn emit(self) -> Map<String, Json>;
}

/// A Rust type that a field may have.
pub trait FieldType: Sized {
    /// Its JSON type.
    const KIND: Kind;
    /// Whether a request without it is refused, unless a default is declared.
    const REQUIRED: bool = true;
    /// Reads it; the error says what was expected.
    fn parse(value: Json) -> Result<Self, &'static str>;
    /// What stands for an absent or null value.
    fn absent() -> Option<Self> {
        None
    }
    /// Its JSON; `None` leaves the field out of the answer.
    fn emit(self) -> Option<Json>;
}

impl FieldType for String {
    const KIND: Kind = Kind::String;
    fn parse(value: Json) -> Result<Self, &'static str> {
        match value {
            Json::String(text) => Ok(text),
            Json::Number(number) => Ok(number.to_string()),
            Json::Bool(flag) => Ok(if flag { "1" } else { "0" }.to_owned()),
            _ => Err("expected text"),
        }
    }
    fn emit(self) -> Option<Json> {
        Some(Json::String(self))
    }
}

impl FieldType for bool {
    const KIND: Kind = Kind::Boolean;
    fn parse(value: Json) -> Result<Self, &'static str> {
        let text = match &value {
            Json::Bool(flag) => return Ok(*flag),
            Json::Number(number) => return Ok(number.as_f64() != Some(0.0)),
            Json::String(text) => text.as_str(),
            _ => "",
        };
        match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err("expected true or false"),
        }
    }
    fn emit(self) -> Option<Json> {
        Some(Json::Bool(self))
    }
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl FieldType for $type {
            const KIND: Kind = Kind::Integer;
            fn parse(value: Json) -> Result<Self, &'static str> {
                let whole = match &value {
                    Json::Number(number) => number.as_i128(),
                    Json::String(text) => text.trim().parse().ok(),
                    _ => None,
                };
                whole.and_then(|n| <$type>::try_from(n).ok()).ok_or("expected a whole number in range")
            }
            fn emit(self) -> Option<Json> {
                Some(Json::from(self))
            }
        }
    )*};
}
integers!(u8, u16, u32, u64, i64);

/// A duration that is seconds in JSON; `-1` and the like are refused.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Secs(pub Duration);

impl FieldType for Secs {
    const KIND: Kind = Kind::Seconds;
    fn parse(value: Json) -> Result<Self, &'static str> {
        let parsed = match &value {
            Json::Number(number) => number.as_u64().map(Duration::from_secs),
            Json::String(text) if text.is_empty() => Some(Duration::ZERO),
            Json::String(text) => duration::parse(text),
            _ => None,
        };
        parsed.map(Secs).ok_or("expected a duration: seconds, or text such as \"1h30m\"")
    }
    fn emit(self) -> Option<Json> {
        Some(Json::from(self.0.as_secs()))
    }
}

impl FieldType for Vec<String> {
    const KIND: Kind = Kind::Strings;
    const REQUIRED: bool = false;
    fn parse(value: Json) -> Result<Self, &'static str> {
        match value {
            Json::Array(items) => items.into_iter().map(String::parse).collect(),
            Json::String(text) => {
                Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
            }
            _ => Err("expected a list of text"),
        }
    }
    fn absent() -> Option<Self> {
        Some(Vec::new())
    }
    fn emit(self) -> Option<Json> {
        Some(self.into())
    }
}

impl FieldType for BTreeMap<String, String> {
    const KIND: Kind = Kind::Object;
    const REQUIRED: bool = false;
    fn parse(value: Json) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected an object of text";
        match value {
            Json::Object(map) => {
                map.into_iter().map(|(k, v)| Ok((k, String::parse(v).map_err(|_| EXPECTED)?))).collect()
            }
            Json::String(text) if text.is_empty() => Ok(Self::new()),
            _ => Err(EXPECTED),
        }
    }
    fn absent() -> Option<Self> {
        Some(Self::new())
    }
    fn emit(self) -> Option<Json> {
        Some(Json::Object(self.into_iter().map(|(k, v)| (k, Json::String(v))).collect()))
    }
}

impl FieldType for Map<String, Json> {
    const KIND: Kind = Kind::Object;
    fn parse(value: Json) -> Result<Self, &'static str> {
        match value {
            Json::Object(map) => Ok(map),
            _ => Err("expected an object"),
        }
    }
    fn emit(self) -> Option<Json> {
        Some(Json::Object(self))
    }
}

impl FieldType for Json {
    const KIND: Kind = Kind::Any;
    fn parse(value: Json) -> Result<Self, &'static str> {
        Ok(value)
    }
    fn emit(self) -> Option<Json> {
        Some(self)
    }
}

impl<T: FieldType> FieldType for Option<T> {
    const KIND: Kind = T::KIND;
    const REQUIRED: bool = false;
    fn parse(value: Json) -> Result<Self, &'static str> {
        T::parse(value).map(Some)
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
    fn emit(self) -> Option<Json> {
        self.and_then(T::emit)
    }
}

/// A request whose body is the client's own: the part `path` of its path, and every field of its body.
pub struct FreeForm {
    /// Location of the secret.
    pub path: String,
    /// The body.
    pub data: Map<String, Json>,
}

impl Fields for FreeForm {
    fn fields() -> Vec<Field> {
        let about = "Location of the secret.";
        vec![Field { name: "path", kind: Kind::String, about, required: true, clear: false }]
    }

    fn parse(input: &mut Input) -> Result<Self, Error> {
        Ok(Self { path: input.part("path").to_owned(), data: std::mem::take(&mut input.body) })
    }

    fn emit(self) -> Map<String, Json> {
        self.data
    }
}

/// Reads one field for [`fields!`](crate::fields!).
#[doc(hidden)]
pub fn take<T: FieldType>(
    input: &mut Input,
    name: &'static str,
    default: impl FnOnce() -> Option<T>,
) -> Result<T, Error> {
    match input.take(name) {
        None | Some(Json::Null) => {
            default().or_else(T::absent).ok_or_else(|| Error::field(name, format!("missing field '{name}'")))
        }
        Some(value) => T::parse(value)
            .map_err(|expected| Error::field(name, format!("error converting input for field {name:?}: {expected}"))),
    }
}

/// Declares a struct of typed fields: parser, schema and JSON form in one.
///
/// ```
/// framework::fields! {
///     /// The settings of a mount.
///     pub struct Settings {
///         /// How many versions are kept; 0 means ten.
///         pub max_versions: u32 = 0,
///         /// Whether every write must state the version it replaces.
///         pub cas_required: Option<bool> => clear,
///     }
/// }
/// ```
/// A field without a default must be present, unless its type has an absent form (`Option`, lists, text maps).
/// `=> clear` lets the audit log show the value.
#[macro_export]
macro_rules! fields {
    ($(
        $(#[$attribute:meta])*
        $scope:vis struct $name:ident {
            $( $(#[doc = $about:literal])* $visibility:vis $field:ident : $type:ty $(= $default:expr)? $(=> $clear:ident)? ),* $(,)?
        }
    )*) => {$(
        $(#[$attribute])*
        $scope struct $name { $( $(#[doc = $about])* $visibility $field: $type ),* }

        impl $crate::Fields for $name {
            fn fields() -> Vec<$crate::Field> {
                vec![$( $crate::Field {
                    name: $crate::fields!(@name $field),
                    kind: <$type as $crate::FieldType>::KIND,
                    about: concat!($($about),*).trim_ascii(),
                    required: <$type as $crate::FieldType>::REQUIRED $(&& { let _ = stringify!($default); false })?,
                    clear: false $(|| { let _ = stringify!($clear); true })?,
                } ),*]
            }

            #[allow(unused_variables)]
            fn parse(input: &mut $crate::Input) -> Result<Self, $crate::Error> {
                Ok(Self { $(
                    $field: $crate::take_field(input, $crate::fields!(@name $field), || {
                        let default: Option<$type> = None;
                        $( let default: Option<$type> = Some($default); )?
                        default
                    })?
                ),* })
            }

            fn emit(self) -> $crate::Map<String, $crate::Json> {
                #[allow(unused_mut)]
                let mut map = $crate::Map::new();
                $( if let Some(json) = $crate::FieldType::emit(self.$field) {
                    map.insert($crate::fields!(@name $field).to_owned(), json);
                } )*
                map
            }
        }
    )*};
    (@name $field:ident) => {
        stringify!($field).trim_start_matches("r#")
    };
}
