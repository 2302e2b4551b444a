//! `sys/tools/`: random bytes and digests.

use aws_lc_rs::digest::{self, Algorithm};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use framework::Operation::Update;
use framework::{Context, Error, Route, fields};

/// The most random bytes of one answer.
const MOST_BYTES: i64 = 128 << 10;

pub(crate) fn routes() -> Vec<Route> {
    let random = |path: &'static str| Route::new(Update, path, "Random bytes.", random);
    let hash = |path: &'static str| Route::new(Update, path, "The digest of the input.", hash);
    vec![
        random("tools/random"),
        // A source or a number of bytes.
        random("tools/random/{urlbytes}"),
        random("tools/random/{source}/{urlbytes}"),
        hash("tools/hash"),
        hash("tools/hash/{urlalgorithm}"),
    ]
}

fields! {
    struct Random {
        /// How many bytes; the path counts before the body.
        urlbytes: Option<String> => clear,
        /// How many bytes.
        bytes: i64 = 32,
        /// Where they come from: `platform`.
        source: Option<String> => clear,
        /// `base64` or `hex`.
        format: String = "base64".to_owned() => clear,
    }

    struct Bytes {
        /// The bytes.
        random_bytes: String,
    }

    struct Hash {
        /// The algorithm; the path counts before the body.
        urlalgorithm: Option<String> => clear,
        /// The algorithm: `sha2-224`, `sha2-256`, `sha2-384`, `sha2-512`, `sha3-256`, `sha3-384` or `sha3-512`.
        algorithm: String = "sha2-256".to_owned() => clear,
        /// What the digest is of, in base64.
        input: String = String::new(),
        /// `hex` or `base64`.
        format: String = "hex".to_owned() => clear,
    }

    struct Sum {
        /// The digest.
        sum: String,
    }
}

fn random(cx: &Context<'_>, asked: Random) -> Result<Bytes, Error> {
    let by_path = asked.urlbytes.filter(|part| !part.is_empty());
    let names_source = by_path.as_deref().is_some_and(|part| matches!(part, "platform" | "seal" | "all"));
    let (source, by_path) = if names_source { (by_path, None) } else { (asked.source, by_path) };
    match source.as_deref() {
        None | Some("" | "platform") => {}
        Some(other @ ("seal" | "all")) => {
            let message = format!("entropy source {other:?} is not supported by this version; use \"platform\"");
            return Err(Error::field("source", message));
        }
        Some(other) => {
            let message = format!("unsupported entropy source {other:?}; must be \"platform\" or \"seal\", or \"all\"");
            return Err(Error::field("source", message));
        }
    }
    let bytes = match by_path {
        None => asked.bytes,
        Some(text) => text.parse().map_err(|_| {
            Error::field("urlbytes", format!("error parsing url-set byte count: {text:?} is not a whole number"))
        })?,
    };
    let count = match usize::try_from(bytes) {
        Ok(count) if count > 0 && bytes <= MOST_BYTES => count,
        Ok(count) if count > 0 => {
            return Err(Error::field("bytes", format!("'bytes' should be less than {MOST_BYTES}")));
        }
        _ => return Err(Error::field("bytes", "'bytes' cannot be less than 1")),
    };
    let mut random = vec![0; count];
    let encode = encoding(&asked.format)?;
    cx.rng.fill(&mut random);
    Ok(Bytes { random_bytes: encode(&random) })
}

fn hash(_: &Context<'_>, asked: Hash) -> Result<Sum, Error> {
    let name = asked.urlalgorithm.filter(|name| !name.is_empty()).unwrap_or(asked.algorithm);
    let input = STANDARD
        .decode(&asked.input)
        .map_err(|error| Error::field("input", format!("unable to decode input as base64: {error}")))?;
    let encode = encoding(&asked.format)?;
    Ok(Sum { sum: encode(digest::digest(algorithm(&name)?, &input).as_ref()) })
}

fn algorithm(name: &str) -> Result<&'static Algorithm, Error> {
    Ok(match name {
        "sha2-224" => &digest::SHA224,
        "sha2-256" => &digest::SHA256,
        "sha2-384" => &digest::SHA384,
        "sha2-512" => &digest::SHA512,
        "sha3-256" => &digest::SHA3_256,
        "sha3-384" => &digest::SHA3_384,
        "sha3-512" => &digest::SHA3_512,
        _ => return Err(Error::field("algorithm", format!("unsupported algorithm {name}"))),
    })
}

fn encoding(format: &str) -> Result<fn(&[u8]) -> String, Error> {
    match format {
        "base64" => Ok(|bytes| STANDARD.encode(bytes)),
        "hex" => Ok(framework::hex::encode),
        _ => Err(Error::field(
            "format",
            format!("unsupported encoding format {format:?}; must be \"hex\" or \"base64\""),
        )),
    }
}
