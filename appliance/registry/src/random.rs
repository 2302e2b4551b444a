//! Names made by chance.

use framework::{Rng, Secret};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `prefix` and `len` characters of base 62, each as likely as any other (5.95 bits a character).
pub fn base62(rng: &dyn Rng, prefix: &[u8], len: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(prefix.len() + len);
    text.extend_from_slice(prefix);
    let mut pool = vec![0u8; 64];
    while text.len() < prefix.len() + len {
        rng.fill(&mut pool);
        // 248 is the greatest multiple of 62 in a byte: what lies above would favour the first characters.
        let fair = pool.iter().filter(|&&byte| byte < 248).filter_map(|&byte| BASE62.get(usize::from(byte) % 62));
        text.extend(fair.take(prefix.len() + len - text.len()));
    }
    // Wiped: it holds what the name was made of.
    drop(Secret::transient(pool));
    text
}

/// Eight hexadecimal digits, as in the accessors of mounts.
pub(crate) fn short(rng: &dyn Rng) -> String {
    let mut bytes = [0u8; 4];
    rng.fill(&mut bytes);
    format!("{:08x}", u32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use framework::SystemRng;

    use super::*;

    #[test]
    fn made_names_have_their_form() {
        let token = base62(&SystemRng, b"hvs.", 24);
        assert_eq!(token.len(), 28);
        assert!(token.iter().skip(4).all(u8::is_ascii_alphanumeric));
    }
}
