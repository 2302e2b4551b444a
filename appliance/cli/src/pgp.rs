//! PGP public keys, from files to the form in which the API takes them: binary, in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::failure::Failure;

const BEGIN: &str = "-----BEGIN PGP ";

/// The keys in a comma-separated list of files, in order.
pub(crate) fn keys(list: &str) -> Result<Vec<String>, Failure> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(key).collect()
}

/// The key in a file: armored, binary, or in base64 already. A leading `@` is not part of the name.
pub(crate) fn key(name: &str) -> Result<String, Failure> {
    if name.starts_with("keybase:") {
        return Err(Failure::local(format!(
            "{name}: Keybase names are not supported; give the name of a file with the public key"
        )));
    }
    let path = name.strip_prefix('@').unwrap_or(name);
    let bytes = std::fs::read(path).map_err(|error| Failure::local(format!("{path}: {error}")))?;
    form(&bytes).map_err(|problem| Failure::local(format!("{path}: {problem}")))
}

fn form(bytes: &[u8]) -> Result<String, &'static str> {
    match std::str::from_utf8(bytes).map(str::trim) {
        Ok(text) if text.contains(BEGIN) => unarmored(text),
        Ok(text) if STANDARD.decode(text).is_ok() => Ok(text.to_owned()),
        _ => Ok(STANDARD.encode(bytes)),
    }
}

/// What an armor holds: base64 behind headers and an empty line, before a checksum that starts with `=`.
fn unarmored(text: &str) -> Result<String, &'static str> {
    let mut lines = text.lines().map(str::trim).skip_while(|line| !line.starts_with(BEGIN));
    if !lines.next().unwrap_or_default().starts_with("-----BEGIN PGP PUBLIC KEY BLOCK") {
        return Err("this is no public key: only public keys are for others");
    }
    let body = lines.by_ref().skip_while(|line| !line.is_empty());
    let body: String = body.take_while(|line| !line.starts_with('=') && !line.starts_with("-----END")).collect();
    if STANDARD.decode(&body).is_err() || body.is_empty() {
        return Err("the key is damaged");
    }
    if lines.any(|line| line.starts_with(BEGIN)) {
        return Err("there is more than one key");
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::form;

    #[test]
    fn every_form_of_a_file_becomes_base64() {
        let armored = "note\n-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: x\n\naGVs\nbG8=\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n";
        for file in [armored.as_bytes(), armored.replace('\n', "\r\n").as_bytes(), b"aGVsbG8=\n", b"hello"] {
            assert_eq!(form(file), Ok("aGVsbG8=".to_owned()));
        }
        assert_eq!(form(&[0x99, 0xff]), Ok("mf8=".to_owned()));
        for bad in [armored.replace("PUBLIC", "PRIVATE"), armored.replace("aGVs", "?"), format!("{armored}{armored}")] {
            assert!(form(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
