//! Which of libpq's keywords are understood, which need nothing, and which cannot be met.

/// What tokio-postgres or this module understands.
const KNOWN: [&str; 27] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "fallback_application_name",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "passfile",
    "password",
    "port",
    "service",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "sslsni",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// What changes nothing here: the driver speaks UTF-8, never compresses, and knows neither GSSAPI nor OAuth.
const HARMLESS: [&str; 12] = [
    "authtype",
    "client_encoding",
    "gssdelegation",
    "gsslib",
    "krbsrvname",
    "oauth_client_id",
    "oauth_client_secret",
    "oauth_issuer",
    "oauth_scope",
    "servicefile",
    "sslcompression",
    "tty",
];

/// Parameters that restrict whom we talk to or how, with the values that hold here anyway. To ignore any other value
/// would be to trust more than the operator does.
const RESTRICTING: [(&str, &[&str]); 16] = [
    ("gssencmode", &["disable", "prefer"]),
    ("max_protocol_version", &["3.0", "3.2", "latest"]),
    ("min_protocol_version", &["3.0"]),
    ("replication", &["false", "off", "no", "0"]),
    ("require_auth", &[]),
    ("requirepeer", &[]),
    ("requiressl", &["0"]),
    ("scram_client_key", &[]),
    ("scram_server_key", &[]),
    ("ssl_max_protocol_version", &["TLSv1.3"]),
    ("ssl_min_protocol_version", &["TLSv1", "TLSv1.1", "TLSv1.2"]),
    ("sslcertmode", &["allow"]),
    ("sslcrl", &[]),
    ("sslcrldir", &[]),
    ("sslkeylogfile", &[]),
    ("sslpassword", &[]),
];

/// The name under which a parameter is kept; none if it changes nothing here.
///
/// # Errors
/// It is not known, or cannot be met: the end of a sentence. An unknown one is called what the caller calls it, because
/// what looks like a name may be a piece of a password with a space or an `&` in it.
pub(super) fn kept<'a>(
    name: &'a str,
    value: &str,
    unknown: &str,
) -> Result<Option<&'a str>, String> {
    if let Some((name, met)) = RESTRICTING.iter().find(|(known, _)| *known == name) {
        let is_met = value.is_empty() || met.iter().any(|met| met.eq_ignore_ascii_case(value));
        return is_met.then_some(None).ok_or_else(|| refuse(name, met));
    }
    match name {
        // An empty value counts as none.
        _ if value.is_empty() && KNOWN.contains(&name) => Ok(None),
        // Both spellings of one thing: libpq's and the driver's.
        "keepalives_count" => Ok(Some("keepalives_retries")),
        _ if KNOWN.contains(&name) => Ok(Some(name)),
        _ if HARMLESS.contains(&name) => Ok(None),
        _ => Err(match nearest(name) {
            Some(nearest) => {
                format!("{unknown} is not known, and the nearest known one is {nearest}")
            }
            None => format!("{unknown} is not known"),
        }),
    }
}

fn refuse(name: &str, met: &[&str]) -> String {
    let otherwise = match met.is_empty() {
        true => "leave it out".to_owned(),
        false => format!("leave it out, or set it to {}", met.join(" or ")),
    };
    format!(
        "{name} asks for what session-reaper cannot do, and to ignore it would trust more than you do: {otherwise}"
    )
}

fn nearest(name: &str) -> Option<&'static str> {
    let known = KNOWN.iter().chain(&HARMLESS);
    known
        .chain(RESTRICTING.iter().map(|(known, _)| known))
        .map(|known| (strsim::jaro_winkler(name, known), *known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.85)
        .map(|(_, known)| known)
}
