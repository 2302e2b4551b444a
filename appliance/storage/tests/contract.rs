//! What every kind of storage promises, checked on each of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test"
)]

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use framework::{Error, Page, Prefix, Store};
use storage::{Kind, Options, Storage};
use support::{delete, get, key, list, noise, put, version, write, write_if};

/// Runs a check on all kinds.
fn each(check: fn(&Storage)) {
    check(&storage::open(Kind::Memory, None, support::small()).unwrap());
    for kind in [Kind::Redb, Kind::Sled] {
        let folder = tempfile::tempdir().unwrap();
        check(&support::open(kind, folder.path()));
    }
}

/// Runs a check with the means to close and open again, on the kinds that outlive the process.
fn each_lasting(check: fn(&dyn Fn() -> std::sync::Arc<Storage>)) {
    for kind in [Kind::Redb, Kind::Sled] {
        let folder = tempfile::tempdir().unwrap();
        check(&|| support::open(kind, folder.path()));
    }
}

#[test]
fn what_is_written_is_read() {
    each(|store| {
        assert!(get(store, "a").is_none());
        write(store, vec![put("a", b"1"), put("a/b", b"2"), put("empty", b"")]).unwrap();
        assert_eq!(get(store, "a").unwrap(), b"1");
        assert_eq!(get(store, "a/b").unwrap(), b"2");
        assert_eq!(get(store, "empty").unwrap(), b"");
        let first = version(store, "a");
        assert_eq!(first, version(store, "a/b"), "one batch, one version");
        write(store, vec![put("a", b"3"), delete("a/b"), delete("never")]).unwrap();
        assert_eq!(get(store, "a").unwrap(), b"3");
        assert!(get(store, "a/b").is_none());
        assert!(version(store, "a") > first);
        assert_eq!(store.stats().records, 2);
    });
}

#[test]
fn a_read_that_is_outdated_is_a_conflict_and_changes_nothing() {
    each(|store| {
        write_if(store, ("a", 0), vec![put("a", b"1")]).unwrap();
        let seen = version(store, "a");
        write(store, vec![put("a", b"2")]).unwrap();
        for outdated in [0, seen] {
            let refused = write_if(store, ("a", outdated), vec![put("a", b"3"), put("b", b"3")]);
            assert!(matches!(refused, Err(Error::Conflict)));
        }
        assert_eq!(get(store, "a").unwrap(), b"2");
        assert!(get(store, "b").is_none());
        write_if(store, ("a", version(store, "a")), vec![delete("a")]).unwrap();
        write_if(store, ("a", 0), vec![put("a", b"4")]).unwrap();
        // A batch that only reads is checked too.
        assert!(matches!(write_if(store, ("a", 0), vec![]), Err(Error::Conflict)));
        write_if(store, ("a", version(store, "a")), vec![]).unwrap();
    });
}

#[test]
fn counters_kept_by_many_threads_lose_nothing() {
    each(|store| {
        const THREADS: u64 = 8;
        const TIMES: u64 = 40;
        let conflicts = AtomicU64::new(0);
        thread::scope(|scope| {
            for number in 0..THREADS {
                let conflicts = &conflicts;
                scope.spawn(move || {
                    let own = format!("own/{number}");
                    let mut done = 0;
                    while done < TIMES {
                        let seen = store.get(&key("shared")).unwrap();
                        let (at, count) = seen.map_or((0, 0), |seen| {
                            (seen.version.0, u64::from_le_bytes(seen.value.0.try_into().unwrap()))
                        });
                        let writes = vec![put("shared", &(count + 1).to_le_bytes()), put(&own, &done.to_le_bytes())];
                        match write_if(store, ("shared", at), writes) {
                            Ok(()) => done += 1,
                            Err(Error::Conflict) => drop(conflicts.fetch_add(1, Ordering::Relaxed)),
                            Err(error) => panic!("{error:?}"),
                        }
                    }
                });
            }
        });
        let count = u64::from_le_bytes(get(store, "shared").unwrap().try_into().unwrap());
        assert_eq!(count, THREADS * TIMES);
        assert_eq!(list(store, "own").len() as u64, THREADS);
    });
}

#[test]
fn a_listing_shows_direct_children_in_byte_order() {
    each(|store| {
        let names = ["a", "a/x", "a/y/z", "a-b", "b/c/d", "b0", "é/x", "b"];
        write(store, names.iter().map(|name| put(name, b"")).collect()).unwrap();
        assert_eq!(list(store, ""), ["a", "a-b", "a/", "b", "b/", "b0", "é/"]);
        assert_eq!(list(store, "a"), ["x", "y/"]);
        assert_eq!(list(store, "a/y"), ["z"]);
        assert!(list(store, "nothing").is_empty());
        assert!(list(store, "a/x").is_empty(), "a record is no folder");
        write(store, vec![delete("a/y/z")]).unwrap();
        assert_eq!(list(store, "a"), ["x"], "an empty folder is none");
    });
}

#[test]
fn pages_put_together_are_the_whole_listing() {
    each(|store| {
        let names = ["a", "a/x", "a/y", "a-b", "b/c/d", "b/e", "b0", "c", "c/d"];
        write(store, names.iter().map(|name| put(&format!("f/{name}"), b"")).collect()).unwrap();
        let folder = Prefix::new("f").unwrap();
        let whole = list(store, "f");
        for limit in 1..=whole.len() + 1 {
            let (mut pages, mut after) = (Vec::new(), None);
            loop {
                let page = store.list(&folder, &Page { after, limit: Some(limit) }).unwrap();
                after = page.last().cloned();
                pages.extend(page);
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(pages, whole, "limit {limit}");
        }
        let page = |after: &str, limit| store.list(&folder, &Page { after: Some(after.into()), limit }).unwrap();
        assert_eq!(page("aa", None), ["b/", "b0", "c", "c/"], "a name that is not there");
        assert_eq!(page("a/x", None), ["b/", "b0", "c", "c/"], "a name that cannot be there");
        assert!(page("", Some(0)).is_empty());
    });
}

#[test]
fn a_listing_skips_what_lies_below_its_folders() {
    each(|store| {
        for part in 0..20 {
            let writes = (0..500).map(|number| put(&format!("top/{part:02}/{number:03}"), b"x")).collect();
            write(store, writes).unwrap();
        }
        assert_eq!(list(store, "top").len(), 20);
        assert_eq!(list(store, "top/07").len(), 500);
        assert_eq!(list(store, ""), ["top/"]);
    });
}

#[test]
fn values_of_all_sizes_come_back() {
    each_lasting(|open| {
        let sizes = [100, 1900, 1983, 1984, 1985, 2015, 2016, 4096, 200_000, 4 << 20];
        let long = "n".repeat(60);
        let name = |number: usize| format!("{long}/{long}/{long}/{long}/{long}/{number}");
        let store = open();
        for (number, size) in sizes.into_iter().enumerate() {
            write(&store, vec![put(&name(number), &noise(size as u64, size))]).unwrap();
        }
        // Bigger ones take the place of smaller ones and the other way round.
        for (number, size) in sizes.into_iter().rev().enumerate() {
            write(&store, vec![put(&name(number), &noise(size as u64 + 1, size))]).unwrap();
        }
        let check = |store: &Storage| {
            for (number, size) in sizes.into_iter().rev().enumerate() {
                assert!(get(store, &name(number)).unwrap() == noise(size as u64 + 1, size), "{size}");
            }
        };
        check(&store);
        store.close();
        check(&open());
    });
}

#[test]
fn readers_see_whole_values_while_they_change() {
    each(|store| {
        let value =
            |round: u64| [round.to_le_bytes().as_slice(), &noise(round, 1000 + (round as usize % 7) * 3000)].concat();
        write(store, vec![put("big", &value(0))]).unwrap();
        thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for round in 1..150 {
                    write(store, vec![put("big", &value(round))]).unwrap();
                }
            });
            scope.spawn(move || {
                let mut newest = 0;
                while !writer.is_finished() {
                    let seen = get(store, "big").unwrap();
                    let round = u64::from_le_bytes(seen[..8].try_into().unwrap());
                    assert!(seen == value(round), "a whole value");
                    assert!(round >= newest, "never an older one than before");
                    newest = round;
                }
            });
        });
    });
}

#[test]
fn everything_is_there_after_closing_and_opening() {
    each_lasting(|open| {
        for life in 0..4_u64 {
            let store = open();
            for number in 0..life * 100 {
                assert_eq!(get(&store, &format!("r/{number}")).unwrap(), noise(number, 700));
            }
            assert_eq!(store.stats().records, life * 100);
            for number in life * 100..(life + 1) * 100 {
                write(&store, vec![put(&format!("r/{number}"), &noise(number, 700))]).unwrap();
            }
            store.close();
        }
    });
}

#[test]
fn one_kind_opens_what_another_wrote() {
    let folder = tempfile::tempdir().unwrap();
    for (life, kind) in [Kind::Sled, Kind::Redb, Kind::Sled, Kind::Redb].into_iter().enumerate() {
        let store = support::open(kind, folder.path());
        for number in 0..life {
            assert_eq!(get(&store, &format!("r/{number}")).unwrap(), noise(number as u64, 3000));
        }
        write(&store, vec![put(&format!("r/{life}"), &noise(life as u64, 3000))]).unwrap();
    }
}

#[test]
fn the_journal_stays_small_by_snapshots_which_alone_suffice() {
    for kind in [Kind::Redb, Kind::Sled] {
        let folder = tempfile::tempdir().unwrap();
        let store = support::open(kind, folder.path());
        let mut rounds = 0_u64;
        // Snapshots are taken beside the writes: until the first journal file is gone.
        while folder.path().join("journal/00000000000000000001-0000.log").exists() {
            for number in 0..50 {
                let name = format!("r/{number}");
                let writes = vec![put(&name, &noise(rounds * 50 + number, 3000)), delete(&format!("gone/{number}"))];
                write(&store, writes).unwrap();
            }
            rounds += 1;
            assert!(rounds < 1000, "no snapshot was taken");
        }
        store.close();
        drop(store);
        for index in ["index.redb", "index.sled"] {
            let path = folder.path().join(index);
            let _ = std::fs::remove_file(&path);
            let _ = std::fs::remove_dir_all(&path);
        }
        let store = support::open(kind, folder.path());
        for number in 0..50 {
            assert_eq!(get(&store, &format!("r/{number}")).unwrap(), noise((rounds - 1) * 50 + number, 3000));
        }
        assert_eq!(store.stats().records, 50);
    }
}

#[test]
fn a_closed_store_refuses_and_nobody_hangs() {
    each(|store| {
        write(store, vec![put("a", b"1")]).unwrap();
        thread::scope(|scope| {
            for number in 0..8 {
                scope.spawn(move || {
                    let mut last = None;
                    for round in 0..10_000_u64 {
                        match write(store, vec![put(&format!("w/{number}"), &round.to_le_bytes())]) {
                            Ok(()) => last = Some(round),
                            Err(_) => return last,
                        }
                    }
                    last
                });
            }
            scope.spawn(|| store.close());
        });
        assert!(write(store, vec![put("a", b"2")]).is_err());
        assert!(store.get(&key("a")).is_err());
        assert!(store.list(&Prefix::root(), &Page::default()).is_err());
        store.close();
    });
}

#[test]
fn a_batch_beyond_the_limit_is_refused_by_name() {
    each(|store| {
        let refused = write(store, vec![put("a", &vec![1; 65 << 20])]);
        assert!(matches!(refused, Err(Error::TooLarge { .. })));
        assert!(get(store, "a").is_none());
        write(store, vec![put("a", b"1")]).unwrap();
    });
}

#[test]
fn writers_share_syncs() {
    let folder = tempfile::tempdir().unwrap();
    let store = storage::open(Kind::Redb, Some(folder.path()), Options::default()).unwrap();
    let before = store.stats();
    thread::scope(|scope| {
        for number in 0..16 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..100 {
                    write(store, vec![put(&format!("{number}/{round}"), b"value")]).unwrap();
                }
            });
        }
    });
    let after = store.stats();
    let per_write = (after.syncs - before.syncs) as f64 / (after.transactions - before.transactions) as f64;
    assert!(per_write <= 0.15, "{per_write} syncs a write");
}

#[test]
fn the_journal_can_be_followed() {
    each(|store| {
        write(store, vec![put("a", b"1")]).unwrap();
        thread::scope(|scope| {
            let follower = scope.spawn(|| {
                let (mut next, mut seen) = (1, Vec::new());
                while seen.len() < 3 {
                    for record in store.log().watch(next, std::time::Duration::from_secs(10)).unwrap() {
                        let record = record.unwrap();
                        assert_eq!(record.sequence, next);
                        next += 1;
                        seen.extend(record.entries.into_iter().map(|entry| (entry.mount, entry.class, entry.value)));
                    }
                }
                seen
            });
            write(store, vec![put("a", b"2")]).unwrap();
            write(store, vec![delete("a")]).unwrap();
            let expected = [put("a", b"1"), put("a", b"2"), delete("a")];
            let expected: Vec<_> = expected
                .into_iter()
                .map(|write| (write.mount, write.class, write.value.map(|value| value.0)))
                .collect();
            assert_eq!(follower.join().unwrap(), expected);
        });
    });
}
