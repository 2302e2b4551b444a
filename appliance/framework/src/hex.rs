//! Hexadecimal.

/// Two lower-case digits for each byte.
pub fn encode(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes that pairs of digits of either case stand for; `None` if the text is anything else.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(char::from(*high).to_digit(16)? * 16 + char::from(*low).to_digit(16)?).ok(),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_and_what_is_no_pair_of_digits_is_refused() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(encode(&[0, 0x0f, 0xa0]), "000fa0");
        assert_eq!(decode(&encode(&all)), Some(all.clone()));
        assert_eq!(decode(&encode(&all).to_uppercase()), Some(all));
        for wrong in ["0", "0g", "+1", " 1", "é", "000"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}
