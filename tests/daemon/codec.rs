//! The codec of Django's sessions reads what Django itself reads.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use session_reaper::codec::django::{AuthHash, credentials};
use session_reaper::codec::django_hash::{SecretKeys, is_among};
use session_reaper::codec::{Codec, Format, Found};

const SESSIONS: usize = 3_000;

// From the Django that the tests of the site run in.
fn written_by_django(seed: u64) -> Vec<Value> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(project.join("target/django-venv/bin/python"))
        .arg(project.join("tests/django/write_sessions.py"))
        .args([seed.to_string(), SESSIONS.to_string()])
        .output()
        .expect("Django is needed: run `tests/install all`");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_session_that_django_writes_is_read_as_django_reads_it() {
    let seed = fastrand::u64(..1 << 32);
    println!("seed {seed}");
    let lines = written_by_django(seed);
    let (key, sessions) = lines.split_first().unwrap();
    let keys = SecretKeys::new([key.as_str().unwrap()]);
    let [blocks] = keys.blocks() else {
        panic!("one key");
    };
    let matches = |password: &str, hash: &AuthHash| is_among(&[&blocks.answer(password)], hash);
    let mut anonymous = 0;
    for session in sessions {
        let data = session["data"].as_str().unwrap().as_bytes();
        let user = match &session["user"] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            number => Some(number.to_string()),
        };
        let found = Codec::from(Format::Django).find_user(data);
        assert_eq!(
            found,
            user.clone().map_or(Found::Anonymous, Found::User),
            "{session}"
        );
        let Some(credentials) = credentials(data) else {
            assert_eq!(user, None, "{session}");
            anonymous += 1;
            continue;
        };
        assert_eq!(Some(credentials.user), user);
        assert!(
            matches(session["password"].as_str().unwrap(), &credentials.hash),
            "{session}"
        );
        assert!(!matches("another", &credentials.hash));
    }
    assert_eq!(sessions.len(), SESSIONS);
    assert!(
        (SESSIONS / 10..SESSIONS / 2).contains(&anonymous),
        "{anonymous} are anonymous"
    );
}
