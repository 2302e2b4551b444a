//! The mount table through the registry's own door.
// Helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod common;

use common::{hours, house, refusal};
use framework::Secret;
use registry::{MountClass, MountConfig, MountSpec, Tune};

fn kv(path: &str) -> MountSpec {
    MountSpec { path: path.to_owned(), kind: "kv-v2".to_owned(), ..MountSpec::default() }
}

fn located(house: &common::House, path: &str) -> Option<(String, String)> {
    house.registry.locate(path).unwrap().map(|(mount, rest)| (mount.entry.path.clone(), rest.to_owned()))
}

#[test]
fn a_new_store_has_what_a_server_needs() {
    let house = house();
    let paths = |class| -> Vec<String> {
        house.registry.mounts(class).unwrap().iter().map(|mount| mount.entry.path.clone()).collect()
    };
    assert_eq!(paths(MountClass::Secret), ["cubbyhole/", "sys/"]);
    assert_eq!(paths(MountClass::Auth), ["auth/token/"]);
    assert_eq!(located(&house, "sys/mounts/x"), Some(("sys/".into(), "mounts/x".into())));
    assert_eq!(located(&house, "auth/token/create"), Some(("auth/token/".into(), "create".into())));
    let (token, _) = house.registry.locate("auth/token/create").unwrap().unwrap();
    assert_eq!(token.folder.as_str(), "");
    assert!(token.entry.accessor.starts_with("auth_token_"));
    assert_eq!(token.to_json("v1")["config"]["token_type"], "default-service");
    assert_eq!(token.to_json("v1")["options"], framework::Json::Null);
}

#[test]
fn mounts_come_move_and_go_with_the_commit() {
    let house = house();
    house.write(|view| house.registry.enable_mount(view, MountClass::Secret, kv("/team/a/"))).unwrap();
    assert_eq!(located(&house, "team/a/data/x"), Some(("team/a/".into(), "data/x".into())));
    assert_eq!(located(&house, "team/a"), Some(("team/a/".into(), String::new())));
    assert_eq!(located(&house, "team/abc"), None);
    let before = house.registry.mount("team/a").unwrap().unwrap();
    assert_eq!(before.info.options["version"], "2");

    let moved = house.write(|view| house.registry.move_mount(view, "team/a", "b")).unwrap();
    assert_eq!(house.registry.migration(&moved.id).unwrap().unwrap().target, "b/");
    let after = house.registry.mount("b/").unwrap().unwrap();
    assert_eq!((located(&house, "team/a/x"), &after.folder), (None, &before.folder));

    let changed = house.changed_by(|view| house.registry.disable_mount(view, MountClass::Secret, "b"));
    assert!(changed.mounts && changed.removals);
    assert_eq!(located(&house, "b/data/x"), None);
    house.write(|view| house.registry.disable_mount(view, MountClass::Secret, "nonesuch")).unwrap();
}

#[test]
fn refusals_are_in_vaults_words() {
    let house = house();
    let enable = |class, path: &str, kind: &str| {
        let spec = MountSpec { path: path.into(), kind: kind.into(), ..MountSpec::default() };
        refusal(house.write(|view| house.registry.enable_mount(view, class, spec)))
    };
    use MountClass::{Auth, Secret};
    assert_eq!(enable(Secret, "deep/er", "kv"), "allowed");
    assert_eq!(enable(Secret, "deep/er", "kv"), "path is already in use at deep/er/");
    assert_eq!(enable(Secret, "deep/er/x", "kv"), "path is already in use at deep/er/");
    assert_eq!(enable(Secret, "deep", "kv"), "path is already in use at deep/er/");
    assert_eq!(enable(Secret, "deeper", "kv"), "allowed");
    assert_eq!(enable(Secret, "sys/foo", "kv"), "cannot mount \"sys/foo/\"");
    assert_eq!(enable(Secret, "auth", "kv"), "cannot mount \"auth/\"");
    assert_eq!(enable(Secret, "cubbyhole/x", "kv"), "cannot mount \"cubbyhole/x/\"");
    assert_eq!(enable(Secret, "s2", "system"), "mount type of \"system\" is not mountable");
    assert_eq!(enable(Auth, "t2", "token"), "token credential backend cannot be instantiated");
    assert_eq!(enable(Auth, "token/x", "userpass"), "path is already in use at token/");
    for hostile in ["", "a//b", "a/../b", "a\0b"] {
        assert_ne!(enable(Secret, hostile, "kv"), "allowed", "{hostile:?}");
    }
    let disable = |class, path| refusal(house.write(|view| house.registry.disable_mount(view, class, path)));
    assert_eq!(disable(Secret, "sys"), "cannot unmount \"sys/\"");
    assert_eq!(disable(Secret, "cubbyhole/"), "cannot unmount \"cubbyhole/\"");
    assert_eq!(disable(Auth, "token"), "token credential backend cannot be disabled");
    let remount = |from, to| refusal(house.write(|view| house.registry.move_mount(view, from, to)));
    assert_eq!(remount("sys", "x"), "cannot remount \"sys/\"");
    assert_eq!(remount("auth/token", "auth/foo"), "cannot remount \"auth/token/\"");
    assert_eq!(remount("deep/er", "cubbyhole/x"), "cannot remount to destination cubbyhole/x/");
    assert_eq!(remount("deep/er", "auth/foo"), "cannot remount to destination auth/foo/");
    assert_eq!(remount("deep/er", "deeper"), "path already in use at \"deeper/\"");
    assert_eq!(remount("nonesuch", "m2"), "no matching mount at \"nonesuch/\"");
    assert_eq!(remount("auth/userpass", "m9"), "cannot remount auth mount to non-auth mount \"m9/\"");
}

#[test]
fn lifetimes_and_settings_are_tuned() {
    let house = house();
    let config = MountConfig { default_lease_ttl: 3 * 3600, max_lease_ttl: 2 * 3600, ..MountConfig::default() };
    let wrong = MountSpec { config, ..kv("m") };
    let enable = |spec| refusal(house.write(|view| house.registry.enable_mount(view, MountClass::Secret, spec)));
    assert_eq!(enable(wrong), "given default lease TTL greater than given max lease TTL");
    assert_eq!(enable(kv("m")), "allowed");
    let tune = |tune| refusal(house.write(|view| house.registry.tune_mount(view, "m", tune)));
    let ttl = |default, max| Tune {
        default_lease_ttl: Some(hours(default)),
        max_lease_ttl: Some(hours(max)),
        ..Tune::default()
    };
    assert_eq!(tune(ttl(2, 1)), "backend max lease TTL of 3600 would be less than backend default lease TTL of 7200");
    assert_eq!(tune(ttl(1, 2)), "allowed");
    assert_eq!(
        tune(Tune { listing_visibility: Some("weird".into()), ..Tune::default() }),
        "invalid listing_visibility weird"
    );
    let options = [("version".to_owned(), "1".to_owned())].into();
    assert_eq!(tune(Tune { options: Some(options), ..Tune::default() }), "cannot downgrade mount from version 2");
    let mount = house.registry.mount("m/").unwrap().unwrap();
    assert_eq!((mount.info.default_ttl, mount.info.max_ttl), (hours(1), hours(2)));
    let token = house.write(|view| {
        house.registry.tune_mount(view, "auth/token", Tune { token_type: Some("batch".into()), ..Tune::default() })
    });
    assert_eq!(refusal(token), "'token_type' cannot be set for 'token' or 'ns_token' auth mounts");
    assert_eq!(house.registry.mount("sys").unwrap().unwrap().tune_to_json()["max_lease_ttl"], 768 * 3600);
}

#[test]
fn two_changes_of_the_table_at_once_conflict() {
    let house = house();
    let inner = |view: &framework::View<'_>| house.registry.enable_mount(view, MountClass::Secret, kv("same"));
    let outer = house.write(|view| {
        let entry = inner(view)?;
        house.write(inner).unwrap();
        Ok(entry)
    });
    assert!(matches!(outer, Err(framework::Error::Conflict)));
}

#[test]
fn removal_of_a_mounts_records_survives_a_crash() {
    let house = house();
    house.write(|view| house.registry.enable_mount(view, MountClass::Secret, kv("big"))).unwrap();
    let folder = house.registry.mount("big").unwrap().unwrap().folder.as_str().to_owned();
    house
        .write(|view| (0..1500).try_for_each(|n| view.put(&format!("{folder}d{}/{n}", n % 7), Secret::from("x"))))
        .unwrap();
    house.write(|view| house.registry.disable_mount(view, MountClass::Secret, "big")).unwrap();
    assert_eq!(house.store.count(&folder), 1500);
    *house.store.fails_after.lock().unwrap() = Some(2);
    assert!(house.registry.finish_removals(&house.store).is_err());
    let left = house.store.count(&folder);
    assert!(left > 0 && left < 1500, "{left}");
    *house.store.fails_after.lock().unwrap() = None;
    // As after a restart.
    house.registry.forget();
    assert!(matches!(house.registry.locate("sys/x"), Err(framework::Error::Sealed)));
    house.registry.load(&house.store, &common::hmac_key()).unwrap();
    assert_eq!(house.registry.finish_removals(&house.store).unwrap(), 1);
    assert_eq!((house.store.count(&folder), house.store.count("core/removals/")), (0, 0));
    assert!(house.store.count("core/mounts/") > 0);
}
