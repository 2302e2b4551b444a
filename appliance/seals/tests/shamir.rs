//! Shares: every subset, hostile shares, no bias, and another implementation's.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail the test they help")]

use base64::Engine;
use framework::{Error, Secret};
use proptest::prelude::*;
use seals::shamir::{combine, split};

fn secret(bytes: &[u8]) -> Secret {
    Secret::locked(bytes).unwrap()
}

fn pick(shares: &[Secret], which: impl IntoIterator<Item = usize>) -> Vec<Secret> {
    which.into_iter().map(|at| shares[at].try_clone().unwrap()).collect()
}

fn subsets(of: usize, size: usize) -> impl Iterator<Item = Vec<usize>> {
    (0u32..1 << of)
        .filter(move |set| set.count_ones() as usize == size)
        .map(move |set| (0..of).filter(|at| set >> at & 1 == 1).collect())
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>, because: &str) {
    match result {
        Err(Error::Invalid { message, .. }) => assert!(message.contains(because), "{message}"),
        other => unreachable!("expected {because:?}, got {other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_large_enough_subset_recovers_and_no_smaller_one(
        bytes in proptest::collection::vec(any::<u8>(), 16..=40),
        (count, threshold) in (2u8..=7).prop_flat_map(|count| (Just(count), 2..=count)),
    ) {
        let whole = secret(&bytes);
        let shares = split(&whole, count, threshold).unwrap();
        prop_assert_eq!(shares.len(), usize::from(count));
        for size in usize::from(threshold)..=usize::from(count) {
            for set in subsets(usize::from(count), size) {
                prop_assert_eq!(&combine(&pick(&shares, set), threshold).unwrap(), &whole);
            }
        }
        // One share too few, used as if it were enough: a wrong secret (by chance right once in 2^128).
        if threshold > 2 {
            for set in subsets(usize::from(count), usize::from(threshold) - 1) {
                prop_assert_ne!(&combine(&pick(&shares, set), threshold - 1).unwrap(), &whole);
            }
        }
    }
}

#[test]
fn the_largest_sharing_works() {
    let bytes: Vec<u8> = (0..=255).collect();
    let shares = split(&secret(&bytes), 255, 255).unwrap();
    assert_eq!(combine(&shares, 255).unwrap().expose(), bytes);
}

#[test]
fn one_share_of_one_is_the_secret() {
    let shares = split(&secret(&[7; 32]), 1, 1).unwrap();
    assert_eq!(shares[0].expose(), [7; 32]);
    assert_eq!(combine(&shares, 1).unwrap().expose(), [7; 32]);
}

#[test]
fn impossible_sharings_are_refused() {
    refused(split(&secret(&[1; 32]), 0, 0), "at least 1");
    refused(split(&secret(&[1; 32]), 3, 0), "between 1");
    refused(split(&secret(&[1; 32]), 3, 4), "between 1");
    refused(split(&secret(&[1; 32]), 3, 1), "at least 2");
    assert!(split(&secret(&[]), 3, 2).is_err());
}

#[test]
fn hostile_and_mistyped_shares_are_refused() {
    let shares = split(&secret(&[9; 32]), 5, 3).unwrap();
    let with = |other: &[u8]| {
        let mut given = pick(&shares, [0, 1]);
        given.push(secret(other));
        given
    };
    refused(combine(&pick(&shares, [0, 1]), 3), "3 are needed");
    refused(combine(&pick(&shares, [0, 1, 1]), 3), "twice");
    refused(combine(&pick(&shares, [0, 1, 2, 1]), 3), "twice");
    refused(combine(&with(&[&[1; 32][..], &[0]].concat()), 3), "not genuine");
    refused(combine(&with(&[1; 32]), 3), "different lengths");
    refused(combine(&with(&[]), 3), "different lengths");
    refused(combine(&pick(&shares, [0, 1]), 1), "several were given");
    refused(combine(&[secret(&[5]), secret(&[6])], 2), "impossible length");
    refused(combine(&(0..256).map(|_| secret(&[1, 2])).collect::<Vec<_>>(), 2), "more than 255");
    // The same x with other values: an attempt to replace a share.
    let x = shares[0].expose()[32];
    refused(combine(&with(&[&[1; 32][..], &[x]].concat()), 3), "twice");
}

#[test]
fn shares_have_distinct_x_behind_their_values() {
    for _ in 0..50 {
        let shares = split(&secret(&[3; 4]), 200, 2).unwrap();
        let mut seen: Vec<u8> = shares.iter().map(|share| share.expose()[4]).collect();
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.len() == 200 && seen[0] != 0);
    }
}

/// Unseal keys that OpenBao 2.7.2 gave out (`operator init -key-shares=5 -key-threshold=3`): with its field and format,
/// all subsets agree; with any other they would not.
#[test]
fn shares_made_by_openbao_combine() {
    let shares = [
        "QC/akgo+d/MHLnb6SkgqqdnJrDnvJHSQ3V1gXQXoyeiB",
        "E9r4r4ownn3vY6UeG5cLCEQcnn23YH3n0TzwfApsOb+9",
        "rTU4YrpdiDbFpXDTdt1jNeZg1JyeocavywZyHzPsb4KA",
        "OKhEH1tizisC2Xr1Ke0wc0SO/tW+Eiwi1Z7xoCvQyBIx",
        "wZDeWZzz+9q0dlVXlvNutsZgAg1HRUEhOJxwINYo3yoh",
    ]
    .map(|text| secret(&base64::engine::general_purpose::STANDARD.decode(text).unwrap()));
    let key = combine(&shares, 3).unwrap();
    assert_eq!(key.len(), 32);
    for size in 3..=5 {
        for set in subsets(5, size) {
            assert_eq!(combine(&pick(&shares, set), 3).unwrap(), key);
        }
    }
    // Two points fix no parabola.
    assert_ne!(combine(&pick(&shares, [0, 1]), 2).unwrap(), key);
}

/// RUSTSEC-2024-0398: if the leading coefficient is never 0, k-1 shares never show the secret's own byte, and many
/// sharings of one secret give it away. Here each share's byte must take every value equally often.
#[test]
fn shares_are_unbiased() {
    const SHARINGS: u32 = 400;
    const LEN: usize = 256;
    let bytes = [0xa5; LEN];
    let mut counts = [0u32; 256];
    for _ in 0..SHARINGS {
        for share in split(&secret(&bytes), 2, 2).unwrap() {
            share.expose()[..LEN].iter().for_each(|y| counts[usize::from(*y)] += 1);
        }
    }
    let expected = f64::from(2 * SHARINGS * 256) / 256.0;
    let chi2: f64 = counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
    // 255 degrees of freedom: mean 255, standard deviation 22.6. Never the secret's own byte would add about 800.
    assert!(chi2 < 255.0 + 8.0 * 22.6, "{chi2}");
    assert!(counts[0xa5] > 0);
}
