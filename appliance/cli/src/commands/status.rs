//! `status`: whether the server is sealed, and who leads.

use serde_json::{Value, json};

use crate::call::Call;
use crate::client::{Ask, Client, Fault};
use crate::command::{Arity, Command, Output};
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::{json as json_text, table};

pub(super) static COMMANDS: [Command; 1] = [Command {
    name: "status",
    arguments: "",
    arity: Arity::Exactly(0),
    summary: "Print seal and HA status",
    about: "
  Works while the server is sealed. The exit code tells the state:

      - 0 - unsealed
      - 1 - error
      - 2 - sealed",
    output: Output::Fields,
    flags: &[],
    run: status,
}];

/// The order of the keys in JSON.
pub(super) const ORDER: [&str; 24] = [
    "type",
    "initialized",
    "sealed",
    "t",
    "n",
    "progress",
    "nonce",
    "version",
    "commit_date",
    "migration",
    "cluster_name",
    "cluster_id",
    "recovery_seal",
    "recovery_seal_type",
    "storage_type",
    "build_date",
    "hcp_link_status",
    "ha_enabled",
    "is_self",
    "active_time",
    "leader_address",
    "leader_cluster_address",
    "raft_committed_index",
    "raft_applied_index",
];

fn status(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let client = call.client()?;
    // Exit code 2 means sealed, so a server that cannot be asked is an error of this side here.
    let local = |failure: Failure| match failure {
        Failure::Server(message) => Failure::Local(message),
        other => other,
    };
    let seal = client
        .object(&Ask::get("sys/seal-status"))
        .map_err(|fault| local(fault.during("Error checking seal status")))?;
    let whole = with_leader(&client, seal).map_err(|fault| local(fault.during("Error checking leader status")))?;
    show(call, &whole)?;
    if flag(&whole, "sealed") { Err(Failure::Quiet(2)) } else { Ok(()) }
}

/// Adds to a seal status what `sys/leader` knows. A sealed server does not tell who leads.
pub(super) fn with_leader(client: &Client, mut seal: Value) -> Result<Value, Fault> {
    let leader = match client.object(&Ask::get("sys/leader")) {
        Ok(leader) => leader,
        Err(Fault::Refused { message, .. }) if message.contains("Vault is sealed") => json!({"ha_enabled": true}),
        Err(fault) => return Err(fault),
    };
    if let Some(status) = seal.as_object_mut() {
        status.insert("ha_enabled".to_owned(), json!(flag(&leader, "ha_enabled")));
        for name in ["is_self", "active_time", "leader_address", "leader_cluster_address"] {
            let value = leader.get(name).cloned().unwrap_or_default();
            let empty = [Value::Null, json!(false), json!(""), json!("0001-01-01T00:00:00Z")].contains(&value);
            if !empty {
                status.insert(name.to_owned(), value);
            }
        }
    }
    Ok(seal)
}

/// Prints a seal status; what `sys/leader` adds to it too, where it is there.
pub(super) fn show(call: &mut Call<'_, '_>, status: &Value) -> Result<(), Failure> {
    if call.format != Format::Table || call.flags.given("field") {
        let mut status = status.clone();
        json_text::fill(
            &mut status,
            &json!({
                "nonce": "", "version": "", "commit_date": "", "build_date": "", "migration": false,
                "recovery_seal": false, "storage_type": "",
            }),
        );
        return call.show_object(&status, &ORDER);
    }
    let rows = rows(status).into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    call.console.line(&table::with_header(&["Key", "Value"], rows))
}

fn rows(status: &Value) -> Vec<(&'static str, String)> {
    let text = |name: &str| status.get(name).map(table::cell).unwrap_or_default();
    let recovery = flag(status, "recovery_seal");
    let sealed = flag(status, "sealed");
    let mut rows = vec![
        ("Seal Type", text("type")),
        ("Initialized", text("initialized")),
        ("Sealed", text("sealed")),
        (if recovery { "Total Recovery Shares" } else { "Total Shares" }, text("n")),
        ("Threshold", text("t")),
    ];
    if !text("recovery_seal_type").is_empty() {
        rows.insert(1, ("Recovery Seal Type", text("recovery_seal_type")));
    }
    if sealed {
        rows.push(("Unseal Progress", format!("{}/{}", text("progress"), text("t"))));
        rows.push(("Unseal Nonce", text("nonce")));
    }
    if flag(status, "migration") {
        rows.push(("Seal Migration in Progress", "true".to_owned()));
    }
    rows.push(("Version", text("version")));
    for (label, name) in [("Build Date", "build_date"), ("Commit Date", "commit_date")] {
        if !text(name).is_empty() {
            rows.push((label, text(name)));
        }
    }
    rows.push(("Storage Type", text("storage_type")));
    if !text("cluster_name").is_empty() && !text("cluster_id").is_empty() {
        rows.push(("Cluster Name", text("cluster_name")));
        rows.push(("Cluster ID", text("cluster_id")));
    }
    if status.get("ha_enabled").is_none() {
        return rows;
    }
    rows.push(("HA Enabled", text("ha_enabled")));
    if flag(status, "ha_enabled") && !sealed {
        rows.push(("HA Cluster", text("leader_cluster_address")));
        if flag(status, "is_self") {
            rows.push(("HA Mode", "active".to_owned()));
            rows.push(("Active Since", text("active_time")));
        } else {
            let leader = Some(text("leader_address")).filter(|address| !address.is_empty());
            rows.push(("HA Mode", "standby".to_owned()));
            rows.push(("Active Node Address", leader.unwrap_or_else(|| "<none>".to_owned())));
        }
    }
    rows
}

/// A boolean of an answer; absent is false.
pub(super) fn flag(object: &Value, name: &str) -> bool {
    object.get(name).and_then(Value::as_bool).unwrap_or_default()
}

/// Prints rows of an answer that is not a map for people, or the answer itself in a machine format.
pub(super) fn show_rows(
    call: &mut Call<'_, '_>,
    header: Option<[&str; 2]>,
    rows: Vec<Vec<String>>,
    answer: &Value,
    order: &[&str],
) -> Result<(), Failure> {
    if call.format != Format::Table {
        return output::machine(call.console, call.format, answer, order);
    }
    let text = match header {
        Some(header) => table::with_header(&header, rows),
        None => table::columns(&rows),
    };
    call.console.line(&text)
}
