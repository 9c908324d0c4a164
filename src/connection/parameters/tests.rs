use super::*;

fn parse(text: &str) -> Parameters {
    Parameters::parse(text, "DATABASE_URL").unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> String {
    let error = Parameters::parse(text, "DATABASE_URL").err();
    error.map(|error| error.to_string()).unwrap_or_default()
}

fn all(text: &str) -> Vec<(String, String)> {
    parse(text).0.into_iter().collect()
}

fn pairs<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
    expected
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

#[test]
fn both_forms_say_the_same() {
    let expected = pairs([
        ("dbname", "shop"),
        ("host", "db.example"),
        ("password", "it's @home\\"),
        ("port", "5433"),
        ("sslmode", "verify-full"),
        ("user", "app"),
    ]);
    let url = "postgres://app:it's%20%40home%5C@db.example:5433/shop?sslmode=verify-full";
    let keywords = r"host = db.example port=5433 user=app password='it\'s @home\\' dbname=shop sslmode=verify-full ";
    assert_eq!(all(url), expected);
    assert_eq!(all(keywords), expected);
}

#[test]
fn several_hosts_addresses_in_brackets_and_sockets_are_read() {
    assert_eq!(
        all("postgresql://a,[::1]:5433/d"),
        pairs([("dbname", "d"), ("host", "a,::1"), ("port", ",5433")])
    );
    assert_eq!(
        all("postgresql://%2Frun%2Fpg/d"),
        pairs([("dbname", "d"), ("host", "/run/pg")])
    );
    assert_eq!(
        all("postgresql:///d?host=/run/pg&port=5433"),
        pairs([("dbname", "d"), ("host", "/run/pg"), ("port", "5433")])
    );
    assert_eq!(all("postgresql://"), []);
}

#[test]
fn a_password_may_hold_what_ends_a_host() {
    let password = |url| parse(url).get("password").map(str::to_owned);
    assert_eq!(password("postgres://app:a?b@h/d").as_deref(), Some("a?b"));
    assert_eq!(password("postgres://app:p@ss@h/d").as_deref(), Some("p@ss"));
    let without_path = parse("postgres://app:x@h?application_name=a@b");
    assert_eq!(without_path.get("host"), Some("h"));
    assert_eq!(without_path.get("application_name"), Some("a@b"));
    assert_eq!(parse("postgres://h/d?options=a/b@c").get("user"), None);
}

#[test]
fn other_spellings_are_taken() {
    assert_eq!(
        parse("postgres:///d?ssl=true").get("sslmode"),
        Some("require")
    );
    assert_eq!(
        parse("keepalives_count=3").get("keepalives_retries"),
        Some("3")
    );
    assert!(
        refused("gssencmode=require").contains("gssencmode asks for what session-reaper cannot do")
    );
    assert!(refused("gssencmode=disable").is_empty());
}

#[test]
fn what_restricts_trust_is_not_ignored() {
    for name in [
        "sslcrl",
        "requirepeer",
        "require_auth",
        "ssl_min_protocol_version",
    ] {
        assert!(!refused(&format!("{name}=x")).is_empty(), "{name}");
    }
}

/// Checked against libpq's own list, so that a parameter that is neither taken nor refused by name is noticed.
#[test]
fn every_keyword_of_libpq_is_taken_or_refused_by_its_name() {
    let taken = "application_name=x authtype=x channel_binding=prefer client_encoding=auto connect_timeout=5 \
        fallback_application_name=x gssdelegation=0 gssencmode=prefer gsslib=gssapi keepalives=1 keepalives_count=3 \
        keepalives_idle=30 keepalives_interval=10 krbsrvname=postgres load_balance_hosts=disable \
        max_protocol_version=latest min_protocol_version=3.0 options='' replication=false requiressl=0 \
        ssl_max_protocol_version=TLSv1.3 ssl_min_protocol_version=TLSv1.2 sslcertmode=allow sslcompression=1 \
        sslnegotiation=postgres sslsni=1 target_session_attrs=any tcp_user_timeout=1000 tty=x sslpassword='' sslcrl=''";
    assert_eq!(refused(taken), "");
    for parameter in [
        "gssencmode=require",
        "min_protocol_version=3.2",
        "replication=database",
        "require_auth=scram-sha-256",
        "requirepeer=postgres",
        "requiressl=1",
        "ssl_max_protocol_version=TLSv1.2",
        "ssl_min_protocol_version=TLSv1.3",
        "sslcertmode=require",
        "sslcrl=x",
        "sslcrldir=x",
        "sslkeylogfile=x",
        "sslpassword=x",
    ] {
        let name = parameter.split('=').next().unwrap();
        let says = format!("its parameter {name} asks for what session-reaper cannot do");
        assert!(refused(parameter).contains(&says), "{}", refused(parameter));
    }
}

#[test]
fn a_variable_that_restricts_trust_is_refused_like_the_parameter() {
    for (variable, name) in [("PGSSLCRL", "sslcrl"), ("PGREQUIREAUTH", "require_auth")] {
        let environment = Environment::from([(variable, "x")]);
        let told = parse("host=h")
            .fill_from(&environment)
            .unwrap_err()
            .to_string();
        assert!(told.contains(variable) && told.contains(name), "{told}");
    }
    let harmless = Environment::from([("PGGSSENCMODE", "disable"), ("PGCLIENTENCODING", "LATIN1")]);
    parse("host=h").fill_from(&harmless).unwrap();
}

#[test]
fn a_parameter_is_counted_where_the_reader_of_the_string_counts_it() {
    let told = refused("postgres://app:x@h:5432/d?no_such_thing=1");
    assert!(
        told.contains("its parameter number 1 is not known"),
        "{told}"
    );
    let told = refused("postgres://h/d?sslmode=require&no_such_thing=1");
    assert!(
        told.contains("its parameter number 2 is not known"),
        "{told}"
    );
    let told = refused("host=h no_such_thing=1");
    assert!(
        told.contains("its parameter number 2 is not known"),
        "{told}"
    );
}

#[test]
fn variables_fill_what_the_string_leaves_out() {
    let environment = Environment::from([("PGHOST", "other"), ("PGUSER", "app"), ("PGPORT", "")]);
    let mut parameters = parse("host=mine");
    parameters.fill_from(&environment).unwrap();
    assert_eq!(parameters.get("host"), Some("mine"));
    assert_eq!(parameters.get("user"), Some("app"));
    assert_eq!(parameters.get("port"), None);
}

#[test]
fn a_misspelt_parameter_names_the_nearest_one() {
    assert!(refused("postgres://h/d?sslmod=require").contains("the nearest known one is sslmode"));
}

#[test]
fn no_error_quotes_the_string() {
    let wrong = [
        "postgres://app:s3cret/x@h/d",
        "postgres://app:123/s3cret@h/d",
        "postgres://app:s3cret@h:s3cret/d",
        "postgres://app:a/b?s3cret@h/d",
        "postgres://app:p@h?s3cret=1@h/d",
        "postgres://app:s3cret%zz@h/d",
        "postgres://app:s3cret%ff@h/d",
        "postgres://app:s3cret@[::1/d",
        "mysql://app:s3cret@h/d",
        "password=two s3cret",
        "password=two s3cret=1",
        "password='s3cret",
    ];
    for text in wrong {
        let told = refused(text);
        assert!(
            told.starts_with("the connection string from DATABASE_URL is wrong: "),
            "{text}"
        );
        assert!(!told.contains("s3cret"), "{told}");
    }
    let error = parse("password=s3cret port=s3cret")
        .to_config()
        .unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    assert!(error.to_string().contains("`port`"), "{error}");
}

#[test]
fn the_driver_gets_every_value_unchanged() {
    let config = parse(r"user=app password='it\'s \\' dbname='a b' host=h")
        .to_config()
        .unwrap();
    assert_eq!(config.get_password(), Some(br"it's \".as_slice()));
    assert_eq!(config.get_dbname(), Some("a b"));
}
