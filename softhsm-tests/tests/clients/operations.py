"""Every operation of hvac on the parts of the API that this server has: what each comes to, a line of JSON each.

Starts with a server that is not initialised, at the address of the first argument. A step's line says how it ended, and the
keys and types of its answer. Methods that are left out stand in LEFT_OUT with the reason.
"""

import inspect
import json
import sys

import hvac
import requests

LEFT_OUT = {
    "sys": {
        "there are no Sentinel policies": [
            "create_or_update_egp_policy", "create_or_update_rgp_policy", "delete_egp_policy", "delete_rgp_policy",
            "list_egp_policies", "list_rgp_policies", "read_egp_policy", "read_rgp_policy"],
        "there is the root namespace": ["create_namespace", "delete_namespace", "list_namespaces"],
        "there are no quotas": ["create_or_update_quota", "delete_quota", "list_quotas", "read_quota"],
        "the storage is not raft": [
            "create_or_update_raft_auto_snapshot_config", "delete_raft_auto_snapshot_config", "join_raft_cluster",
            "list_raft_auto_snapshot_configs", "read_raft_auto_snapshot_config", "read_raft_auto_snapshot_status",
            "read_raft_config", "remove_raft_node"],
        "snapshots have a suite of their own": [
            "force_restore_raft_snapshot", "restore_raft_snapshot", "take_raft_snapshot"],
        "there is one node": ["step_down"],
        "needs PGP keys, which another suite has": ["read_backup_keys"],
    },
    "secrets.kv.v2": {"reads the mount's options, which a step does by name": ["read_secret"]},
}

CLASSES = ["sys", "auth.token", "secrets.kv.v1", "secrets.kv.v2", "auth.userpass", "auth.approle", "auth.cert"]
TYPES = {bool: "boolean", int: "number", float: "number", str: "string", list: "list", dict: "object", type(None): "null"}

client = hvac.Client(url=sys.argv[1])
called = set()


def shape(value, path, found):
    found.add(f"{path}: {TYPES.get(type(value), type(value).__name__)}")
    if isinstance(value, dict):
        for key, item in value.items():
            shape(item, f"{path}.{key}", found)
    if isinstance(value, list):
        for item in value:
            shape(item, f"{path}[]", found)
    return sorted(found)


def step(method, /, *arguments, note="", **named):
    """Calls a method by its name below the client, and says what came of it."""
    owner, name = method.rsplit(".", 1)
    target = client
    for part in owner.split("."):
        target = getattr(target, part)
    called.add(method)
    answer = None
    try:
        answer = getattr(target, name)(*arguments, **named)
        outcome = f"status {answer.status_code}" if isinstance(answer, requests.Response) else "answer"
    except hvac.exceptions.VaultError as error:
        outcome, answer = type(error).__name__, None
        print(f"{method} {note}: {error}", file=sys.stderr)
    body = answer
    if isinstance(answer, requests.Response):
        body = answer.json() if answer.content else None
    print(json.dumps({"step": f"{method} {note}".strip(), "outcome": outcome, "shape": shape(body, "", set())}))
    return body


def at(body, *keys):
    for key in keys:
        body = body[key]
    return body


def seal():
    step("sys.read_health_status", note="uninitialised")
    step("sys.read_health_status", note="uninitialised, by GET", method="GET")
    step("sys.read_init_status")
    step("sys.is_initialized")
    step("sys.read_seal_status", note="uninitialised")
    step("sys.read_leader_status", note="uninitialised")
    step("sys.initialize", 1, 2, note="wrong")
    made = step("sys.initialize", 3, 2)
    step("sys.initialize", 3, 2, note="again")
    keys = made["keys"]
    step("sys.read_health_status", note="sealed", method="GET")
    step("sys.read_leader_status", note="sealed")
    step("sys.submit_unseal_key", keys[0])
    step("sys.submit_unseal_key", reset=True, note="reset")
    step("sys.submit_unseal_keys", keys[:2])
    step("sys.is_sealed")
    client.token = made["root_token"]
    step("sys.read_health_status", method="GET")
    step("sys.read_health_status", note="active_code", method="GET", active_code=299)
    step("sys.read_seal_status")
    step("sys.read_leader_status")
    step("sys.get_encryption_key_status")
    step("sys.rotate_encryption_key")
    return keys


def ceremonies(keys):
    step("sys.read_root_generation_progress")
    step("sys.start_root_token_generation", otp="short", note="wrong")
    started = step("sys.start_root_token_generation")
    step("sys.generate_root", keys[0], started["nonce"])
    step("sys.cancel_root_generation")
    step("sys.read_rekey_progress")
    started = step("sys.start_rekey", 2, 2, require_verification=True)
    step("sys.start_rekey", 2, 2, note="again")
    step("sys.rekey", keys[0], nonce=started["nonce"])
    done = step("sys.rekey_multi", keys[1:2], nonce=started["nonce"])
    step("sys.read_rekey_verify_progress")
    step("sys.rekey_verify", done["keys"][0], done["verification_nonce"])
    step("sys.cancel_rekey_verify")
    again = step("sys.read_rekey_verify_progress", note="cancelled")
    step("sys.rekey_verify_multi", done["keys"], again["nonce"])
    step("sys.start_rekey", 2, 2)
    step("sys.cancel_rekey")
    step("sys.read_rekey_progress", recovery_key=True, note="recovery")
    step("sys.seal")
    step("sys.read_seal_status", note="sealed")
    step("sys.submit_unseal_keys", done["keys"])


def mounts():
    step("sys.enable_secrets_engine", "kv", path="v1", description="d", options={"version": "1"})
    step("sys.enable_secrets_engine", "kv", path="v2", config={"max_lease_ttl": "1h"}, options={"version": "2"}, note="2")
    step("sys.enable_secrets_engine", "kv", path="v2", note="taken")
    step("sys.enable_secrets_engine", "nothing", note="unknown")
    step("sys.list_mounted_secrets_engines")
    step("sys.retrieve_mount_option", "v2", "version")
    step("sys.tune_mount_configuration", "v2", default_lease_ttl="10m", max_lease_ttl="20m", description="e",
         audit_non_hmac_request_keys=["a"], listing_visibility="unauth")
    step("sys.read_mount_configuration", "v2")
    step("sys.read_mount_configuration", "none", note="none")
    step("sys.enable_secrets_engine", "kv", path="old", note="to move")
    step("sys.move_backend", "old", "new")
    step("sys.disable_secrets_engine", "new")
    step("sys.disable_secrets_engine", "never", note="never there")
    for method in ["userpass", "approle", "cert"]:
        step("sys.enable_auth_method", method, description="d", note=method)
    step("sys.enable_auth_method", "approle", note="taken")
    step("sys.list_auth_methods")
    step("sys.tune_auth_method", "userpass", default_lease_ttl="10m", description="x", listing_visibility="hidden")
    step("sys.read_auth_method_tuning", "userpass")
    step("sys.enable_auth_method", "userpass", path="other", note="to end")
    step("sys.disable_auth_method", "other")
    step("sys.list_enabled_audit_devices")
    step("sys.enable_audit_device", "file", path="a", description="d", options={"file_path": sys.argv[2]})
    step("sys.list_enabled_audit_devices", note="one")
    step("sys.calculate_hash", "a", "text")
    step("sys.disable_audit_device", "a")


def key_values():
    one = "secrets.kv.v1."
    step(one + "create_or_update_secret", "a/b", {"x": "1", "n": 2}, mount_point="v1")
    step(one + "create_or_update_secret", "a/c", {"x": "1"}, method="PUT", mount_point="v1", note="PUT")
    step(one + "read_secret", "a/b", mount_point="v1")
    step(one + "read_secret", "none", mount_point="v1", note="none")
    step(one + "list_secrets", "a", mount_point="v1")
    step(one + "delete_secret", "a/b", mount_point="v1")
    two = "secrets.kv.v2."
    step(two + "configure", max_versions=5, cas_required=False, delete_version_after="1h", mount_point="v2")
    step(two + "read_configuration", mount_point="v2")
    step(two + "create_or_update_secret", "a/b", {"x": "1"}, cas=0, mount_point="v2")
    step(two + "create_or_update_secret", "a/b", {"x": "1"}, cas=0, mount_point="v2", note="cas")
    step(two + "create_or_update_secret", "a/b", {"x": {"deep": [1, 2.5, None]}}, mount_point="v2", note="deep")
    step(two + "patch", "a/b", {"y": "2"}, mount_point="v2")
    step(two + "patch", "none", {"y": "2"}, mount_point="v2", note="none")
    step(two + "read_secret_version", "a/b", mount_point="v2", raise_on_deleted_version=True)
    step(two + "read_secret_version", "a/b", version=1, mount_point="v2", raise_on_deleted_version=True, note="1")
    step(two + "read_secret_version", "a/b", version=9, mount_point="v2", raise_on_deleted_version=True, note="9")
    step(two + "update_metadata", "a/b", max_versions=4, cas_required=True, delete_version_after="2h",
         mount_point="v2", custom_metadata={"k": "v"})
    step(two + "read_secret_metadata", "a/b", mount_point="v2")
    step(two + "read_secret_metadata", "none", mount_point="v2", note="none")
    step(two + "list_secrets", "", mount_point="v2")
    step(two + "list_secrets", "none", mount_point="v2", note="none")
    step(two + "delete_secret_versions", "a/b", [1], mount_point="v2")
    step(two + "delete_secret_versions", "a/b", [], mount_point="v2", note="of none")
    step(two + "delete_latest_version_of_secret", "a/b", mount_point="v2")
    step(two + "read_secret_version", "a/b", mount_point="v2", raise_on_deleted_version=True, note="deleted")
    step(two + "read_secret_version", "a/b", mount_point="v2", raise_on_deleted_version=False, note="deleted, shown")
    step(two + "undelete_secret_versions", "a/b", [1], mount_point="v2")
    step(two + "destroy_secret_versions", "a/b", [1], mount_point="v2")
    step(two + "delete_metadata_and_all_versions", "a/b", mount_point="v2")


def policies():
    text = 'path "v2/data/*" { capabilities = ["read"] }'
    step("sys.create_or_update_policy", "p", text)
    step("sys.create_or_update_policy", "p2", {"path": {"v1/*": {"capabilities": ["list"]}}}, note="JSON")
    step("sys.create_or_update_policy", "bad", "path {", note="wrong")
    step("sys.read_policy", "p")
    step("sys.read_policy", "none", note="none")
    step("sys.list_policies")
    step("sys.create_or_update_acl_policy", "acl", text)
    step("sys.read_acl_policy", "acl")
    step("sys.read_acl_policy", "none", note="none")
    step("sys.list_acl_policies")
    step("sys.delete_acl_policy", "acl")
    step("sys.delete_policy", "p2")
    step("sys.delete_policy", "root", note="root")
    step("sys.get_capabilities", ["v2/data/x", "sys/mounts"])


def tokens():
    name = "auth.token."
    made = step(name + "create", policies=["p"], meta={"a": "b"}, ttl="1h", display_name="n", num_uses=9)
    token, accessor = at(made, "auth", "client_token"), at(made, "auth", "accessor")
    step(name + "create", policies=["p"], type="batch", ttl="1m", note="batch")
    step(name + "create", policies=["p"], period="1h", no_parent=True, note="periodic")
    step(name + "create", policies=["p"], type="odd", note="odd")
    step(name + "create", policies=["p"], wrap_ttl="1m", note="wrapped")
    step(name + "create_orphan", policies=["p"], explicit_max_ttl="2h")
    step(name + "lookup", token)
    step(name + "lookup", "none", note="none")
    step(name + "lookup_accessor", accessor)
    step(name + "lookup_accessor", "none", note="none")
    step(name + "lookup_self")
    step(name + "renew", token, increment="30m")
    step(name + "renew_accessor", accessor, increment="30m")
    step(name + "renew_self", note="root")
    step("sys.get_capabilities", ["v2/data/x"], token=token, note="token")
    step("sys.get_capabilities", ["v2/data/x"], accessor=accessor, note="accessor")
    step(name + "list_accessors")
    step(name + "create_or_update_role", "r", allowed_policies=["p"], orphan=True, path_suffix="v-1", token_period="1h")
    step(name + "read_role", "r")
    step(name + "read_role", "none", note="none")
    step(name + "list_roles")
    step(name + "create", role_name="r", note="by role")
    leases = step("sys.list_leases", "auth/token/create/r/v-1")
    lease = "auth/token/create/r/v-1/" + at(leases, "data", "keys")[0]
    step("sys.list_leases", "none", note="none")
    step("sys.read_lease", lease)
    step("sys.read_lease", "none", note="none")
    step("sys.renew_lease", lease, increment=60)
    step("sys.renew_lease", "none", note="none")
    step("sys.revoke_lease", lease)
    step("sys.revoke_prefix", "auth/token/create/none")
    step("sys.revoke_force", "auth/token/create/none")
    step(name + "delete_role", "r")
    step(name + "list_roles", note="none")
    step(name + "tidy")
    step(name + "revoke_and_orphan_children", token)
    step(name + "revoke_accessor", accessor, note="gone")
    own = client.token
    client.token = at(step(name + "create", policies=["default"], note="own"), "auth", "client_token")
    step("sys.list_policies", note="denied")
    step(name + "revoke_self")
    step(name + "lookup_self", note="revoked")
    client.token = own
    made = step(name + "create", policies=["default"], note="to revoke")
    step(name + "revoke_accessor", at(made, "auth", "accessor"))
    step(name + "revoke", "none", note="none")


def wrapping():
    wrapped = step("sys.wrap", {"a": "b"}, ttl=60)
    step("sys.unwrap", at(wrapped, "wrap_info", "token"))
    step("sys.unwrap", at(wrapped, "wrap_info", "token"), note="again")
    step("sys.unwrap", "none", note="none")


def logins():
    name = "auth.userpass."
    step(name + "create_or_update_user", "ada", password="pw", policies="p", token_ttl="10m")
    step(name + "create_or_update_user", "none", note="without a password")
    step(name + "read_user", "ada")
    step(name + "list_user")
    step(name + "login", "ada", "pw", use_token=False)
    step(name + "login", "ada", "wrong", use_token=False, note="wrong")
    step(name + "update_password_on_user", "ada", "other")
    step(name + "login", "ada", "other", use_token=False, note="other")
    step(name + "delete_user", "ada")
    step(name + "read_user", "ada", note="none")

    name = "auth.approle."
    step(name + "list_roles", note="none")
    step(name + "create_or_update_approle", "r", token_policies=["p"], token_ttl="10m", secret_id_num_uses=5, secret_id_ttl="1h")
    step(name + "read_role", "r")
    step(name + "read_role", "none", note="none")
    step(name + "list_roles")
    role = at(step(name + "read_role_id", "r"), "data", "role_id")
    made = step(name + "generate_secret_id", "r", metadata={"k": "v"}, cidr_list=["127.0.0.0/8"])
    secret, accessor = at(made, "data", "secret_id"), at(made, "data", "secret_id_accessor")
    step(name + "generate_secret_id", "r", wrap_ttl="1m", note="wrapped")
    step(name + "generate_secret_id", "none", note="none")
    step(name + "read_secret_id", "r", secret)
    step(name + "read_secret_id", "r", "none", note="none")
    step(name + "read_secret_id_accessor", "r", accessor)
    step(name + "read_secret_id_accessor", "r", "none", note="none")
    step(name + "list_secret_id_accessors", "r")
    step(name + "login", role, secret, use_token=False)
    step(name + "login", role, "none", use_token=False, note="wrong")
    step(name + "login", "none", "none", use_token=False, note="no role")
    step(name + "create_custom_secret_id", "r", "mine", metadata={"k": "v"})
    step(name + "destroy_secret_id", "r", "mine")
    step(name + "destroy_secret_id_accessor", "r", accessor)
    step(name + "destroy_secret_id_accessor", "r", "none", note="none")
    step(name + "update_role_id", "r", "named")
    step(name + "read_role_id", "r", note="named")
    step(name + "delete_role", "r")

    name = "auth.cert."
    step(name + "configure_tls_certificate")
    step(name + "list_certificate_roles", note="none")
    step(name + "create_ca_certificate_role", "c", certificate_file=sys.argv[3], allowed_common_names="a.example",
         token_policies=["p"], token_ttl=600)
    step(name + "create_ca_certificate_role", "bad", certificate_file="/dev/null", note="wrong")
    step(name + "read_ca_certificate_role", "c")
    step(name + "read_ca_certificate_role", "none", note="none")
    step(name + "list_certificate_roles")
    step(name + "login", name="c", cert_pem=sys.argv[3], key_pem=sys.argv[3], use_token=False, note="without TLS")
    step(name + "delete_certificate_role", "c")


def nothing_forgotten():
    for owner in CLASSES:
        target = client
        for part in owner.split("."):
            target = getattr(target, part)
        left_out = {name for names in LEFT_OUT.get(owner, {}).values() for name in names}
        methods = {name for name, _ in inspect.getmembers(target, inspect.ismethod) if name[0] != "_"}
        for name in methods - left_out:
            if name not in {"from_adapter"} and f"{owner}.{name}" not in called:
                print(json.dumps({"step": f"{owner}.{name}", "outcome": "was forgotten by this suite", "shape": []}))


keys = seal()
mounts()
key_values()
policies()
tokens()
wrapping()
logins()
ceremonies(keys)
nothing_forgotten()
