//! The samples of Flask were written by msgspec 0.22 with the keys of Flask-Session 0.8 and Flask-Login 0.6; those of
//! tower-sessions are built here with the serializer that it uses.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::codec::fuzz::{Armour, fuzz};
use crate::codec::{Codec, Format, Found, MAX_BYTES, Reason};

const FLASK: &str = "hKpfcGVybWFuZW50w6ZfZnJlc2jDqF91c2VyX2lkojQyo19pZNmAYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWI=";
const FLASK_BUSY: &str = "iKpfcGVybWFuZW50w6R3aGVu1/+RrTaAawTYxaFixAL//qFmyz/4AAAAAAAAoW7AoWySAYGoX3VzZXJfaWShOQECqF91c2VyX2lk2SQwMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDU=";

// tower-sessions' own record, with an expiry as the `time` crate writes it for machines.
#[derive(Serialize)]
struct Record {
    id: i128,
    data: Map<String, Value>,
    expiry_date: (i32, u16, u8, u8, u8, u32, i8, i8, i8),
}

fn record(data: Value) -> Record {
    let Value::Object(data) = data else {
        panic!("a session is a map")
    };
    Record {
        id: -1 << 100,
        data,
        expiry_date: (2030, 1, 0, 0, 0, 0, 0, 0, 0),
    }
}

fn find(format: Format, data: impl AsRef<[u8]>) -> Found {
    Codec::from(format).find_user(data.as_ref())
}

fn at(path: &[&str], data: &[u8]) -> Found {
    let user = path.iter().map(|key| (*key).to_owned()).collect();
    Codec {
        format: Format::MessagePack,
        user,
    }
    .find_user(data)
}

fn user(id: &str) -> Found {
    Found::User(id.to_owned())
}

#[test]
fn tower_sessions_are_read_with_and_without_names_of_fields() {
    let id = "6f3c1e2a-0000-4000-8000-1234567890ab";
    for (id, text) in [
        (json!(42), "42"),
        (json!(-7), "-7"),
        (json!(id), id),
        (json!(u64::MAX), "18446744073709551615"),
    ] {
        let record = record(
            json!({ "a": [1, {}], "axum-login.data": { "auth_hash": [1, 2], "user_id": id }, "z": null }),
        );
        assert_eq!(
            find(Format::TowerSessions, rmp_serde::to_vec(&record).unwrap()),
            user(text)
        );
        assert_eq!(
            find(
                Format::TowerSessions,
                rmp_serde::to_vec_named(&record).unwrap()
            ),
            user(text)
        );
    }
    let anonymous =
        rmp_serde::to_vec(&record(json!({ "axum-login.data": { "user_id": null } }))).unwrap();
    assert_eq!(find(Format::TowerSessions, anonymous), Found::Anonymous);
    assert_eq!(
        find(
            Format::TowerSessions,
            rmp_serde::to_vec(&record(json!({}))).unwrap()
        ),
        Found::Anonymous
    );
}

#[test]
fn flask_sessions_are_read_whatever_else_they_hold() {
    assert_eq!(
        find(Format::FlaskSession, STANDARD.decode(FLASK).unwrap()),
        user("42")
    );
    assert_eq!(
        find(Format::FlaskSession, STANDARD.decode(FLASK_BUSY).unwrap()),
        user("00000000-0000-0000-0000-000000000005")
    );
    assert_eq!(
        find(Format::FlaskSession, r#"{"_user_id":"42"}"#),
        user("42")
    );
    assert_eq!(find(Format::FlaskSession, b"\x80"), Found::Anonymous);
    assert_eq!(
        find(Format::FlaskSession, b"\x80\x04}\x94."),
        Found::Unreadable(Reason::Pickled)
    );
}

#[test]
fn paths_lead_through_lists_and_numbers() {
    let data =
        rmp_serde::to_vec(&json!({ "passport": { "users": [{}, { "id": 5 }] }, "list": ["a"] }))
            .unwrap();
    assert_eq!(at(&["passport", "users", "1", "id"], &data), user("5"));
    assert_eq!(
        at(&["passport", "users", "2", "id"], &data),
        Found::Anonymous
    );
    assert_eq!(
        at(&["list", "id"], &data),
        Found::Unreadable(Reason::NotMap)
    );
    assert_eq!(
        at(&["list", "0", "id"], &data),
        Found::Unreadable(Reason::NotMap)
    );
    assert_eq!(at(&["7"], b"\x81\x07\xa1x"), user("x"));
}

#[test]
fn keys_of_any_type_are_passed_by() {
    let entries: [&[u8]; 7] = [
        b"\xc0\x01",
        b"\xc3\x01",
        b"\xca\0\0\0\0\x01",
        b"\x91\x01\x01",
        b"\x81\x01\x02\x01",
        b"\xd4\x01\x02\x01",
        b"\xc4\x01\xff\x01",
    ];
    for entry in entries {
        let data = [b"\x82", entry, b"\xa1u\xa1x"].concat();
        assert_eq!(at(&["u"], &data), user("x"), "{}", entry.escape_ascii());
    }
}

#[test]
fn claims_of_hostile_data_cost_nothing() {
    use Reason::{Malformed, NotKey, NotMap, TooDeep, TooLarge, Truncated};
    let cases: [(Vec<u8>, Reason); 13] = [
        (b"".to_vec(), Truncated),
        (b"\xdf\xff\xff\xff\xff".to_vec(), Truncated),
        (b"\x81\xa1u\xdd\xff\xff\xff\xff".to_vec(), Truncated),
        (b"\x81\xa1u\xdb\xff\xff\xff\xff".to_vec(), Truncated),
        (b"\x81\xa1u\xc6\xff\xff\xff\xff".to_vec(), Truncated),
        (b"\x81\xa1u\xc9\xff\xff\xff\xff\x01".to_vec(), Truncated),
        (b"\xc1".to_vec(), Malformed),
        (b"\x80\x80".to_vec(), Malformed),
        (b"\x2a".to_vec(), NotMap),
        (b"\x81\xa1u\xa0".to_vec(), NotKey),
        (b"\x81\xa1u\xc4\x01\xff".to_vec(), NotKey),
        (b"\x81\xa1u".repeat(100_000), TooDeep),
        (vec![0xc0; MAX_BYTES + 1], TooLarge),
    ];
    for (data, reason) in cases {
        let shown = data[..data.len().min(20)].escape_ascii().to_string();
        assert_eq!(at(&["u"], &data), Found::Unreadable(reason), "{shown}");
    }
    // A list in a list in a list, beside the way.
    let deep = [
        b"\x82\xa1a".to_vec(),
        b"\x91".repeat(100_000),
        b"\x01\xa1u\x01".to_vec(),
    ]
    .concat();
    assert_eq!(at(&["u"], &deep), Found::Unreadable(TooDeep));
}

#[test]
fn damage_of_any_kind_is_survived() {
    let samples = [FLASK, FLASK_BUSY].map(|data| STANDARD.decode(data).unwrap());
    fuzz(&Format::FlaskSession.into(), &[Armour::None], &samples);
    let data = record(
        json!({ "a": [1, { "b": 0.5 }], "axum-login.data": { "user_id": 42, "auth_hash": [1, 2] } }),
    );
    let samples = [
        rmp_serde::to_vec(&data).unwrap(),
        rmp_serde::to_vec_named(&data).unwrap(),
    ];
    fuzz(&Format::TowerSessions.into(), &[Armour::None], &samples);
}
