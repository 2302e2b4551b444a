//! Wrapping and unwrapping, by many threads, through losses of the token.
#![cfg(test)]

mod common;

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use common::{KEY, TOKEN, alone, config, hsm, secret, tool};
use cryptoki::context::Pkcs11;
use pkcs11_seal::ceremony::{self, Options};
use pkcs11_seal::{AES_GCM, Blob, Config, Error, Hsm, LONGEST_PLAINTEXT};

#[test]
fn what_was_wrapped_comes_back_and_nothing_else_does() {
    alone("what_was_wrapped_comes_back_and_nothing_else_does", |_| {
        let hsm = hsm();
        for length in [0, 1, 32, LONGEST_PLAINTEXT] {
            let plain = secret(&vec![7; length]);
            let blob = hsm.wrap(&plain, b"core/root").unwrap();
            assert_eq!((blob.mechanism, blob.bytes.len()), (AES_GCM, 12 + length + 16));
            assert_eq!(hsm.unwrap(&blob, b"core/root").unwrap(), plain);
        }
        assert!(matches!(hsm.wrap(&secret(&vec![7; LONGEST_PLAINTEXT + 1]), b""), Err(Error::Operator(_))));

        let plain = secret(b"32 bytes of key material, or so.");
        let (one, two) = (hsm.wrap(&plain, b"a").unwrap(), hsm.wrap(&plain, b"a").unwrap());
        assert_ne!(one.bytes[..12], two.bytes[..12], "IVs repeat");
        let one_whole = one.clone();
        let one = one.bytes;
        let rejected = |bytes: &[u8], aad: &[u8], what: &str| {
            let blob = Blob { mechanism: AES_GCM, bytes: bytes.to_vec() };
            assert!(matches!(hsm.unwrap(&blob, aad), Err(Error::Rejected(_))), "{what}");
        };
        rejected(&one, b"b", "other associated data");
        rejected(&one, b"", "no associated data");
        for at in [0, 11, 12, 40, one.len() - 1] {
            let mut flipped = one.clone();
            flipped[at] ^= 1;
            rejected(&flipped, b"a", "a flipped bit");
        }
        for length in [0, 11, 12, 27, 28, one.len() - 1] {
            rejected(&one[..length], b"a", "a cut blob");
        }
        rejected(&[&one[..], &[0]].concat(), b"a", "a longer blob");
        rejected(&[&[0; 12], &one[12..]].concat(), b"a", "a zero IV");
        rejected(&[1; LONGEST_PLAINTEXT + 29], b"a", "a huge blob");
        assert_eq!(hsm.unwrap(&one_whole, b"a").unwrap(), plain, "the seal works after all that");
    });
}

#[test]
fn eight_threads_share_three_sessions() {
    alone("eight_threads_share_three_sessions", |_| {
        drop(hsm());
        let hsm = Hsm::open(Config { max_sessions: 4, ..config() }).unwrap();
        thread::scope(|scope| {
            for number in 0..8_u8 {
                let hsm = &hsm;
                scope.spawn(move || {
                    for turn in 0..200_u8 {
                        let (plain, aad) = (secret(&[number; 32]), [number, turn]);
                        let blob = hsm.wrap(&plain, &aad).unwrap();
                        assert_eq!(hsm.unwrap(&blob, &aad).unwrap(), plain);
                        if turn % 50 == 0 {
                            assert!(matches!(hsm.unwrap(&blob, b"other"), Err(Error::Rejected(_))));
                        }
                    }
                });
            }
        });
    });
}

#[test]
fn a_restart_finds_the_same_key() {
    alone("a_restart_finds_the_same_key", |_| {
        let first = hsm();
        let before = first.describe().unwrap();
        assert_eq!((before.token_label.as_str(), before.key_label.as_str()), (TOKEN, KEY));
        assert_eq!(before.check_value.len(), 17);
        let blob = first.wrap(&secret(b"root key"), b"core/root").unwrap();
        drop(first);
        let second = Hsm::open(config()).unwrap();
        assert_eq!(second.unwrap(&blob, b"core/root").unwrap(), secret(b"root key"));
        assert_eq!(second.describe().unwrap(), before);
    });
}

#[test]
fn a_module_that_forgets_everything_is_opened_again() {
    alone("a_module_that_forgets_everything_is_opened_again", |_| {
        let hsm = hsm();
        let blob = hsm.wrap(&secret(b"root key"), b"p").unwrap();
        // Every session, handle and login of the process ends.
        Pkcs11::new(common::MODULE).unwrap().finalize().unwrap();
        assert_eq!(hsm.unwrap(&blob, b"p").unwrap(), secret(b"root key"));
        Pkcs11::new(common::MODULE).unwrap().finalize().unwrap();
        assert_eq!(hsm.describe().unwrap().key_label, KEY);
    });
}

#[test]
fn a_key_lost_under_load_is_used_again_when_restored() {
    alone("a_key_lost_under_load_is_used_again_when_restored", |folder| {
        let hsm = hsm();
        let blob = hsm.wrap(&secret(b"root key"), b"p").unwrap();
        let (tokens, backup) = (folder.join("tokens"), folder.join("backup"));
        assert!(Command::new("cp").arg("-a").args([&tokens, &backup]).status().unwrap().success());
        let restored = AtomicBool::new(false);
        let (lost, losses) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..4 {
                let (hsm, blob, restored, lost) = (&hsm, &blob, &restored, lost.clone());
                scope.spawn(move || {
                    let (mut answers, started) = (0, Instant::now());
                    while answers < 300 {
                        assert!(started.elapsed().as_secs() < 30, "the key was not found again");
                        let was_restored = restored.load(Ordering::SeqCst);
                        match hsm.unwrap(blob, b"p") {
                            Ok(plain) => {
                                assert_eq!(plain, secret(b"root key"));
                                answers += u32::from(was_restored);
                            }
                            Err(Error::Transient(_)) => {}
                            Err(Error::Operator(message)) => _ = lost.send(message),
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                });
            }
            tool(folder, &["--delete-object", "--type", "secrkey", "--label", KEY]);
            drop(lost);
            // While the key goes, its attributes may go first.
            while !losses.recv().unwrap().contains("no secret key labelled") {}
            fs::rename(&tokens, folder.join("old")).unwrap();
            fs::rename(&backup, &tokens).unwrap();
            restored.store(true, Ordering::SeqCst);
        });
    });
}

#[test]
fn a_deleted_or_exchanged_key_is_the_operators_business() {
    alone("a_deleted_or_exchanged_key_is_the_operators_business", |folder| {
        let hsm = hsm();
        let blob = hsm.wrap(&secret(b"root key"), b"p").unwrap();
        tool(folder, &["--delete-object", "--type", "secrkey", "--label", KEY]);
        let gone = hsm.unwrap(&blob, b"p");
        let Err(Error::Operator(message)) = gone else { panic!("{gone:?}") };
        assert!(message.contains("no secret key labelled") && message.contains("restore it"), "{message}");
        ceremony::init(&config(), Options::default()).unwrap();
        let asked = Instant::now();
        loop {
            let Err(Error::Operator(message)) = hsm.wrap(&secret(b"root key"), b"p") else { panic!("wrapped") };
            if message.contains("now has another key under the label") {
                break;
            }
            assert!(asked.elapsed().as_secs() < 10, "{message}");
            thread::yield_now();
        }
    });
}

#[test]
fn a_token_that_comes_late_is_taken() {
    alone("a_token_that_comes_late_is_taken", |folder| {
        drop(hsm());
        let (tokens, away) = (folder.join("tokens"), folder.join("away"));
        fs::rename(&tokens, &away).unwrap();
        fs::create_dir(&tokens).unwrap();
        let hsm = Hsm::start(config());
        let missing = hsm.describe();
        assert!(
            matches!(&missing, Err(Error::Operator(message)) if message.contains("no token labelled")),
            "{missing:?}"
        );
        fs::remove_dir_all(&tokens).unwrap();
        fs::rename(&away, &tokens).unwrap();
        let asked = Instant::now();
        while hsm.describe().is_err() {
            assert!(asked.elapsed().as_secs() < 10, "the token came back and was not taken");
            thread::yield_now();
        }
    });
}

/// Run it by name with `--ignored` for figures.
#[test]
#[ignore = "a measurement"]
fn speed() {
    alone("speed", |_| {
        let hsm = hsm();
        for threads in [1, 2, 4] {
            for length in [32, 1024] {
                let plain = secret(&vec![7; length]);
                let started = Instant::now();
                thread::scope(|scope| {
                    for _ in 0..threads {
                        scope.spawn(|| (0..10_000 / threads).for_each(|_| _ = hsm.wrap(&plain, b"core/root").unwrap()));
                    }
                });
                println!(
                    "{threads} threads, {length} bytes: {:.0} wraps/s",
                    10_000.0 / started.elapsed().as_secs_f64()
                );
            }
        }
    });
}
