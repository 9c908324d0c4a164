//! The form `postgresql://user:password@host:port,host:port/database?name=value&…`.

type Pairs = Vec<(String, String)>;

/// What follows the scheme, if it is ours.
pub(super) fn without_scheme(text: &str) -> Option<&str> {
    ["postgresql://", "postgres://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
}

/// Whether it is a URL of something else, such as `sqlite://`, rather than keywords and values.
pub(super) fn has_other_scheme(text: &str) -> bool {
    text.split_once("://")
        .is_some_and(|(scheme, _)| scheme.chars().all(|c| c.is_alphanumeric() || c == '+'))
}

/// How many pairs come out of the part before the query: user, password, hosts, ports, database.
pub(super) const BEFORE_QUERY: usize = 5;

/// Takes a URL apart. Errors do not quote it.
pub(super) fn pairs(rest: &str) -> Result<Pairs, String> {
    let mut pairs = Pairs::new();
    let (credentials, rest) = split_credentials(rest);
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    pairs.push(("user".to_owned(), decode(user)?));
    pairs.push(("password".to_owned(), decode(password)?));
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (hosts, database) = before.split_once('/').unwrap_or((before, ""));
    add_hosts(&mut pairs, hosts)?;
    // Otherwise the rest of a password would be shown as the name of the database.
    if database.contains('@') {
        return Err("a / stands before an @ in it".to_owned());
    }
    pairs.push(("dbname".to_owned(), decode(database)?));
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        pairs.push(named(parameter)?);
    }
    Ok(pairs)
}

// As in libpq, a `?` in a password needs no encoding. Neither does an `@` here: the alternative is to take the end of
// the password for the name of a host, and to show it.
fn split_credentials(rest: &str) -> (&str, &str) {
    let authority = rest.find('/').map_or(rest, |end| &rest[..end]);
    let Some(first) = authority.find('@') else {
        return ("", rest);
    };
    let end = authority[first..]
        .find('?')
        .map_or(authority.len(), |end| first + end);
    let last = authority[..end].rfind('@').unwrap_or(first);
    (&rest[..last], &rest[last + 1..])
}

fn add_hosts(pairs: &mut Pairs, hosts: &str) -> Result<(), String> {
    let (mut names, mut ports) = (Vec::new(), Vec::new());
    for host in hosts.split(',') {
        let (name, port) = host_and_port(host)?;
        // It may be the beginning of a password with a slash in it, so it is not quoted.
        if !port.chars().all(|c| c.is_ascii_digit()) {
            return Err("a port in it is not a number".to_owned());
        }
        names.push(decode(name)?);
        ports.push(port.to_owned());
    }
    pairs.push(("host".to_owned(), joined(&names)));
    pairs.push(("port".to_owned(), joined(&ports)));
    Ok(())
}

// An IPv6 address is in brackets, because it contains colons.
fn host_and_port(host: &str) -> Result<(&str, &str), String> {
    let Some(bracketed) = host.strip_prefix('[') else {
        return Ok(host.split_once(':').unwrap_or((host, "")));
    };
    let (address, after) = bracketed
        .split_once(']')
        .ok_or("a bracket in it is not closed")?;
    match after.strip_prefix(':') {
        Some(port) => Ok((address, port)),
        None if after.is_empty() => Ok((address, "")),
        None => Err("something follows an address in brackets".to_owned()),
    }
}

// A list without a single entry is left open, so that PGHOST and PGPORT can fill it.
fn joined(items: &[String]) -> String {
    if items.iter().all(String::is_empty) {
        String::new()
    } else {
        items.join(",")
    }
}

fn named(parameter: &str) -> Result<(String, String), String> {
    let (name, value) = parameter
        .split_once('=')
        .ok_or("a parameter in it has no value")?;
    Ok(match (decode(name)?, decode(value)?) {
        // What JDBC calls it; libpq takes it as well.
        (name, value) if name == "ssl" && value == "true" => {
            ("sslmode".to_owned(), "require".to_owned())
        }
        pair => pair,
    })
}

fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            escaped(&mut rest)?
        } else {
            byte
        });
    }
    // The protocol ends every string with a NUL, and the driver speaks UTF-8.
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
        .ok_or_else(|| "it is not valid UTF-8 once it is percent-decoded".to_owned())
}

fn escaped(rest: &mut std::str::Bytes) -> Result<u8, String> {
    let mut digit = || char::from(rest.next()?).to_digit(16);
    let (high, low) = (digit(), digit());
    high.zip(low)
        .and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
        .ok_or_else(|| "a % in it is not followed by two hexadecimal digits".to_owned())
}
