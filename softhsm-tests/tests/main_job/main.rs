//! The main job over every seal and storage: initialise, unseal, keep secrets, judge and record who touches them, restart.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod audit;
mod ceremonies;
mod cors;
mod documents;
mod kv1;
mod kv2;
mod life;
mod mounts;
mod policies;
mod seal;
mod tokens;
mod wrapping;

use softhsm_tests::{Seal, Server, Setup};

/// One server from its first start to the end of its second.
fn main_job(seal: Seal, storage: &'static str) {
    let mut server = Server::prepare(Setup::new(seal, storage));
    server.run();
    life::before_init(&server);
    server.initialise();
    life::unsealed(&server);

    server.mount("secret", seal.is_hsm());
    kv2::versions(&server);
    kv2::check_and_set(&server);
    kv2::patch_and_subkeys(&server);
    kv2::delete_undelete_destroy(&server);
    kv2::metadata(&server);
    kv2::limits_of_versions(&server);
    kv2::listing(&server);
    kv1::everything(&server);
    mounts::life_of_a_mount(&server);
    policies::rules(&server);
    policies::crud(&server);
    policies::paging(&server);
    tokens::life_of_a_token(&server);
    tokens::a_tree_falls_together(&server);
    tokens::uses_are_counted_under_a_race(&server);
    tokens::a_token_expires(&server);
    wrapping::an_answer_is_put_away_and_got_out_once(&server);
    wrapping::every_kind_of_answer(&server);
    wrapping::what_a_wrapping_token_may_do(&server);
    wrapping::by_hand(&server);
    wrapping::one_of_thirty_gets_it(&server);
    wrapping::in_the_audit_log(&server);
    wrapping::cubbyholes(&server);
    audit::lines(&server);
    audit::devices(&server);
    audit::request_headers(&server);
    cors::origins(&server);
    documents::openapi(&server);
    documents::help_and_the_ui(&server);
    ceremonies::a_root_token(&server);
    ceremonies::new_shares_and_keys(&mut server);

    if storage != "memory" {
        life::restart(&mut server);
    }
    seal::sealing(&server);
    assert_eq!(server.stop(), 0, "{}", server.server_log());
}

#[test]
fn by_shares_in_memory() {
    main_job(Seal::Shamir, "memory");
}

#[test]
fn by_shares_on_redb() {
    main_job(Seal::Shamir, "redb");
}

#[test]
fn by_an_hsm_on_sled() {
    main_job(Seal::SoftHsm, "sled");
}

#[test]
fn by_an_hsm_on_redb() {
    main_job(Seal::SoftHsm, "redb");
}

/// What passes on SoftHSM must pass on CloudHSM, which refuses more.
#[test]
fn by_a_cloudhsm_on_redb() {
    main_job(Seal::CloudHsm, "redb");
}
