//! Every flag of every command of the client, and what comes from files, standard input and the environment.

use crate::both::Both;

pub fn all(both: &mut Both) {
    formats(both);
    mounts(both);
    tokens(both);
    keys(both);
    requests(both);
    refusals(both);
}

/// What people read, what scripts read, and one field of it.
fn formats(both: &mut Both) {
    for line in [
        "kv put -mount=secret f/one a=1 b=x",
        "kv put secret/f/two @none.json",
        "kv put secret/f/two",
        "kv put",
        "kv put secret/f/two novalue",
        "kv metadata put -mount=secret -custom-metadata=k=v f/one",
        "read secret/data/f/one",
        "read -format=yaml secret/data/f/one",
        "read -format=table secret/data/f/one",
        "read -format=xml secret/data/f/one",
        "read -format=raw secret/data/f/one",
        "read -field=data secret/data/f/one",
        "read -field=data -format=json secret/data/f/one",
        "read -field=data -format=yaml secret/data/f/one",
        "read -field=none secret/data/f/one",
        "read -format=json secret/data/f/one version=1",
        "read",
        "read a b c",
        "BAO_FORMAT=json read secret/data/f/one",
        "BAO_FORMAT=yaml kv get secret/f/one",
        "BAO_FORMAT=odd kv get secret/f/one",
        "BAO_FORMAT=json kv get -format=table secret/f/one",
        "BAO_CLI_NO_COLOR=1 kv get secret/f/one",
        "kv get secret/f/one",
        "kv get -format=yaml secret/f/one",
        "kv get -field=a -format=json secret/f/one",
        "kv get -field=data secret/f/one",
        "kv get -field=metadata secret/f/one",
        "kv get -format=table -mount=secret -version=1 f/one",
        "kv metadata get -mount=secret f/one",
        "kv metadata get -format=yaml secret/f/one",
        "kv list secret/f",
        "kv list -format=yaml secret/f",
        "kv list secret/",
        "kv list",
        "kv scan -format=json secret/",
        "kv scan secret/",
        "list secret/metadata/f",
        "list -format=yaml secret/metadata",
        "list -format=json -detailed sys/policies/acl",
        "list -detailed secret/metadata",
        "list -after=f/ -limit=1 -format=json secret/metadata",
        "list -limit=1 -format=json secret/metadata",
        "list -format=json none",
        "list none",
        "scan -format=json secret/metadata",
        "kv get -format=json secret/f/none",
        "kv patch secret/f/one c=3",
        "kv patch -method=odd secret/f/one c=3",
        "kv patch -method=rw secret/f/one c=3",
        "kv patch -method=patch -cas=9 secret/f/one c=3",
        "kv patch -remove-data=c secret/f/one d=4",
        "kv patch -field=version secret/f/one d=5",
        "kv put -field=version secret/f/one d=5",
        "kv rollback -version=1 secret/f/one",
        "kv rollback secret/f/one",
        "kv rollback -version=99 secret/f/one",
        "kv delete -versions=1 secret/f/one",
        "kv delete secret/f/one",
        "kv get secret/f/one",
        "kv get -format=json secret/f/one",
        "kv undelete -versions=1 secret/f/one",
        "kv undelete secret/f/one",
        "kv destroy -versions=1 secret/f/one",
        "kv destroy secret/f/one",
        "kv metadata put -max-versions=3 -cas-required=true -delete-version-after=1h secret/f/one",
        "kv metadata patch -max-versions=4 -cas-required=false -remove-custom-metadata=k secret/f/one",
        "kv metadata get -format=json secret/f/one",
        "kv metadata delete secret/f/one",
        "kv metadata get secret/f/one",
        "kv enable-versioning secret/",
        "kv",
        "kv odd",
        "status",
        "status -format=yaml",
        "status -field=sealed",
        "status odd",
        "path-help sys/mounts",
        "path-help -format=json secret/data/x",
        "path-help none/x",
    ] {
        both.run(line);
    }
    for (line, input) in [
        ("kv put -format=json secret/f/in -", r#"{"a": "1", "n": 2, "o": {"x": [1]}}"#),
        ("kv get -format=json secret/f/in", ""),
        ("kv put -format=json secret/f/in password=-", "hunter2\n"),
        ("kv get -field=password secret/f/in", ""),
        ("kv put -format=json secret/f/in -", "no json"),
        ("kv patch -format=json secret/f/in more=-", "x"),
        ("write cubbyhole/in a=b c=-", "d"),
        ("read -format=json cubbyhole/in", ""),
        ("write cubbyhole/in -", r#"{"z": 1}"#),
        ("read cubbyhole/in", ""),
        ("delete cubbyhole/in", ""),
        ("write cubbyhole/in", ""),
        ("write -force cubbyhole/in", ""),
        ("policy write", ""),
        ("policy write in -", r#"path "a" { capabilities = ["read"] }"#),
        ("policy read in", ""),
        ("policy read -format=yaml in", ""),
        ("policy write in none.hcl", ""),
        ("policy list", ""),
        ("policy delete in", ""),
        ("policy delete in", ""),
        ("policy fmt none.hcl", ""),
    ] {
        both.run_with(line, input);
    }
}

fn mounts(both: &mut Both) {
    for line in [
        "secrets enable -path=m -description=d -default-lease-ttl=1h -max-lease-ttl=2h -force-no-cache -local -seal-wrap -options=version=1 kv",
        "secrets enable -path=m2 -version=2 -audit-non-hmac-request-keys=a -audit-non-hmac-request-keys=b -audit-non-hmac-response-keys=c -listing-visibility=unauth -passthrough-request-headers=X-A -allowed-response-headers=X-B kv",
        "secrets list -format=json -detailed",
        "secrets list",
        "secrets list -detailed",
        "secrets list -format=yaml",
        "secrets tune -description=e -default-lease-ttl=30m -max-lease-ttl=3h -listing-visibility=hidden -audit-non-hmac-request-keys=z m/",
        "secrets tune -options=x=y m",
        "secrets tune none/",
        "secrets tune",
        "read -format=json sys/mounts/m/tune",
        "secrets move m m3",
        "secrets move none n",
        "secrets disable m3",
        "secrets disable m2",
        "secrets enable",
        "auth enable -path=people -description=d -default-lease-ttl=1h -max-lease-ttl=2h -token-type=service -listing-visibility=unauth userpass",
        "auth enable -path=roles approle",
        "auth enable cert",
        "auth enable none",
        "auth list -format=json",
        "auth list",
        "auth list -detailed",
        "auth list -detailed -format=json",
        "auth tune -description=x -default-lease-ttl=10m -token-type=batch -user-lockout-threshold=3 -user-lockout-duration=1m -user-lockout-counter-reset-duration=2m -user-lockout-disable=false people/",
        "read -format=json sys/auth/people/tune",
        "auth tune none",
        "auth move auth/roles auth/robots",
        "write auth/people/users/ada password=pw policies=default",
        "login -method=userpass -path=people -format=json username=ada password=pw",
        "login -method=userpass -path=people -no-store username=ada password=pw",
        "login -method=userpass -path=people -token-only username=ada password=wrong",
        "login -method=userpass -path=people -no-print username=ada password=pw",
        "token lookup -format=json",
        "kv get secret/f/in",
        "login -format=json {token}",
        "login -no-print {token}",
        "login -field=token_policies {token}",
        "login -method=none x=y",
        "auth help userpass",
        "auth help none",
        "auth disable people",
        "auth disable robots/",
        "auth disable cert",
        "auth disable none",
        "auth",
    ] {
        both.run(line);
    }
    both.run_with("login -", "wrong");
    both.run_with("login -method=token -no-print token=-", "wrong");
}

fn tokens(both: &mut Both) {
    for line in [
        "token create -format=json -id=hvs.mine -display-name=n -ttl=1h -explicit-max-ttl=2h -policy=default -policy=team -metadata=a=b -metadata=c=d -use-limit=5 -renewable=false -no-default-policy",
        "token create -format=json -orphan -period=1h -type=service",
        "token create -format=json -type=batch -ttl=1m",
        "token create -type=odd",
        "token create -period=x",
        "token create -field=token_policies",
        "token create -ttl=1h odd",
        "token create",
        "token lookup",
        "token lookup hvs.mine",
        "token lookup -field=ttl",
        "token lookup -accessor none",
        "token lookup -accessor",
        "token renew -increment=1h -format=json hvs.mine",
        "token renew -format=json",
        "token renew",
        "token renew -accessor none",
        "token capabilities secret/data/x",
        "token capabilities hvs.mine secret/data/x",
        "token capabilities -format=json sys/mounts",
        "token capabilities -format=yaml hvs.mine none",
        "token capabilities",
        "token revoke -mode=orphan hvs.mine",
        "token revoke -mode=path auth/token/create/none",
        "token revoke -mode=odd hvs.mine",
        "token revoke -self hvs.mine",
        "token revoke",
        "token revoke -accessor -mode=orphan none",
        "token",
        "print token",
        "print",
        "lease lookup",
        "lease renew -increment=1h none",
        "lease revoke",
        "lease revoke -force none",
        "lease revoke -prefix none",
        "lease revoke -sync none",
        "audit enable -path=a -local -description=x file file_path={log}",
        "audit list",
        "audit list -detailed",
        "audit disable a",
        "audit enable odd",
        "audit enable",
    ] {
        both.run(line);
    }
    let names = [("child", "/auth/client_token"), ("accessor", "/auth/accessor")];
    both.learn("token create -format=json -policy=default -ttl=1h", &names);
    for line in [
        "token lookup {child}",
        "token lookup -accessor {accessor}",
        "token lookup -accessor -format=yaml {accessor}",
        "token renew -accessor -increment=30m {accessor}",
        "token renew {child}",
        "BAO_TOKEN={child} token lookup -format=json",
        "BAO_TOKEN={child} token renew -format=json",
        "BAO_TOKEN={child} token capabilities secret/data/x",
        "BAO_TOKEN={child} print token",
        "BAO_TOKEN={child} login -format=json {token}",
        "BAO_TOKEN={child} token revoke -self",
        "BAO_TOKEN={child} token lookup",
        "token revoke -accessor {accessor}",
    ] {
        both.run(line);
    }
}

/// The operator's ceremonies, once more for what they print.
fn keys(both: &mut Both) {
    for line in [
        "operator init -status",
        "operator init -format=json -status",
        "operator init -key-shares=0",
        "operator key-status",
        "operator key-status -format=yaml",
        "operator rotate",
        "operator generate-root -status",
        "operator generate-root",
        "operator generate-root -decode=AAAA",
        "operator generate-root -decode=AAAA -otp=AAA",
        "operator generate-root -decode=AAAA -otp=AAAAA",
        "operator generate-root -generate-otp",
        "operator generate-root -format=json -generate-otp",
        "operator generate-root -cancel",
        "operator generate-root -format=json -cancel",
        "operator rekey -status",
        "operator rekey",
        "operator rekey -init -target=odd",
        "operator rekey -format=json -init -key-shares=3 -key-threshold=2",
        "operator rekey -format=json -status",
        "operator rekey -cancel",
        "operator rekey -backup-retrieve",
        "operator rekey -backup-delete",
        "operator rekey -init -key-shares=1 -key-threshold=1 -pgp-keys=none.asc",
        "operator rotate-keys -status",
        "operator rotate-keys -status -format=yaml",
        "operator rotate-keys -cancel",
        "operator rotate-keys -verify -cancel",
        "operator rotate-keys -init -target=recovery",
        "operator unseal -reset",
        "operator unseal {new0}",
        "operator",
        "operator odd",
    ] {
        both.run(line);
    }
    both.learn("operator generate-root -format=json -init", &[("nonce", "/nonce"), ("otp", "/otp")]);
    both.run_with("operator generate-root -nonce={nonce} -", "{new0}");
    both.run("operator generate-root -nonce={nonce} {new0}");
    both.run("operator generate-root {new1}");
    both.learn("operator generate-root -format=json -nonce={nonce} {new1}", &[("encoded", "/encoded_token")]);
    both.run("operator generate-root -decode={encoded} -otp={otp}");
    both.run_with("operator generate-root -decode=- -otp=x", "eA");
    both.learn("operator rekey -format=json -init -key-shares=1 -key-threshold=1", &[("nonce", "/nonce")]);
    both.run("operator rekey -nonce={nonce} {new0}");
    both.run("operator rekey -nonce={nonce} {new1}");
    both.run("operator rekey -status");
}

/// How the request is made, or shown.
fn requests(both: &mut Both) {
    for line in [
        "read -address=http://127.0.0.1:1 a",
        "status -address=http://127.0.0.1:1",
        "read -address=odd:// a",
        "BAO_ADDR=http://127.0.0.1:1 read a",
        "BAO_ADDR=http://127.0.0.1:1 BAO_AGENT_ADDR=http://127.0.0.1:2 read a",
        "read -header=X-Mine=1 -format=json secret/config",
        "read -header=X-Vault-Token=1 secret/config",
        "read -header=odd secret/config",
        "read -namespace=none secret/config",
        "read -ns=none/ secret/config",
        "BAO_NAMESPACE=none read secret/config",
        "read -wrap-ttl=5m secret/config",
        "read -wrap-ttl=5m -field=wrapping_token secret/config",
        "read -wrap-ttl=odd secret/config",
        "kv get -wrap-ttl=5m secret/f/in",
        "write -wrap-ttl=5m -format=yaml sys/wrapping/wrap a=b",
        "read -ca-cert=none.pem -address=https://127.0.0.1:1 secret/config",
        "read -client-cert=none.pem secret/config",
        "read -tls-skip-verify -tls-server-name=x secret/config",
        "read -disable-redirects secret/config",
        "read -non-interactive secret/config",
        "login -non-interactive",
        "read -bogus secret/config",
        "read --format=json secret/config",
        "BAO_CLIENT_TIMEOUT=odd read secret/config",
        "BAO_SKIP_VERIFY=odd read secret/config",
        "unwrap",
        "unwrap -field=x none",
        "read -output-policy secret/data/a",
        "list -output-policy secret/metadata",
        "write -output-policy secret/data/a x=y",
        "patch -output-policy secret/data/a x=y",
        "delete -output-policy secret/data/a",
        "kv put -output-policy secret/a x=y",
        "kv put -output-policy -mount=secret a x=y",
        "kv get -output-policy secret/a",
        "kv list -output-policy secret/a",
        "policy list -output-policy",
        "policy read -output-policy default",
        "secrets list -output-policy",
        "secrets enable -output-policy kv",
        "secrets disable -output-policy x",
        "secrets tune -output-policy x",
        "audit list -output-policy",
        "audit enable -output-policy file file_path=x",
        "auth enable -output-policy userpass",
        "auth list -output-policy",
        "token create -output-policy",
        "token create -orphan -output-policy",
        "token lookup -output-policy",
        "token renew -output-policy",
        "lease revoke -force -prefix -output-policy x",
        "lease revoke -prefix -output-policy x/y",
        "operator seal -output-policy",
        "operator rotate -output-policy",
        "operator step-down -output-policy",
        "status -output-policy",
        "read -output-policy sys/auth",
        "read -output-policy sys/raw/x",
        "list -output-policy sys/leases/lookup/x",
        "list -output-policy auth/token/accessors",
        "read -output-policy sys/config/auditing/request-headers",
        "read -output-curl-string secret/data/a",
        "read -output-curl-string -namespace=n secret/data/a x=y",
        "write -output-curl-string secret/data/a x=it's",
        "list -output-curl-string secret/metadata",
        "patch -output-curl-string secret/data/a x=y",
        "delete -output-curl-string secret/data/a",
        "kv put -output-curl-string -mount=secret a x=y",
        "kv get -output-curl-string -wrap-ttl=60 secret/a",
        "token create -output-curl-string",
        "status -output-curl-string",
        "login -output-curl-string x",
        "policy list -output-curl-string",
        "read -output-curl-string -output-policy secret/data/a",
    ] {
        both.run(line);
    }
}

/// What neither has.
fn refusals(both: &mut Both) {
    for line in ["odd", "-h", "secrets", "policy", "lease", "audit", "namespace"] {
        both.run(line);
    }
}
