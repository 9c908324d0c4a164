//! Sessions that PHP, Ruby and Go themselves make up at random (`tests/apps/codecs`): each reports what it has put into one,
//! and that is found there.
//!
//! `make test-apps` brings these languages and runs this. `CODEC_SEED` repeats a run; `CODEC_SESSIONS` is for how many.

use std::{path::Path, process::Command};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::*;

fn decoded(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

fn number(variable: &str, usual: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(usual, |given| given.parse().unwrap())
}

/// Runs the program with these arguments beside seed and number of sessions.
fn finds_what_is_there(codec: &Codec, runtime: &[&str], says: &[&str]) {
    let seed = number("CODEC_SEED", fastrand::u64(..1 << 31));
    let sessions = number("CODEC_SESSIONS", 5_000);
    println!("{runtime:?} {says:?}: CODEC_SEED={seed}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = Command::new(root.join("target/frameworks/starters").join(runtime[0]))
        .current_dir(root.join("tests/apps/codecs"))
        .args(&runtime[1..])
        .args([seed, sessions].map(|number| number.to_string()))
        .args(says)
        .output()
        .expect("tests/apps/install has brought the language");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let lines = String::from_utf8(made.stdout).unwrap();
    let mut users = 0;
    for (at, line) in lines.lines().enumerate() {
        let (data, user) = line.split_once(' ').unwrap();
        let expected = match user {
            "-" => Found::Anonymous,
            user => Found::User(String::from_utf8(decoded(user)).unwrap()),
        };
        users += u64::from(user != "-");
        let data = decoded(data);
        let found = codec.find_user(&data);
        assert_eq!(
            found,
            expected,
            "session {at}: {}",
            String::from_utf8_lossy(&data)
        );
    }
    println!("{} sessions, {users} with a user", lines.lines().count());
    assert_eq!(u64::try_from(lines.lines().count()).unwrap(), sessions);
    assert!(users > sessions / 2);
}

#[test]
#[ignore = "needs PHP: make test-apps"]
fn symfonys_user_is_found_in_what_phps_three_handlers_write() {
    for handler in ["php", "php_binary", "php_serialize"] {
        finds_what_is_there(
            &Format::Symfony.into(),
            &["php", "sessions.php"],
            &[handler],
        );
    }
}

#[test]
#[ignore = "needs PHP: make test-apps"]
fn laravels_user_is_found_in_what_php_serializes() {
    finds_what_is_there(
        &Format::Laravel.into(),
        &["php", "sessions.php"],
        &["laravel"],
    );
}

#[test]
#[ignore = "needs Ruby: make test-apps"]
fn devises_user_is_found_in_what_ruby_marshals() {
    finds_what_is_there(&Format::Rails.into(), &["ruby", "sessions.rb"], &[]);
}

#[test]
#[ignore = "needs Go: make test-apps"]
fn the_user_of_scs_is_found_in_what_gob_encodes() {
    let codec = Codec {
        format: Format::Scs,
        user: vec!["userID".to_owned()],
    };
    finds_what_is_there(&codec, &["go", "run", "sessions.go"], &[]);
}
