use super::*;
use crate::connection::Target;
use crate::settings::{Database, Environment};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// A server that reads what the client starts with, says one thing and hangs up.
fn server_that_says(answer: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(&answer);
        }
    });
    port
}

/// A server that accepts and never answers.
fn silent_server() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn refusal(code: &str, message: &str) -> Vec<u8> {
    let fields = format!(
        "SFATAL\0VFATAL\0C{code}\0M{message}\0DKey (session_key)=(s3cret)\0Hs3cret\0Ws3cret\0\0"
    );
    let length = u32::try_from(fields.len() + 4).unwrap();
    [b"E".as_slice(), &length.to_be_bytes(), fields.as_bytes()].concat()
}

fn target(url: &str) -> Target {
    let settings = Database {
        url: Some(format!("{url} user=app dbname=shop sslmode=disable")),
        connect_timeout_s: 1,
        ..Database::default()
    };
    Target::resolve(&settings, &Environment::from([])).unwrap()
}

async fn error_from(url: &str) -> Error {
    target(url)
        .connect()
        .await
        .err()
        .expect("nobody serves there")
}

async fn error_after(code: &str, message: &str) -> Error {
    let port = server_that_says(refusal(code, message));
    error_from(&format!("host=127.0.0.1 port={port}")).await
}

#[tokio::test]
async fn only_the_servers_message_is_shown_and_an_advice() {
    let error = error_after("28P01", "password authentication failed for user \"app\"").await;
    let told = error.to_string();
    assert!(
        told.starts_with("cannot connect to database shop on 127.0.0.1 port "),
        "{told}"
    );
    assert!(
        told.ends_with(
            " as app: password authentication failed for user \"app\"; check the user and the password"
        ),
        "{told}"
    );
    assert_eq!(error.sqlstate().map(SqlState::code), Some("28P01"));
    assert!(!error.is_transient() && !error.is_not_there_yet());
}

#[tokio::test]
async fn nothing_that_a_row_holds_is_shown() {
    for (code, message) in [
        (
            "23505",
            "duplicate key value violates unique constraint \"k\"",
        ),
        ("22P02", "invalid input syntax for type uuid: \"s3cret\""),
    ] {
        let error = error_after(code, message).await;
        let chain = anyhow::Error::from(error);
        assert!(
            !format!("{chain:#} {chain:?}").contains("s3cret"),
            "{chain:#}"
        );
    }
}

#[tokio::test]
async fn failures_are_told_apart_by_what_helps() {
    // Code, whether trying again helps, whether waiting at the start helps, whether it is a standby.
    let expected = [
        ("57P03", true, true, false),
        ("53300", true, true, false),
        ("57P01", true, true, false),
        ("57P02", true, true, false),
        ("26000", true, true, false),
        ("42P05", true, true, false),
        ("08006", true, false, false),
        ("40001", true, false, false),
        ("55P03", true, false, false),
        ("25006", true, false, true),
        ("28000", false, false, false),
        ("3D000", false, false, false),
        ("42501", false, false, false),
        ("42P01", false, false, false),
    ];
    for (code, transient, not_there_yet, read_only) in expected {
        let error = error_after(code, "x").await;
        assert_eq!(error.is_transient(), transient, "{code}");
        assert_eq!(error.is_not_there_yet(), not_there_yet, "{code}");
        assert_eq!(error.is_read_only(), read_only, "{code}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_may_come() {
    let (listener, free) = silent_server();
    drop(listener);
    let hang_up = server_that_says(Vec::new());
    for (url, told) in [
        (
            format!("host=127.0.0.1 port={free}"),
            "check that PostgreSQL runs and listens there",
        ),
        (
            "host=/does/not/exist".to_owned(),
            "check that PostgreSQL runs and listens there",
        ),
        (
            "host=no-such-host.invalid".to_owned(),
            "check the name of the host",
        ),
        (format!("host=127.0.0.1 port={hang_up}"), ""),
    ] {
        let error = error_from(&url).await;
        assert!(error.is_not_there_yet() && error.is_transient(), "{error}");
        assert!(error.to_string().ends_with(told), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_in_time() {
    let (_listener, port) = silent_server();
    let target = target(&format!("host=127.0.0.1 port={port}"));
    let began = Instant::now();
    let error = target.connect().await.err().unwrap();
    assert!(error.is_not_there_yet(), "{error}");
    assert!(
        error.to_string().contains("did not answer in time"),
        "{error}"
    );
    let error = target.database().unwrap().hold().await.err().unwrap();
    assert!(error.is_not_there_yet(), "{error}");
    assert!(began.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn the_next_host_is_tried_after_one_that_never_answers() {
    let (_listener, silent) = silent_server();
    let next = server_that_says(refusal("3D000", "database \"shop\" does not exist"));
    let error = error_from(&format!("host=127.0.0.1,127.0.0.1 port={silent},{next}")).await;
    assert_eq!(
        error.sqlstate(),
        Some(&SqlState::INVALID_CATALOG_NAME),
        "{error}"
    );
}

#[tokio::test]
async fn the_pool_tells_what_the_server_said() {
    let port = server_that_says(refusal("53300", "sorry, too many clients already"));
    let database = target(&format!("host=127.0.0.1 port={port}"))
        .database()
        .unwrap();
    let error = database.hold().await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "no connection to the database can be had: sorry, too many clients already; \
         raise max_connections on the server or lower database.pool_size"
    );
    database.0.close();
    let error = database.hold().await.err().unwrap();
    assert!(!error.is_transient(), "{error}");
}

/// lc_messages decides the language and the quotes.
#[tokio::test]
async fn a_value_that_could_not_be_read_is_shown_in_no_language() {
    for message in [
        "invalid input syntax for type uuid: \"s3cret\"",
        "syntaxe en entr\u{e9}e invalide pour le type uuid : \u{ab}\u{a0}s3cret\u{a0}\u{bb}",
        "ung\u{fc}ltige Eingabesyntax f\u{fc}r Typ uuid: \u{201e}s3cret\u{201c}",
        "\u{578b}uuid\u{306e}\u{5165}\u{529b}\u{69cb}\u{6587}\u{304c}\u{4e0d}\u{6b63}\u{3067}\u{3059}: \u{300c}s3cret\u{300d}",
    ] {
        let error = error_after("22P02", message).await.to_string();
        assert!(!error.contains("s3cret"), "{error}");
    }
}
