//! Certificates of clients, made at test time.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Mount, fuzz_login, refusal};
use framework::{Auth, Error, Json};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType,
    SerialNumber, date_time_ymd,
};
use serde_json::json;

const NO_CHAIN: &str = "invalid certificate or no client certificate supplied";
const CONSTRAINED: &str = "no chain matching all constraints could be found for this login certificate";
/// An OID under example.com's arc, and `UTF8String "red"`.
const EXTENSION: (&[u64], [u8; 5]) = (&[1, 3, 6, 1, 4, 1, 99999, 1], [0x0c, 3, b'r', b'e', b'd']);

struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

fn params(name: &str, serial: u64) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(serial));
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    params
}

fn authority_params(name: &str, serial: u64) -> CertificateParams {
    let mut params = params(name, serial);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn root(name: &str, serial: u64) -> Authority {
    let (params, key) = (authority_params(name, serial), KeyPair::generate().unwrap());
    Authority { certificate: params.self_signed(&key).unwrap(), issuer: Issuer::new(params, key) }
}

impl Authority {
    fn below(&self, name: &str, serial: u64) -> Self {
        let (params, key) = (authority_params(name, serial), KeyPair::generate().unwrap());
        Self { certificate: params.signed_by(&key, &self.issuer).unwrap(), issuer: Issuer::new(params, key) }
    }

    fn signs(&self, params: &CertificateParams) -> Certificate {
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap()
    }

    fn revokes(&self, serials: impl IntoIterator<Item = u64>) -> Json {
        let day = date_time_ymd(2026, 1, 1);
        let entry = |serial| RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: day,
            reason_code: None,
            invalidity_date: None,
        };
        let crl = CertificateRevocationListParams {
            this_update: day,
            next_update: date_time_ymd(2026, 2, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.into_iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        json!({"crl": crl.signed_by(&self.issuer).unwrap().pem().unwrap()})
    }
}

fn client(name: &str, serial: u64) -> CertificateParams {
    let mut client = params(name, serial);
    client.use_authority_key_identifier_extension = true;
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    client.distinguished_name.push(DnType::OrganizationalUnitName, "ops");
    client.subject_alt_names = vec![
        SanType::DnsName("web.example.com".try_into().unwrap()),
        SanType::Rfc822Name("web@example.com".try_into().unwrap()),
        SanType::URI("spiffe://example.com/web".try_into().unwrap()),
    ];
    client.custom_extensions = vec![CustomExtension::from_oid_content(EXTENSION.0, EXTENSION.1.to_vec())];
    client
}

fn mount() -> Mount {
    Mount::new(auth::cert::engine())
}

/// Connects with these certificates.
fn connect(mount: &mut Mount, chain: &[&Certificate]) {
    mount.origin.client_certificates = chain.iter().map(|certificate| certificate.der().to_vec()).collect();
}

fn login(mount: &Mount) -> Result<Auth, Error> {
    mount.login("login", json!({}))
}

fn trust(mount: &Mount, name: &str, certificate: &Certificate, rest: Json) {
    let mut body = rest;
    body["certificate"] = certificate.pem().into();
    mount.done(&format!("certs/{name}"), body);
}

#[test]
fn an_authority_vouches_for_its_clients() {
    let (mut mount, ca) = (mount(), root("ca", 1));
    assert_eq!(refusal(login(&mount)), "no client certificate found");
    connect(&mut mount, &[&ca.signs(&client("web", 256))]);
    assert_eq!(refusal(login(&mount)), NO_CHAIN);
    trust(&mount, "other", &root("ca", 1).certificate, json!({}));
    assert_eq!(refusal(login(&mount)), NO_CHAIN, "the same name, another key");
    trust(
        &mount,
        "Web",
        &ca.certificate,
        json!({"token_policies": "p", "allowed_metadata_extensions": "1.3.6.1.4.1.99999.1,1.2.3"}),
    );
    let auth = login(&mount).unwrap();
    assert_eq!((auth.policies, auth.display_name.as_str()), (vec!["p".to_owned()], "web"));
    let metadata = |name: &str| auth.metadata[name].as_str();
    assert_eq!((metadata("cert_name"), metadata("common_name"), metadata("serial_number")), ("web", "web", "256"));
    assert_eq!((metadata("1-3-6-1-4-1-99999-1"), auth.metadata.get("1-2-3")), ("red", None));
    assert!(metadata("authority_key_id").contains(':'), "{}", metadata("authority_key_id"));
    assert_eq!(refusal(mount.login("login", json!({"name": "other"}))), NO_CHAIN);
    assert!(mount.login("login", json!({"name": "WEB"})).is_ok());
    assert_eq!(mount.list("certs").unwrap(), json!(["other", "web"]));
    mount.delete("certs/web").unwrap();
    assert_eq!(refusal(login(&mount)), NO_CHAIN);
    fuzz_login(&mount, "login", &json!({"name": "web"}));
}

#[test]
fn intermediates_come_from_the_client_or_are_trusted_themselves() {
    let (mut mount, ca) = (mount(), root("ca", 1));
    let middle = ca.below("middle", 2);
    let leaf = middle.signs(&client("web", 3));
    trust(&mount, "ca", &ca.certificate, json!({}));
    connect(&mut mount, &[&leaf]);
    assert_eq!(refusal(login(&mount)), NO_CHAIN);
    connect(&mut mount, &[&leaf, &middle.certificate]);
    assert!(login(&mount).is_ok());
    mount.delete("certs/ca").unwrap();
    trust(&mount, "middle", &middle.certificate, json!({}));
    connect(&mut mount, &[&leaf]);
    assert!(login(&mount).is_ok());
}

#[test]
fn a_leaf_may_be_trusted_itself_and_nobody_else_with_it() {
    let (mut mount, ca) = (mount(), root("ca", 1));
    let (leaf, other) = (ca.signs(&client("web", 2)), ca.signs(&client("web", 2)));
    trust(&mount, "web", &leaf, json!({}));
    connect(&mut mount, &[&other]);
    assert_eq!(refusal(login(&mount)), NO_CHAIN);
    connect(&mut mount, &[&leaf]);
    assert!(login(&mount).is_ok());
    trust(&mount, "web", &leaf, json!({"allowed_common_names": "db"}));
    assert_eq!(refusal(login(&mount)), CONSTRAINED);
}

#[test]
fn certificates_that_are_not_valid_now_are_refused() {
    let (mut mount, ca) = (mount(), root("ca", 1));
    let mut short = client("web", 2);
    short.not_after = date_time_ymd(2025, 1, 1);
    let expired = ca.signs(&short);
    (short.not_before, short.not_after) = (date_time_ymd(2030, 1, 1), date_time_ymd(2031, 1, 1));
    let early = ca.signs(&short);
    trust(&mount, "ca", &ca.certificate, json!({}));
    for (name, leaf) in [("a", expired), ("b", early)] {
        trust(&mount, name, &leaf, json!({}));
        connect(&mut mount, &[&leaf]);
        assert!(refusal(login(&mount)).contains("expired or is not yet valid"));
    }
    let mut old = authority_params("old", 1);
    old.not_after = date_time_ymd(2025, 1, 1);
    let key = KeyPair::generate().unwrap();
    let old = Authority { certificate: old.self_signed(&key).unwrap(), issuer: Issuer::new(old, key) };
    trust(&mount, "old", &old.certificate, json!({}));
    connect(&mut mount, &[&old.signs(&client("web", 3))]);
    assert_eq!(refusal(login(&mount)), NO_CHAIN, "the authority has expired");
    mount.origin.client_certificates = vec![b"junk".to_vec()];
    assert!(refusal(login(&mount)).contains("malformed"));
}

#[test]
fn only_certificates_for_clients_are_any_good() {
    let (mut mount, ca) = (mount(), root("ca", 1));
    trust(&mount, "ca", &ca.certificate, json!({}));
    let mut server = client("web", 2);
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let server = ca.signs(&server);
    connect(&mut mount, &[&server]);
    assert_eq!(refusal(login(&mount)), NO_CHAIN);
    let refused = mount.write("certs/web", json!({"certificate": server.pem()}));
    assert!(refusal(refused).contains("TLS client authentication"));
    // A client cannot make further clients.
    let key = KeyPair::generate().unwrap();
    let (leaf, leaf_params) = (client("web", 3).signed_by(&key, &ca.issuer).unwrap(), client("web", 3));
    let forged = client("root", 4).signed_by(&KeyPair::generate().unwrap(), &Issuer::new(leaf_params, key)).unwrap();
    connect(&mut mount, &[&forged, &leaf]);
    assert_eq!(refusal(login(&mount)), NO_CHAIN);
}

#[test]
fn each_constraint_counts() {
    let (mut mount, ca) = (mount(), root("ca", 1));
    connect(&mut mount, &[&ca.signs(&client("web", 2))]);
    for (constraint, fits, fails) in [
        ("allowed_names", "db,w*b", "db"),
        ("allowed_names", "*@example.com", "*@example.org"),
        ("allowed_common_names", "we*", "example.com"),
        ("allowed_dns_sans", "*.example.com", "web@example.com"),
        ("allowed_email_sans", "web@*", "*.example.com"),
        ("allowed_uri_sans", "spiffe://example.com/*", "spiffe://example.org/*"),
        ("allowed_organizational_units", "dev,ops", "dev"),
        ("required_extensions", "1.3.6.1.4.1.99999.1:r*d", "1.3.6.1.4.1.99999.1:blue"),
        ("required_extensions", "hex:1.3.6.1.4.1.99999.1:0c03*", "hex:1.3.6.1.4.1.99999.1:0c04*"),
        ("required_extensions", "1.3.6.1.4.1.99999.1:*", "1.3.6.1.4.1.99999.1:*,1.2.3:*"),
    ] {
        mount.delete("certs/ca").unwrap();
        trust(&mount, "ca", &ca.certificate, json!({constraint: fits}));
        assert!(login(&mount).is_ok(), "{constraint} {fits}");
        trust(&mount, "ca", &ca.certificate, json!({constraint: fails}));
        assert_eq!(refusal(login(&mount)), CONSTRAINED, "{constraint} {fails}");
    }
    mount.delete("certs/ca").unwrap();
    trust(&mount, "ca", &ca.certificate, json!({"token_bound_cidrs": "10.0.0.0/8"}));
    assert!(matches!(login(&mount), Err(Error::Denied)));
    mount.from("10.0.0.1");
    assert!(login(&mount).is_ok());
}

#[test]
fn revoked_certificates_are_refused_wherever_they_stand() {
    let (mut mount, ca) = (mount(), root("ca", 1));
    let middle = ca.below("middle", 2);
    let leaf = middle.signs(&client("web", 3));
    trust(&mount, "ca", &ca.certificate, json!({}));
    connect(&mut mount, &[&leaf, &middle.certificate]);
    // In many parts, so that the right one has to be found.
    mount.done("crls/List", ca.revokes(1000..5000));
    assert!(login(&mount).is_ok());
    for serial in [1, 2, 3] {
        mount.done("crls/list", ca.revokes((1000..5000).chain([serial])));
        assert_eq!(refusal(login(&mount)), CONSTRAINED, "{serial}");
        assert_eq!(mount.read("crls/list")["serials"][serial.to_string()], json!({}));
    }
    trust(&mount, "leaf", &leaf, json!({}));
    assert_eq!(refusal(login(&mount)), CONSTRAINED, "pinned and revoked");
    mount.done("crls/list", ca.revokes([7]));
    assert!(login(&mount).is_ok());
    assert_eq!((mount.list("crls").unwrap(), mount.count("revoked/")), (json!(["list"]), 1));
    mount.delete("crls/list").unwrap();
    assert_eq!(refusal(mount.delete("crls/list")), "no such CRL list");
    for (body, sentence) in [
        (json!({}), "one of 'crl' or 'url' must be provided"),
        (json!({"crl": "x"}), "failed to parse CRL"),
        (json!({"url": "http://example.com/crl"}), "url is not supported"),
    ] {
        assert!(refusal(mount.write("crls/list", body)).contains(sentence));
    }
}

#[test]
fn renewal_wants_the_same_certificate_unless_told_otherwise() {
    let (mut mount, ca) = (mount(), root("ca", 1));
    let (first, second) = (ca.signs(&client("web", 2)), ca.signs(&client("web", 3)));
    trust(&mount, "ca", &ca.certificate, json!({"token_policies": "p"}));
    connect(&mut mount, &[&first]);
    let auth = login(&mount).unwrap();
    assert!(mount.renew(&auth).is_ok());
    connect(&mut mount, &[&second]);
    assert!(refusal(mount.renew(&auth)).contains("not matching client identity"));
    connect(&mut mount, &[]);
    assert!(refusal(mount.renew(&auth)).contains("no client certificate"));
    mount.done("config", json!({"disable_binding": true}));
    assert!(mount.renew(&auth).is_ok());
    trust(&mount, "ca", &ca.certificate, json!({"token_policies": "q"}));
    assert!(refusal(mount.renew(&auth)).contains("policies have changed"));
    mount.delete("certs/ca").unwrap();
    assert!(refusal(mount.renew(&auth)).contains("not trusted any more"));
}

#[test]
fn what_is_not_supported_is_refused() {
    let (mount, ca) = (mount(), root("ca", 1));
    assert_eq!(refusal(mount.write("certs/ca", json!({}))), "failed to parse certificate");
    for (name, value) in [
        ("ocsp_enabled", json!(true)),
        ("ocsp_fail_open", json!(true)),
        ("ocsp_query_all_servers", json!(true)),
        ("ocsp_servers_override", json!("http://x")),
        ("ocsp_ca_certificates", json!("x")),
    ] {
        let refused = mount.write("certs/ca", json!({"certificate": ca.certificate.pem(), name: value}));
        assert!(refusal(refused).contains("makes no OCSP requests"), "{name}");
    }
    for body in [json!({"ocsp_cache_size": 50}), json!({"enable_identity_alias_metadata": true})] {
        assert!(refusal(mount.write("config", body)).contains("not supported"));
    }
    mount.done("config", json!({"ocsp_cache_size": 100}));
    trust(&mount, "ca", &ca.certificate, json!({"lease": 60, "display_name": "d"}));
    let shown = mount.read("certs/ca");
    assert_eq!((&shown["ttl"], &shown["token_ttl"], &shown["allowed_names"]), (&json!(60), &json!(60), &json!(null)));
    let output = mount.write("certs/ca", json!({"token_ttl": "999h", "token_period": "9999h"})).unwrap();
    assert_eq!(output.warnings.len(), 2, "{:?}", output.warnings);
}
