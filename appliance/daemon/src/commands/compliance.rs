//! `holdfast compliance …`: what an auditor asks of the program itself.

use std::io::Write;
use std::process::ExitCode;

use hardening::lockdown::{Called, Listed, Lockdown, Mode, Role};
use serde_json::{Value, json};

use crate::arguments::ComplianceCommand;

const ROLES: [(&str, Role); 3] = [("monitor", Role::Monitor), ("server", Role::Server), ("hsm", Role::Hsm)];

/// `holdfast compliance syscalls`: every rule of every role's seccomp filter, with its reason.
pub(crate) fn run(command: &ComplianceCommand) -> Result<ExitCode, String> {
    let chosen: Vec<(&str, Role)> = match &command.role {
        None => ROLES.to_vec(),
        Some(name) => {
            let found = ROLES.into_iter().find(|(role, _)| role == name);
            vec![found.ok_or_else(|| format!("compliance: -role={name} is none of monitor, server, hsm"))?]
        }
    };
    let mut out = std::io::stdout();
    if command.json {
        let rules = chosen.iter().flat_map(|(name, role)| rules(*role).into_iter().map(|rule| to_json(name, &rule)));
        let _ = writeln!(out, "{:#}", Value::Array(rules.collect()));
        return Ok(ExitCode::SUCCESS);
    }
    let _ = writeln!(out, "{:<8} {:<14} {:<24} {:<22} What needs it", "Role", "Table", "System call", "Arguments");
    for (name, role) in chosen {
        for rule in rules(role) {
            let Listed { table, name: call, arguments, why, .. } = rule;
            let _ = writeln!(out, "{name:<8} {table:<14} {call:<24} {arguments:<22} {why}{}", remark(rule.called));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The widest lists a configuration can ask for.
fn rules(role: Role) -> Vec<Listed> {
    let mut lockdown = Lockdown::new(Mode::Enforce, role);
    lockdown.hsm_network = true;
    lockdown.system_calls()
}

fn remark(called: Called) -> String {
    match called {
        Called::Always => String::new(),
        Called::Sometimes(when) => format!(" (seldom: {when})"),
        Called::Never(when) => format!(" (not met in tests: {when})"),
    }
}

fn to_json(role: &str, rule: &Listed) -> Value {
    let (called, when) = match rule.called {
        Called::Always => ("always", ""),
        Called::Sometimes(when) => ("sometimes", when),
        Called::Never(when) => ("never", when),
    };
    json!({
        "role": role,
        "table": rule.table,
        "name": rule.name,
        "arguments": rule.arguments,
        "why": rule.why,
        "called_in_tests": called,
        "called_when": when,
    })
}
