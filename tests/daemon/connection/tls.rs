//! TLS and sessions against a real server with a self-signed certificate of the kind that PostgreSQL's manual
//! shows how to make: an authority by its own account, with a common name and no alternative names.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use deadpool_postgres::Object;
use session_reaper::connection::{Error, Target};
use session_reaper::demo::server::{Options, Server};
use session_reaper::settings::{Database, Environment};

fn server_with_a_certificate() -> (Server, PathBuf) {
    let options = Options {
        tcp: true,
        ..Options::default()
    };
    let mut server = Server::start(&options).unwrap();
    let certificate = make_certificate(&server.data_dir(), "server", "localhost");
    let conf = server.data_dir().join("postgresql.conf");
    let text = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(&conf, text + "\nssl = on\n").unwrap();
    server.restart().unwrap();
    (server, certificate)
}

// The server insists that the key is its own, and it is another user's when the tests run as root.
fn make_certificate(data_dir: &Path, name: &str, subject: &str) -> PathBuf {
    let certificate = data_dir.join(name).with_extension("crt");
    let key = certificate.with_extension("key");
    let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    let made = Command::new("openssl")
        .args(arguments.split(' '))
        .args(["-subj", &format!("/CN={subject}"), "-out"])
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let owner = data_dir.metadata().unwrap();
    for path in [&certificate, &key] {
        chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    certificate
}

fn target(server: &Server, host: &str, more: &str) -> Target {
    let port = server.port();
    let settings = Database {
        url: Some(format!(
            "host={host} port={port} user=postgres dbname=postgres {more}"
        )),
        ..Database::default()
    };
    Target::resolve(&settings, &Environment::from([])).unwrap()
}

async fn is_encrypted(target: &Target) -> Result<bool, Error> {
    let (client, connection) = target.connect().await?;
    tokio::spawn(connection);
    let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    Ok(client.query_one(sql, &[]).await?.get(0))
}

#[tokio::test]
async fn every_sslmode_means_what_it_means_to_libpq() {
    let (server, certificate) = server_with_a_certificate();
    let root = format!("sslrootcert={}", certificate.display());
    let encrypted = async |host: &str, more: &str| is_encrypted(&target(&server, host, more)).await;

    assert!(!encrypted("localhost", "sslmode=disable").await.unwrap());
    for mode in ["allow", "prefer", "require"] {
        assert!(
            encrypted("localhost", &format!("sslmode={mode}"))
                .await
                .unwrap(),
            "{mode}"
        );
    }
    for mode in ["verify-ca", "verify-full"] {
        let error = encrypted("localhost", &format!("sslmode={mode}"))
            .await
            .unwrap_err();
        assert!(!error.is_not_there_yet(), "{error}");
        assert!(
            encrypted("localhost", &format!("sslmode={mode} {root}"))
                .await
                .unwrap(),
            "{mode}"
        );
    }
    assert!(
        encrypted("127.0.0.1", &format!("sslmode=verify-ca {root}"))
            .await
            .unwrap()
    );
    let error = encrypted("127.0.0.1", &format!("sslmode=verify-full {root}"))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("check sslmode and sslrootcert"),
        "{error}"
    );

    let socket = server.socket_dir().display().to_string();
    assert!(
        !encrypted(&socket, "sslmode=verify-full sslrootcert=system")
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_client_certificate_lets_its_user_in() {
    let (mut server, _) = server_with_a_certificate();
    let data_dir = server.data_dir();
    let certificate = make_certificate(&data_dir, "client", "postgres");
    let rule = "hostssl all all all cert\nlocal all all trust\n";
    std::fs::write(data_dir.join("pg_hba.conf"), rule).unwrap();
    let conf = data_dir.join("postgresql.conf");
    let text = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(&conf, text + "\nssl_ca_file = 'client.crt'\n").unwrap();
    server.restart().unwrap();

    let key = certificate.with_extension("key");
    let with = format!(
        "sslmode=require sslcert={} sslkey={}",
        certificate.display(),
        key.display()
    );
    assert!(
        is_encrypted(&target(&server, "localhost", &with))
            .await
            .unwrap()
    );
    let error = is_encrypted(&target(&server, "localhost", "sslmode=require"))
        .await
        .unwrap_err();
    assert_eq!(
        error.sqlstate().map(|state| state.code()),
        Some("28000"),
        "{error}"
    );
    assert!(!error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_password_goes_over_tls_bound_to_its_channel() {
    let (mut server, _) = server_with_a_certificate();
    let (admin, connection) = target(&server, &server.socket_dir().display().to_string(), "")
        .connect()
        .await
        .unwrap();
    tokio::spawn(connection);
    admin
        .batch_execute("alter role postgres password 'one two'")
        .await
        .unwrap();
    let rule = "hostssl all all all scram-sha-256\nlocal all all trust\n";
    std::fs::write(server.data_dir().join("pg_hba.conf"), rule).unwrap();
    server.restart().unwrap();

    let with = |password| format!("sslmode=require channel_binding=require password='{password}'");
    assert!(
        is_encrypted(&target(&server, "localhost", &with("one two")))
            .await
            .unwrap()
    );
    let error = is_encrypted(&target(&server, "localhost", &with("wrong")))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("check the user and the password"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_without_tls_is_refused_by_require_and_not_by_prefer() {
    let options = Options {
        tcp: true,
        ..Options::default()
    };
    let server = Server::start(&options).unwrap();
    assert!(
        !is_encrypted(&target(&server, "localhost", "sslmode=prefer"))
            .await
            .unwrap()
    );
    let error = is_encrypted(&target(&server, "localhost", "sslmode=require"))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("server does not support TLS"),
        "{error}"
    );
}

async fn shown(client: &tokio_postgres::Client, setting: &str) -> String {
    let row = client
        .query_one("select current_setting($1)", &[&setting])
        .await
        .unwrap();
    row.get(0)
}

#[tokio::test]
async fn pooled_and_single_connections_have_the_same_session() {
    let server = Server::start(&Options::default()).unwrap();
    let target = target(&server, &server.socket_dir().display().to_string(), "");
    let (single, connection) = target.connect().await.unwrap();
    tokio::spawn(connection);
    let pooled: Object = target.database().unwrap().hold().await.unwrap();
    for (setting, value) in [
        ("application_name", "session-reaper"),
        ("default_transaction_isolation", "read committed"),
        ("synchronous_commit", "off"),
        ("statement_timeout", "30s"),
        ("lock_timeout", "400ms"),
        ("idle_in_transaction_session_timeout", "5s"),
        ("client_min_messages", "warning"),
        ("search_path", "\"$user\", public"),
    ] {
        assert_eq!(shown(&single, setting).await, value);
        assert_eq!(shown(&pooled, setting).await, value);
    }
}

#[tokio::test]
async fn a_connection_that_turned_out_read_only_does_not_come_back() {
    let server = Server::start(&Options::default()).unwrap();
    let database = target(&server, &server.socket_dir().display().to_string(), "")
        .database()
        .unwrap();
    database
        .batch_execute("set default_transaction_read_only = on")
        .await
        .unwrap();
    let create = "create table t ()";
    let error = database.batch_execute(create).await.unwrap_err();
    assert!(error.is_read_only(), "{error}");
    database.drop_useless(&error);
    database.batch_execute(create).await.unwrap();
}
