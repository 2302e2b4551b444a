//! The command lines: a server's life, from the first look at it to new keys.

use crate::both::Both;

/// Every command that an operator or a user of the core has, by `bao`'s own words. `{log}` is a file that the server may write to.
pub fn all(both: &mut Both) {
    start(both);
    secrets(both);
    tokens(both);
    wrapping(both);
    policies_and_tools(both);
    settings(both);
    tokens_and_leases(both);
    audit_and_seal(both);
    ceremonies(both);
}

/// From nothing to a server with a KV engine at `secret/`, and its root token kept by the client.
pub fn start(both: &mut Both) {
    both.run("status -format=json");
    both.run("operator unseal -format=json 00");
    let shares = [("share0", "/unseal_keys_hex/0"), ("share1", "/unseal_keys_b64/1"), ("token", "/root_token")];
    both.learn("operator init -format=json -key-shares=3 -key-threshold=2", &shares);
    both.run("operator init -format=json");
    both.run("status -format=json");
    both.run("kv get -mount=secret x");
    both.run("operator unseal -format=json {share0}");
    both.run("operator unseal -format=json {share1}");
    both.run("status -format=json");
    both.run("login -format=json wrong");
    both.run("kv get -mount=secret x");
    both.run("login -format=json {token}");
    both.run("token lookup -format=json");
    both.run("secrets enable -path=secret -version=2 -description=d kv");
}

fn secrets(both: &mut Both) {
    for line in [
        "secrets enable -path=secret kv",
        "secrets enable no-such-engine",
        "secrets enable -path=v1 -version=1 kv",
        "secrets list -format=json",
        "secrets list -format=json -detailed",
        "secrets tune -max-lease-ttl=2h secret/",
        "kv put -format=json -mount=secret a/b x=1 y=two",
        "kv put -format=json -mount=secret -cas=0 a/b x=1",
        "kv put -format=json -mount=secret -cas=1 a/b x=2",
        "kv put -format=json secret/old-form x=2",
        "kv get -format=json -mount=secret a/b",
        "kv get -format=json -mount=secret -version=1 a/b",
        "kv get -format=json -mount=secret -version=9 a/b",
        "kv get -field=x -mount=secret a/b",
        "kv get -field=absent -mount=secret a/b",
        "kv get -format=json secret/old-form",
        "kv get -format=json -mount=secret none",
        "kv get -format=json -mount=nowhere none",
        "kv patch -format=json -mount=secret a/b z=3",
        "kv patch -format=json -mount=secret -method=rw a/b w=3",
        "kv patch -format=json -mount=secret none z=3",
        "kv list -format=json -mount=secret",
        "kv list -format=json -mount=secret a",
        "kv list -format=json -mount=secret none",
        "kv delete -mount=secret a/b",
        "kv get -format=json -mount=secret a/b",
        "kv undelete -mount=secret -versions=4 a/b",
        "kv delete -mount=secret -versions=1,2 a/b",
        "kv rollback -format=json -mount=secret -version=3 a/b",
        "kv destroy -mount=secret -versions=1 a/b",
        "kv metadata put -mount=secret -max-versions=7 -custom-metadata=owner=me -delete-version-after=1h a/b",
        "kv metadata patch -mount=secret -custom-metadata=team=us a/b",
        "kv metadata get -format=json -mount=secret a/b",
        "kv metadata get -format=json -mount=secret none",
        "kv metadata delete -mount=secret a/b",
        "kv put -format=json v1/a x=1",
        "kv get -format=json v1/a",
        "kv list -format=json v1",
        "kv delete v1/a",
        "kv get -format=json v1/a",
        "read -format=json secret/config",
        "read -format=json secret/data/old-form",
        "read -format=json nowhere/at/all",
        "list -format=json secret/metadata",
        "write -format=json secret/data/w data=1",
        "delete secret/data/none",
        "secrets move v1/ moved/",
        "secrets disable moved/",
        "secrets disable never-there/",
        "secrets list -format=json",
        "policy list -format=json",
        "policy read -format=json default",
        "policy read none",
        "policy delete default",
    ] {
        both.run(line);
    }
}

fn tokens(both: &mut Both) {
    both.run_with("policy write team -", r#"path "secret/data/*" { capabilities = ["read"] }"#);
    both.run_with("policy write bad -", "path {");
    for line in ["policy read -format=json team", "policy list -format=json"] {
        both.run(line);
    }

    let names = [("child", "/auth/client_token"), ("accessor", "/auth/accessor")];
    both.learn("token create -format=json -policy=team -ttl=1h -metadata=a=b -display-name=me", &names);
    for line in [
        "token lookup -format=json {child}",
        "token lookup -format=json -accessor {accessor}",
        "token capabilities -format=json {child} secret/data/x",
        "token renew -format=json -increment=30m {child}",
        "list -format=json auth/token/accessors",
        "token create -format=json -policy=team -orphan -use-limit=2 -period=10m",
        "token create -format=json -ttl=soon",
        "login -format=json {child}",
        "kv get -format=json -mount=secret old-form",
        "kv put -format=json -mount=secret old-form x=1",
        "policy list",
        "secrets list",
        "operator seal",
        "login -format=json {token}",
        "token revoke {child}",
        "token lookup -format=json {child}",
        "token revoke none",
        "token create -format=json -policy=team -ttl=2h",
    ] {
        both.run(line);
    }
    both.learn("token create -format=json -policy=team", &names);
    both.run("token revoke -accessor {accessor}");
    both.run("token revoke -accessor none");
}

fn audit_and_seal(both: &mut Both) {
    for line in [
        "audit list -format=json",
        "audit enable -description=d file file_path={log}",
        "audit enable file file_path={log}",
        "audit enable -path=second file file_path=/proc/nowhere/audit.log",
        "audit list -format=json",
        "audit list -format=json -detailed",
        "kv get -format=json -mount=secret old-form",
        "audit disable file",
        "audit disable never-there",
        "auth list -format=json",
        "operator key-status -format=json",
        "operator rotate -format=json",
        "path-help secret/data/x",
        "operator seal",
        "status -format=json",
        "kv get -format=json -mount=secret old-form",
        "operator unseal -format=json {share0}",
        "operator unseal -format=json -reset",
        "operator unseal -format=json {share0}",
        "operator unseal -format=json {share1}",
        "kv get -format=json -mount=secret old-form",
    ] {
        both.run(line);
    }
}

/// Token roles, batch tokens, and tokens as leases.
fn tokens_and_leases(both: &mut Both) {
    for line in [
        "list -format=json auth/token/roles",
        "write auth/token/roles/app allowed_policies=team allowed_policies_glob=dev-* orphan=true path_suffix=v-1 token_period=1h",
        "write auth/token/roles/app token_bound_cidrs=127.0.0.0/8 token_num_uses=9 token_explicit_max_ttl=2h",
        "write auth/token/roles/old bound_cidrs=127.0.0.1 period=60 explicit_max_ttl=2h allowed_entity_aliases=a,b",
        "write auth/token/roles/solo allowed_policies=team path_suffix=v-1",
        "write auth/token/roles/batch token_type=batch orphan=true",
        "write auth/token/roles/batch token_type=batch orphan=true renewable=false",
        "write auth/token/roles/bad token_type=none",
        "write auth/token/roles/bad path_suffix=a/b",
        "read -format=json auth/token/roles/app",
        "read -format=json auth/token/roles/old",
        "read -format=json auth/token/roles/none",
        "list -format=json auth/token/roles",
        "token create -format=json -role=none",
        "token create -format=json -role=app -policy=other",
        "token create -format=json -role=app -policy=dev-1",
        "token create -format=json -role=batch -policy=team",
        "token create -format=json -type=batch",
        "token create -format=json -policy=team -entity-alias=me",
    ] {
        both.run(line);
    }
    both.learn(
        "token create -format=json -role=solo",
        &[("solo", "/auth/client_token"), ("accessor", "/auth/accessor")],
    );
    both.learn("token create -format=json -type=batch -policy=team -ttl=1h", &[("batch", "/auth/client_token")]);
    both.learn("list -format=json sys/leases/lookup/auth/token/create/solo/v-1", &[("lease", "/0")]);
    for line in [
        "token lookup -format=json {solo}",
        "token renew -format=json -accessor {accessor}",
        "token lookup -format=json {batch}",
        "token renew -format=json {batch}",
        "token revoke {batch}",
        "delete auth/token/roles/batch",
        "list -format=json sys/leases/lookup",
        "list -format=json sys/leases/lookup/auth/token",
        "list -format=json sys/leases/lookup/none",
        "lease lookup -format=json auth/token/create/solo/v-1/{lease}",
        "lease lookup -format=json none",
        "lease renew -format=json auth/token/create/solo/v-1/{lease}",
        "lease renew -format=json none",
        "lease revoke none",
        "lease revoke -sync auth/token/create/solo/v-1/{lease}",
        "token lookup -format=json {solo}",
        "lease lookup -format=json auth/token/create/solo/v-1/{lease}",
        "lease revoke -prefix auth/token/create/app",
        "lease revoke -prefix -sync auth/token/create/app",
        "lease revoke -force -prefix none",
        "lease revoke -force none",
        "read -format=json sys/leases/count",
        "read -format=json sys/leases/count type=irrevocable",
        "read -format=json sys/leases type=irrevocable",
        "write -format=json -f auth/token/tidy",
        "write -format=json -f sys/leases/tidy",
    ] {
        both.run(line);
    }
}

/// A root token by a quorum, new shares (`{new0}`, `{new1}`), new keys.
pub fn ceremonies(both: &mut Both) {
    both.run("operator generate-root -format=json -status");
    both.run("operator generate-root -format=json -init -otp=short");
    both.learn("operator generate-root -format=json -init", &[("nonce", "/nonce"), ("otp", "/otp")]);
    both.run("operator generate-root -format=json -init");
    // Wrong shares are left out: what is a 400 here is a 500 there.
    both.run("operator generate-root -format=json -nonce={nonce} {share0}");
    both.run("operator generate-root -format=json -status");
    both.learn("operator generate-root -format=json -nonce={nonce} {share1}", &[("encoded", "/encoded_token")]);
    both.learn("operator generate-root -format=json -decode={encoded} -otp={otp}", &[("generated", "/token")]);
    both.run("login -format=json {generated}");
    both.run("operator generate-root -format=json -cancel");

    both.run("operator rotate-keys -format=json -status");
    both.run("operator rotate-keys -format=json -init -key-shares=2 -key-threshold=3");
    let started = "operator rotate-keys -format=json -init -verify -key-shares=2 -key-threshold=2";
    both.learn(started, &[("nonce", "/nonce")]);
    both.run(started);
    both.run("operator rotate-keys -format=json -status");
    both.run("operator rotate-keys -format=json -nonce=other {share0}");
    both.run("operator rotate-keys -format=json -nonce={nonce} {share0}");
    both.run("operator rotate-keys -format=json -nonce={nonce} {share0}");
    let new = [("new0", "/keys/0"), ("new1", "/keys_base64/1"), ("verification", "/verification_nonce")];
    both.learn("operator rotate-keys -format=json -nonce={nonce} {share1}", &new);
    both.run("operator rotate-keys -format=json -status -verify");
    both.run("operator rotate-keys -format=json -verify -nonce={verification} {new0}");
    both.run("operator rotate-keys -format=json -verify -nonce={verification} {share1}");
    both.learn("read -format=json sys/rotate/root/verify", &[("verification", "/data/nonce")]);
    both.run("operator rotate-keys -format=json -verify -nonce={verification} {new0}");
    both.run("operator rotate-keys -format=json -verify -nonce={verification} {new1}");
    both.run("operator rotate-keys -format=json -cancel");
    both.run("operator rotate-keys -format=json -init -target=recovery");

    for line in [
        "write -format=json -force sys/rotate/root",
        "read -format=json sys/rotate/config",
        "write -format=json sys/rotate/config interval=25h max_operations=2000000",
        "write -format=json sys/rotate/config interval=1h",
        "write -format=json sys/rotate/config max_operations=5",
        "read -format=json sys/rotate/keyring/config",
        "operator seal",
        "operator unseal -format=json {new0}",
        "operator unseal -format=json {new1}",
        "token lookup -format=json",
    ] {
        both.run(line);
    }
}

/// Answers put away, asked about, moved and got out, by the command line.
fn wrapping(both: &mut Both) {
    let wrapped = [("wrapped", "/wrap_info/token")];
    for line in [
        "kv get -format=json -wrap-ttl=5m -mount=secret old-form",
        "kv list -format=json -wrap-ttl=5m -mount=secret",
        "token create -format=json -wrap-ttl=5m -policy=team",
        "write -format=json -wrap-ttl=5m sys/wrapping/wrap a=b c=d",
        "read -format=json -wrap-ttl=5m sys/policy/default",
        "read -format=json -wrap-ttl=5m sys/key-status",
    ] {
        both.learn(line, &wrapped);
        both.run("write -format=json sys/wrapping/lookup token={wrapped}");
        both.learn("write -format=json sys/wrapping/rewrap token={wrapped}", &wrapped);
        both.run("token lookup -format=json {wrapped}");
        both.run("unwrap -format=json {wrapped}");
        both.run("unwrap -format=json {wrapped}");
        both.run("write sys/wrapping/lookup token={wrapped}");
    }
    for line in [
        "unwrap none",
        "write sys/wrapping/wrap a=b",
        "write -f sys/wrapping/unwrap",
        "write -wrap-ttl=5m cubbyhole/mine a=b",
        "read -format=json cubbyhole/mine",
        "list -format=json cubbyhole/",
        "delete cubbyhole/mine",
        "read -format=json cubbyhole/mine",
        "read -wrap-ttl=5m cubbyhole/mine",
        "read -format=json sys/policies/acl/response-wrapping",
        "delete sys/policies/acl/response-wrapping",
    ] {
        both.run(line);
    }
}

fn settings(both: &mut Both) {
    for line in [
        "read -format=json sys/config/cors",
        "write sys/config/cors allowed_origins=https://a.example,https://b.example allowed_headers=X-A",
        "read -format=json sys/config/cors",
        "write sys/config/cors allowed_origins=https://a.example allow_credentials=true enable=true",
        "read -format=json sys/config/cors",
        "delete sys/config/cors",
        "read -format=json sys/config/cors",
        "read -format=json sys/config/auditing/request-headers",
        "write sys/config/auditing/request-headers/X-One hmac=true",
        "write -f sys/config/auditing/request-headers/X-Two",
        "write sys/config/auditing/request-headers/X-Three hmac=x",
        "read -format=json sys/config/auditing/request-headers",
        "read -format=json sys/config/auditing/request-headers/x-one",
        "read -format=json sys/config/auditing/request-headers/X-TWO",
        "read sys/config/auditing/request-headers/X-Four",
        "delete sys/config/auditing/request-headers/x-ONE",
        "delete sys/config/auditing/request-headers/X-Four",
        "read -format=json sys/config/auditing/request-headers",
    ] {
        both.run(line);
    }
}

fn policies_and_tools(both: &mut Both) {
    both.run_with("policy write folder/one -", r#"path "secret/+/x" { capabilities = ["list"] }"#);
    both.run_with(
        "write sys/policies/acl/checked cas=-1 cas_required=true ttl=1h policy=-",
        r#"path "a" { policy = "read" }"#,
    );
    both.run_with("write sys/policies/acl/checked policy=-", r#"path "a" { policy = "read" }"#);
    both.run_with("write sys/policies/acl/checked cas=9 policy=-", r#"path "a" { policy = "read" }"#);
    both.run_with("write -format=json sys/policy/old rules=-", r#"path "a" { policy = "read" }"#);
    both.run_with("write sys/policies/password/p policy=-", "length = 8\nrule \"charset\" { charset = \"ab\" }");
    both.run_with("write sys/policies/password/bad policy=-", "length = 2\nrule \"charset\" { charset = \"ab\" }");
    for line in [
        "read -format=json sys/policies/acl/checked",
        "read -format=json sys/policy/old",
        "patch sys/policies/acl/checked cas=1 ttl=2h",
        "read -format=json sys/policies/acl/folder/one",
        "list -format=json sys/policies/acl/folder",
        "list -format=json sys/policies/acl/none",
        "list -format=json sys/policy/folder",
        "read -format=json sys/policies/acl/root",
        "read sys/policies/acl",
        "read sys/policies/egp/x",
        "write sys/policies/acl/empty policy=",
        "list -format=json sys/policies/password",
        "read -format=json sys/policies/password/p",
        "read -format=json sys/policies/password/p/generate",
        "read sys/policies/password/none",
        "delete sys/policies/password/p",
        "list -format=json sys/policies/password",
        "write -f -format=json sys/tools/random",
        "write -f -format=json sys/tools/random/platform/9",
        "write -format=json sys/tools/random bytes=0",
        "write -format=json sys/tools/random format=odd",
        "write -format=json sys/tools/hash input=YWJj",
        "write -format=json sys/tools/hash/sha2-512 input=YWJj format=base64",
        "write -format=json sys/tools/hash/md5 input=YWJj",
        "write -format=json sys/tools/hash input=!!",
        "write -format=json sys/capabilities-self paths=a,b",
        "write -format=json sys/capabilities-self",
        "write -format=json sys/capabilities token=none paths=a",
        "write -format=json sys/capabilities-accessor accessor=none paths=a",
        "read -format=json sys/internal/ui/resultant-acl",
        "read -format=json sys/internal/ui/mounts/secret",
        "read sys/internal/ui/mounts/nowhere",
    ] {
        both.run(line);
    }
}
