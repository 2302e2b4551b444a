//! The policy behind `-output-policy`: what a token must be allowed to make a request.

/// Paths that need `sudo` as well; a `*` at the end stands for anything.
const SUDO: [&str; 19] = [
    "auth/token/accessors",
    "sys/audit",
    "sys/audit/*",
    "sys/auth/*",
    "sys/config/auditing/*",
    "sys/config/cors",
    "sys/leases",
    "sys/leases/lookup/*",
    "sys/leases/revoke-force/*",
    "sys/leases/revoke-prefix/*",
    "sys/raw/*",
    "sys/remount",
    "sys/revoke-force/*",
    "sys/revoke-prefix/*",
    "sys/rotate",
    "sys/rotate/keyring",
    "sys/rotate/root",
    "sys/seal",
    "sys/sealwrap/*",
];

/// A policy of one rule that allows `method` (`LIST` for a list) on `path`.
pub(crate) fn text(method: &str, path: &str) -> String {
    let path = path.trim_matches('/');
    let mut capabilities = match method {
        "GET" => vec!["read"],
        "LIST" => vec!["list"],
        "PATCH" => vec!["patch"],
        "DELETE" => vec!["delete"],
        // The client cannot know whether something is there already.
        _ => vec!["create", "update"],
    };
    let fits = |pattern: &&str| match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == *pattern,
    };
    if SUDO.iter().any(fits) {
        capabilities.push("sudo");
    }
    let capabilities: Vec<String> = capabilities.iter().map(|name| format!("\"{name}\"")).collect();
    format!("path \"{path}\" {{\n  capabilities = [{}]\n}}", capabilities.join(", "))
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn a_request_needs_its_capability_and_sudo_where_the_path_does() {
        assert_eq!(text("GET", "/sys/auth"), "path \"sys/auth\" {\n  capabilities = [\"read\"]\n}");
        assert_eq!(
            text("PUT", "sys/auth/a"),
            "path \"sys/auth/a\" {\n  capabilities = [\"create\", \"update\", \"sudo\"]\n}"
        );
    }
}
