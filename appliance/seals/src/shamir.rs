//! Secret sharing after Shamir, in the format of Vault: a polynomial per byte over GF(2^8) modulo x^8+x^4+x^3+x+1, its
//! value at 0 the secret; a share is the values at one x, and then x. One share of one is the secret itself.
//!
//! The field's arithmetic is `vsss_rs::Gf256`: no tables and no branches on secrets. Coefficients are uniform over all of
//! 0..=255 (a leading zero included: excluding it is RUSTSEC-2024-0398). Coefficients, shares and secrets are in guarded
//! memory only. Shares carry no integrity check of their own: a wrong one gives a wrong secret, so verify by using it.

use framework::{Error, Secret};
use hardening::random_bytes;
use vsss_rs::Gf256;

/// Most bytes a secret may have.
pub const LONGEST: usize = 256;

/// Splits `secret` (1 to [`LONGEST`] bytes) into `shares`, of which any `threshold` recover it.
///
/// # Errors
/// [`Error::Invalid`] unless 1 ≤ `threshold` ≤ `shares`, and `threshold` ≥ 2 if there are several shares.
pub fn split(secret: &Secret, shares: u8, threshold: u8) -> Result<Vec<Secret>, Error> {
    if shares == 0 {
        return Err(Error::invalid("the number of shares must be at least 1"));
    }
    if threshold == 0 || threshold > shares {
        return Err(Error::invalid(format!("the threshold must be between 1 and the number of shares ({shares})")));
    }
    if threshold == 1 && shares > 1 {
        return Err(Error::invalid(
            "with several shares the threshold must be at least 2: each share would be the secret",
        ));
    }
    if secret.is_empty() || secret.len() > LONGEST {
        return Err(Error::internal(format!("a secret of {} bytes cannot be shared", secret.len())));
    }
    if shares == 1 {
        return Ok(vec![Secret::locked(secret.expose())?]);
    }
    let degree = usize::from(threshold) - 1;
    let coefficients = Secret::random(degree * secret.len())?;
    let share = |x: u8| {
        Secret::locked_with(secret.len() + 1, |room| {
            let polynomials = coefficients.expose().chunks_exact(degree);
            for ((y, secret), coefficients) in room.iter_mut().zip(secret.expose()).zip(polynomials) {
                *y = evaluate(*secret, coefficients, x);
            }
            if let Some(last) = room.last_mut() {
                *last = x;
            }
        })
    };
    Ok(distinct(shares).into_iter().map(share).collect::<Result<_, _>>()?)
}

/// Recovers the secret from `threshold` shares or more.
///
/// # Errors
/// [`Error::Invalid`] if there are fewer shares than `threshold` or more than 255, their lengths differ or are impossible,
/// one was not made by [`split`] (its x is 0), or two have the same x.
pub fn combine(shares: &[Secret], threshold: u8) -> Result<Secret, Error> {
    if threshold == 0 || shares.len() < usize::from(threshold) {
        return Err(Error::invalid(format!("{} shares were given, {threshold} are needed", shares.len())));
    }
    if shares.len() > 255 {
        return Err(Error::invalid("more than 255 shares were given"));
    }
    let (Some(first), false) = (shares.first(), threshold == 1 && shares.len() > 1) else {
        return Err(Error::invalid("one share is the whole secret, and several were given"));
    };
    if threshold == 1 {
        return Ok(Secret::locked(first.expose())?);
    }
    if shares.iter().any(|share| share.len() != first.len()) {
        return Err(Error::invalid("the shares have different lengths: they belong to different secrets"));
    }
    if first.len() < 2 || first.len() > LONGEST + 1 {
        return Err(Error::invalid("a share has an impossible length"));
    }
    let points: Vec<(Gf256, &[u8])> =
        shares.iter().filter_map(|share| share.expose().split_last()).map(|(x, y)| (Gf256(*x), y)).collect();
    let mut seen = [false; 256];
    for (x, _) in &points {
        if x.0 == 0 {
            return Err(Error::invalid("a share is not genuine: its last byte is 0"));
        }
        if let Some(seen) = seen.get_mut(usize::from(x.0))
            && std::mem::replace(seen, true)
        {
            return Err(Error::invalid("the same share was given twice"));
        }
    }
    let weights: Vec<Gf256> = points.iter().map(|(x, _)| weight(*x, points.iter().map(|(other, _)| *other))).collect();
    Ok(Secret::locked_with(first.len() - 1, |room| {
        for ((_, values), weight) in points.iter().zip(&weights) {
            for (byte, value) in room.iter_mut().zip(*values) {
                *byte ^= (Gf256(*value) * weight).0;
            }
        }
    })?)
}

/// The polynomial's value at `x`, after Horner; coefficients ascend.
fn evaluate(secret: u8, coefficients: &[u8], x: u8) -> u8 {
    let value = coefficients.iter().rev().fold(Gf256(0), |value, coefficient| (value + Gf256(*coefficient)) * Gf256(x));
    (value + Gf256(secret)).0
}

/// Lagrange's weight of the point at `x` for the value at 0; the x are public, distinct and not 0.
fn weight(x: Gf256, all: impl Iterator<Item = Gf256>) -> Gf256 {
    all.filter(|other| *other != x).fold(Gf256(1), |weight, other| weight * (other / (other - x)))
}

/// `count` different random x, none of them 0.
fn distinct(count: u8) -> Vec<u8> {
    let mut chosen = Vec::with_capacity(usize::from(count));
    let mut random = [0; 64];
    while chosen.len() < usize::from(count) {
        random_bytes(&mut random);
        for x in random {
            if x != 0 && chosen.len() < usize::from(count) && !chosen.contains(&x) {
                chosen.push(x);
            }
        }
    }
    chosen
}
