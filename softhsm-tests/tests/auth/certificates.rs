//! Client certificates over TLS, with the product's own client.

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use softhsm_tests::{Seal, Server, Setup, eventually, free_address};

/// Writes certificate and key into the server's folder, and gives the flags that name them.
fn keep(server: &Server, name: &str, certificate: &str, key: &KeyPair) {
    std::fs::write(server.folder.path().join(format!("{name}.crt")), certificate).unwrap();
    std::fs::write(server.folder.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

#[test]
fn a_client_certificate_logs_in() {
    let mut server = Server::prepare(Setup::new(Seal::Shamir, "memory"));
    let folder = server.folder.path().to_owned();
    let file = |name: &str| folder.join(name).display().to_string();
    let tls = free_address();
    let listener = format!(
        "tls_disable = true }}\nlistener \"tcp\" {{ address = \"{tls}\" tls_cert_file = \"{}\" tls_key_file = \"{}\" }}",
        file("tls.crt"),
        file("tls.key")
    );
    server.edit_config("tls_disable = true }", &listener);
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec![tls.ip().to_string()]).unwrap().self_signed(&key).unwrap();
    keep(&server, "tls", &own.pem(), &key);

    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "web");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    keep(&server, "web", &params.signed_by(&key, &issuer).unwrap().pem(), &key);

    server.run();
    server.initialise();
    let root = server.client();
    crate::enable(&server, "cert", "cert");
    root.post("auth/cert/certs/web", json!({"certificate": ca.pem(), "token_policies": "p"})).is(204);
    let run = |flags: &[&str], words: &[&str]| -> (i32, String) {
        let trust = format!("-ca-cert={}", file("tls.crt"));
        let arguments = [&[words[0]], &[trust.as_str()], flags, &words[1..]].concat();
        let output = server.command(&arguments).env("VAULT_ADDR", format!("https://{tls}")).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (certificate, key) = (format!("-client-cert={}", file("web.crt")), format!("-client-key={}", file("web.key")));
    let client = [certificate.as_str(), key.as_str()];
    let login = ["login", "-method=cert", "-format=json", "name=web"];
    let (code, said) = eventually("it answers over TLS", || Some(run(&client, &login)).filter(|(code, _)| *code == 0));
    let answer: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{code} {said}"));
    assert_eq!(
        (&answer["auth"]["policies"], &answer["auth"]["metadata"]["common_name"]),
        (&json!(["default", "p"]), &json!("web"))
    );
    // The token was kept, and is renewed over a connection with the same certificate alone.
    let renewed = |flags: &[&str]| {
        let trust = format!("-ca-cert={}", file("tls.crt"));
        let arguments = [&["token", "renew", trust.as_str()], flags].concat();
        server.command(&arguments).env("VAULT_ADDR", format!("https://{tls}")).status().unwrap().code()
    };
    assert_eq!((renewed(&client), renewed(&[])), (Some(0), Some(2)));
    let (code, said) = run(&[], &login);
    assert!(code == 2 && said.contains("no client certificate found"), "{said}");
}
