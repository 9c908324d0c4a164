use super::*;
use std::path::PathBuf;
use tokio_postgres::config::{Host as Name, SslMode, TargetSessionAttrs};

fn resolve<const N: usize>(url: &str, variables: [(&str, &str); N]) -> Result<Target, Error> {
    let settings = Database {
        url: (!url.is_empty()).then(|| url.to_owned()),
        ..Database::default()
    };
    Target::resolve(&settings, &Environment::from(variables))
}

fn target(url: &str) -> Target {
    resolve(url, []).unwrap_or_else(|error| panic!("{error}"))
}

fn config(target: &Target, nth: usize) -> &tokio_postgres::Config {
    target.hosts[nth].config()
}

struct Directory(PathBuf);

impl Directory {
    fn with(test: &str, file: &str, text: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let name = format!("session-reaper-target-{}-{test}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join(file), text).unwrap();
        std::fs::set_permissions(path.join(file), PermissionsExt::from_mode(0o600)).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn with_nothing_said_it_is_the_usual_socket_and_the_user_of_the_process() {
    let user = whoami::username().unwrap();
    let target = target("");
    assert_eq!(
        target.describe(),
        format!("database {user} on /var/run/postgresql port 5432 as {user}")
    );
    let config = config(&target, 0);
    assert_eq!(
        config.get_hosts(),
        [Name::Unix("/var/run/postgresql".into())]
    );
    assert_eq!(config.get_application_name(), Some("session-reaper"));
    assert_eq!(config.get_ssl_mode(), SslMode::Disable);
}

#[test]
fn the_sources_are_asked_in_order() {
    let directory = Directory::with("sources", "database_url", "postgres://u@credential/d\n");
    let all = [
        ("DATABASE_URL", "postgres://u@variable/d"),
        ("CREDENTIALS_DIRECTORY", directory.path()),
        ("PGHOST", "host"),
        ("PGUSER", "u"),
        ("PGDATABASE", "d"),
    ];
    let described = |url, from| {
        let environment = match from {
            0 => Environment::from(all),
            1 => Environment::from([all[1], all[2], all[3], all[4]]),
            _ => Environment::from([all[2], all[3], all[4]]),
        };
        let settings = Database {
            url,
            ..Database::default()
        };
        Target::resolve(&settings, &environment).unwrap().describe()
    };
    let url = Some("postgres://u@setting/d".to_owned());
    assert_eq!(described(url, 0), "database d on setting port 5432 as u");
    assert_eq!(described(None, 0), "database d on variable port 5432 as u");
    assert_eq!(
        described(None, 1),
        "database d on credential port 5432 as u"
    );
    assert_eq!(described(None, 2), "database d on host port 5432 as u");
}

#[test]
fn a_service_says_what_the_string_leaves_open_and_the_variables_come_after_it() {
    let text = "[other]\nhost=wrong\n\n# a comment\n [shop] \n host=h\nport=5433\nuser=u\ndbname=d\nhost=second\n[next]\nhost=wrong\n";
    let directory = Directory::with("service", ".pg_service.conf", text);
    let home = ("HOME", directory.path());
    let described = |url: &str, more: &[(&'static str, &'static str)]| {
        let mut variables = std::collections::BTreeMap::from([home]);
        variables.extend(more.iter().copied());
        let settings = Database {
            url: (!url.is_empty()).then(|| url.to_owned()),
            ..Database::default()
        };
        let environment = Environment::from_iter(variables);
        Target::resolve(&settings, &environment).map(|target| target.describe())
    };
    let whole = "database d on h port 5433 as u";
    let by_variable = [("PGSERVICE", "shop"), ("PGHOST", "variable")];
    assert_eq!(described("", &by_variable).unwrap(), whole);
    assert_eq!(described("service=shop", &[]).unwrap(), whole);
    assert_eq!(
        described("postgres://me@/?service=shop", &[("PGSERVICE", "other")]).unwrap(),
        "database d on h port 5433 as me"
    );
    let nowhere = described("service=shopp", &[]).unwrap_err().to_string();
    assert!(
        nowhere.contains("the service \"shopp\" is not defined"),
        "{nowhere}"
    );
}

#[test]
fn the_shared_file_of_services_is_asked_after_the_users_own() {
    let own = Directory::with("own", ".pg_service.conf", "[mine]\nhost=own\n");
    let shared = Directory::with(
        "shared",
        "pg_service.conf",
        "[mine]\nhost=shared\n[ours]\nhost=shared\n",
    );
    let variables = [
        ("HOME", own.path()),
        ("PGSYSCONFDIR", shared.path()),
        ("PGUSER", "u"),
    ];
    let described = |service: &str| {
        resolve(&format!("service={service}"), variables)
            .unwrap()
            .describe()
    };
    assert_eq!(described("mine"), "database u on own port 5432 as u");
    assert_eq!(described("ours"), "database u on shared port 5432 as u");
}

#[test]
fn a_line_of_a_service_that_is_wrong_is_named_by_its_number_and_not_quoted() {
    for (line, says) in [
        ("s3cret", "an equals sign and a value"),
        ("ldap://s3cret", "LDAP is not supported"),
        ("service=s3cret", "cannot refer to another one"),
        ("s3cret=x", "is not known"),
        (
            "sslcrl=s3cret",
            "sslcrl asks for what session-reaper cannot do",
        ),
    ] {
        let text = format!("[shop]\nhost=h\n{line}\n");
        let directory = Directory::with(&format!("wrong-{}", says.len()), "services", &text);
        let file = format!("{}/services", directory.path());
        let told = resolve("service=shop", [("PGSERVICEFILE", &file)]);
        let told = told.unwrap_err().to_string();
        assert!(
            told.contains("line 3 of the service file") && told.contains(says),
            "{told}"
        );
        assert!(!told.contains("s3cret"), "{told}");
    }
    let gone = resolve("service=shop", [("PGSERVICEFILE", "/nonexistent")]);
    assert!(
        gone.unwrap_err()
            .to_string()
            .contains("cannot read the service file")
    );
}

#[test]
fn every_host_gets_its_own_port_password_and_share_of_the_time() {
    let directory = Directory::with("hosts", ".pgpass", "a:5433:*:*:one\nb:*:*:*:two\n");
    let home = ("HOME", directory.path());
    let target = resolve("postgres://u@a:5433,b/d", [home]).unwrap();
    assert_eq!(
        target.describe(),
        "database d on a port 5433, b port 5432 as u"
    );
    assert_eq!(config(&target, 0).get_password(), Some(b"one".as_slice()));
    assert_eq!(config(&target, 1).get_password(), Some(b"two".as_slice()));
    assert_eq!(config(&target, 1).get_ports(), [5432]);
    assert_eq!(
        config(&target, 1).get_target_session_attrs(),
        TargetSessionAttrs::ReadWrite
    );
    assert_eq!(target.share(), Duration::from_secs(5));

    let named = resolve(
        "host=a port=5433 user=u password=url",
        [home, ("PGPASSWORD", "x")],
    )
    .unwrap();
    assert_eq!(config(&named, 0).get_password(), Some(b"url".as_slice()));
    let variable = resolve("host=a port=5433 user=u", [home, ("PGPASSWORD", "x")]).unwrap();
    assert_eq!(config(&variable, 0).get_password(), Some(b"x".as_slice()));
    let elsewhere = resolve(
        "host=a port=5433 user=u",
        [home, ("PGPASSFILE", "/dev/null")],
    )
    .unwrap();
    assert_eq!(config(&elsewhere, 0).get_password(), None);
}

#[test]
fn the_usual_socket_is_localhost_in_the_password_file() {
    let directory = Directory::with("socket", ".pgpass", "localhost:5432:*:*:here\n");
    let target = resolve("", [("HOME", directory.path())]).unwrap();
    assert_eq!(config(&target, 0).get_password(), Some(b"here".as_slice()));
}

#[test]
fn what_the_driver_would_refuse_is_translated() {
    let target = target(
        "host=h target_session_attrs=primary sslmode=disable sslrootcert=/x tcp_user_timeout=1500 \
         gssencmode=disable options='-c geqo=off' connect_timeout=4",
    );
    let config = config(&target, 0);
    assert_eq!(
        config.get_target_session_attrs(),
        TargetSessionAttrs::ReadWrite
    );
    assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_secs(2)));
    assert_eq!(config.get_options(), Some("-c geqo=off"));
    assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(2)));
    assert_eq!(target.patience, Duration::from_secs(4));
}

#[test]
fn idle_connections_are_probed_after_half_a_minute_unless_told_otherwise() {
    let idle = |url| config(&target(url), 0).get_keepalives_idle();
    assert_eq!(idle("host=h"), Duration::from_secs(30));
    assert_eq!(idle("host=h keepalives_idle=7"), Duration::from_secs(7));
}

#[test]
fn an_address_goes_with_its_name_or_stands_for_it() {
    let both = target("host=db.example hostaddr=127.0.0.1");
    assert_eq!(
        config(&both, 0).get_hosts(),
        [Name::Tcp("db.example".to_owned())]
    );
    assert_eq!(config(&both, 0).get_hostaddrs().len(), 1);
    let alone = target("hostaddr=127.0.0.1");
    assert_eq!(
        config(&alone, 0).get_hosts(),
        [Name::Tcp("127.0.0.1".to_owned())]
    );
}

#[test]
fn a_socket_among_hosts_is_not_encrypted() {
    let target = target("host=/run/pg,h sslmode=require user=u");
    assert_eq!(config(&target, 0).get_ssl_mode(), SslMode::Disable);
    assert_eq!(config(&target, 1).get_ssl_mode(), SslMode::Require);
}

#[test]
fn nonsense_is_told_in_a_sentence() {
    let told = |url| resolve(url, []).unwrap_err().to_string();
    assert!(told("host=a,b hostaddr=127.0.0.1").contains("a different number of hosts"));
    assert!(told("host=a port=1,2").contains("a different number of hosts"));
    assert!(told("host=a target_session_attrs=standby").contains("any, read-write or primary"));
    assert!(told("host=a connect_timeout=soon").contains("whole number of seconds"));
    assert!(told("host=a tcp_user_timeout=soon").contains("`tcp_user_timeout`"));
    assert!(told("host=a sslmode=maybe").contains("verify-ca or verify-full"));
    assert!(told("mysql://h/d").contains("scheme is not postgresql://"));
}

#[test]
fn no_description_shows_a_password() {
    let target = target("postgres://u:s3cret@h/d");
    assert!(!format!("{target:?} {}", target.describe()).contains("s3cret"));
    assert!(!format!("{:?}", target.database().unwrap()).contains("s3cret"));
}
