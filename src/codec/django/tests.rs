//! The samples were written by Django 5.2's `SessionStore.encode`, with the secret key `not a secret`.

use miniz_oxide::deflate::compress_to_vec_zlib;

use super::*;
use crate::codec::fuzz::{Armour, fuzz};
use crate::codec::{Codec, Format};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

const EMPTY: &str = "e30:1xVeDd:nJJSGb4Eh-O8haqPSvkl80k3Or7usHmvZ_QN5iwGxbI";
const PLAIN: &str =
    "eyJfYXV0aF91c2VyX2lkIjoiNyJ9:1xVeDd:vODC0pHid38S3FSjzEHEXw0g_xzeBXnSrhtyI0QvrUk";
const PACKED: &str = ".eJyrVopPLC3JiC8tTi2Kz0xRslIyMVLSQRZMSkzOTs0DyaRkJeal5-sl5-eVFGUm6YGU6EFli_V881NSc5ygalEMyEgszgDqNjA0MjYxNTO3sExMSk5JTSOVr1QLAPCKOAo:1xVeDd:4hO3vd1VvUqb1aaGUFwvPsdhMwFQ0320Kf_J3iOYjXY";
// The same as Django 3.2's `_legacy_encode` wrote it, and with its PickleSerializer in either format.
const OLD: &str = "ZmI3Njk5NDNkNTkwZjRjMmVkODVlMDI0MGZmNjk1ZGU5OWIyZmU3Mzp7Il9hdXRoX3VzZXJfaWQiOiI0MiIsIl9hdXRoX3VzZXJfYmFja2VuZCI6ImRqYW5nby5jb250cmliLmF1dGguYmFja2VuZHMuTW9kZWxCYWNrZW5kIiwiX2F1dGhfdXNlcl9oYXNoIjoiMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZiJ9";
const OLD_EMPTY: &str = "OGM5YmY4MTA3YTQ0ZDY1ODlhNjllOTVmNGQ4MmVkNTA5M2M5NjIyNzp7fQ==";
const PICKLE: &str = ".eJxrYJ26gQECaqdo9PDGJ5aWZMSXFqcWxWemTOlhMjGa0iOEJJiUmJydmgeU0UzJSsxLz9dLzs8rKcpM0gMp0YPKFuv55qek5jjB1PIjGZCRWJwxpcfBwNDI2MTUzNzCMjEpOSU1jVT-lFI9AAktP3M:1xVeIm:3AysZK5naeB-1KbpbOJip0Uaytdy85PWl8EBoTdLHLo";
const OLD_PICKLE: &str = "ZWI2YWE1MTUwNTgwMTNmMjBjZGZmZTJlYzEzYzZhZDczMjljMDJkMTqABZWwAAAAAAAAAH2UKIwNX2F1dGhfdXNlcl9pZJSMAjQylIwSX2F1dGhfdXNlcl9iYWNrZW5klIwpZGphbmdvLmNvbnRyaWIuYXV0aC5iYWNrZW5kcy5Nb2RlbEJhY2tlbmSUjA9fYXV0aF91c2VyX2hhc2iUjEAwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmlHUu";
// {"n": nan, "m": -inf, "k\ud800": "NaN \\\" Infinity", "_auth_user_id": "9"}
const NOT_QUITE_JSON: &str = "eyJuIjpOYU4sIm0iOi1JbmZpbml0eSwia1x1ZDgwMCI6Ik5hTiBcXFwiIEluZmluaXR5IiwiX2F1dGhfdXNlcl9pZCI6IjkifQ:1xVeDd:9-0EpYc1pqCL2WITmleT1dWf3osszF6qgGPa1g0UWok";

fn find(data: impl AsRef<[u8]>) -> Found {
    Codec::from(Format::Django).find_user(data.as_ref())
}

fn user(id: &str) -> Found {
    Found::User(id.to_owned())
}

fn plain(json: impl AsRef<[u8]>) -> String {
    format!("{}:1xVeDd:signature", URL_SAFE_NO_PAD.encode(json))
}

fn packed(json: &[u8]) -> String {
    format!(
        ".{}:1xVeDd:signature",
        URL_SAFE_NO_PAD.encode(compress_to_vec_zlib(json, 9))
    )
}

fn old(json: &[u8]) -> String {
    STANDARD.encode([b"0123456789abcdef0123456789abcdef01234567:", json].concat())
}

#[test]
fn reads_what_django_wrote() {
    assert_eq!(find(EMPTY), Found::Anonymous);
    assert_eq!(find(PLAIN), user("7"));
    assert_eq!(find(PACKED), user("42"));
}

#[test]
fn reads_the_format_from_before_django_3_1() {
    assert_eq!(find(OLD), user("42"));
    assert_eq!(find(OLD_EMPTY), Found::Anonymous);
    assert_eq!(find(old(br#"{"_auth_user_id":"42"}"#)), user("42"));
    assert_eq!(find(old(b"{}")), Found::Anonymous);
    assert_eq!(
        find(STANDARD.encode(b"{}")),
        Found::Unreadable(Reason::NotFramed)
    );
}

#[test]
fn pickles_are_called_so() {
    assert_eq!(find(PICKLE), Found::Unreadable(Reason::Pickled));
    assert_eq!(find(OLD_PICKLE), Found::Unreadable(Reason::Pickled));
}

#[test]
fn python_numbers_and_half_characters_hide_no_user() {
    assert_eq!(find(NOT_QUITE_JSON), user("9"));
}

#[test]
fn any_type_of_key_is_found_as_it_is_spelt() {
    for id in [
        "0",
        "-1",
        "18446744073709551615",
        "6f3c1e2a-0000-4000-8000-1234567890ab",
        "Zoë",
        "a b",
        "NaN",
        "007",
    ] {
        let json = serde_json::json!({ "_auth_user_id": id }).to_string();
        assert_eq!(find(plain(&json)), user(id));
        assert_eq!(find(packed(json.as_bytes())), user(id));
    }
    assert_eq!(find(plain(r#"{"_auth_user_id":42}"#)), user("42"));
    assert_eq!(find(plain(r#"{"_auth_user_id":-42}"#)), user("-42"));
}

#[test]
fn what_is_no_key_is_no_user() {
    let long = format!(r#""{}""#, "x".repeat(super::super::MAX_USER_BYTES + 1));
    for id in [
        "\"\"",
        "\"\\u0000\"",
        "\"4\\u00002\"",
        "4.5",
        "1e3",
        "true",
        "[]",
        "{}",
        "[42]",
        "{\"a\":1}",
        &long,
    ] {
        let found = find(packed(format!(r#"{{"_auth_user_id":{id}}}"#).as_bytes()));
        assert_eq!(found, Found::Unreadable(Reason::NotKey), "{id}");
    }
    assert_eq!(find(plain(r#"{"_auth_user_id":null}"#)), Found::Anonymous);
}

#[test]
fn of_a_key_that_stands_twice_the_last_counts_as_in_python() {
    assert_eq!(
        find(plain(r#"{"_auth_user_id":"1","_auth_user_id":"2"}"#)),
        user("2")
    );
    assert_eq!(
        find(plain(r#"{"_auth_user_id":"1","_auth_user_id":null}"#)),
        Found::Anonymous
    );
}

#[test]
fn the_user_of_something_inside_is_not_the_sessions() {
    assert_eq!(
        find(plain(
            r#"{"a":{"_auth_user_id":"1"},"b":["_auth_user_id","2"]}"#
        )),
        Found::Anonymous
    );
}

#[test]
fn damage_is_told_apart() {
    use Reason::{NotBase64, NotJson, NotMap, NotZlib, Pickled, Truncated};
    let cases: [(Vec<u8>, Reason); 13] = [
        (b"e3!0:1:x".to_vec(), NotBase64),
        (b"\0\0\0".to_vec(), NotBase64),
        ("\u{fc}:1:x".into(), NotBase64),
        (b":1:x".to_vec(), Truncated),
        (b".:1:x".to_vec(), Truncated),
        (plain(r#"{"_auth_user_id":"#).into(), Truncated),
        (PLAIN[..13].into(), NotBase64),
        (format!("{}:1:x", &PACKED[..60]).into(), Truncated),
        (
            format!(".{}:1:x", URL_SAFE_NO_PAD.encode("not zlib")).into(),
            NotZlib,
        ),
        (plain("{} {}").into(), NotJson),
        (plain(b"\xff\xfe").into(), NotJson),
        (plain("42").into(), NotMap),
        (plain(b"\x80\x04}\x94.").into(), Pickled),
    ];
    for (data, reason) in cases {
        assert_eq!(
            find(&data),
            Found::Unreadable(reason),
            "{}",
            data.escape_ascii()
        );
    }
}

#[test]
fn bytes_that_are_no_text_hide_no_user_and_are_none() {
    assert_eq!(
        find(plain(b"{\"a\xff\":\"\xff\",\"_auth_user_id\":\"1\"}")),
        user("1")
    );
    assert_eq!(
        find(plain(b"{\"_auth_user_id\":\"\xff\"}")),
        Found::Unreadable(Reason::NotJson)
    );
}

#[test]
fn a_bomb_is_given_up_at_the_limit() {
    let bomb = packed(&vec![b' '; 4 * MAX_BYTES]);
    assert!(bomb.len() < 40_000, "{}", bomb.len());
    assert_eq!(find(bomb), Found::Unreadable(Reason::TooLarge));
    assert_eq!(
        find(vec![b'a'; MAX_BYTES + 1]),
        Found::Unreadable(Reason::TooLarge)
    );
}

#[test]
fn depth_costs_no_stack() {
    let deep = |open: &str, middle, close: &str| {
        format!("{}{middle}{}", open.repeat(100_000), close.repeat(100_000))
    };
    for inside in [deep("[", "1", "]"), deep("{\"_auth_user_id\":", "1", "}")] {
        assert_eq!(
            find(packed(
                format!(r#"{{"a":{inside},"_auth_user_id":"1"}}"#).as_bytes()
            )),
            user("1")
        );
    }
    assert_eq!(
        find(plain("[".repeat(100_000))),
        Found::Unreadable(Reason::Truncated)
    );
}

#[test]
fn credentials_are_both_or_none_and_do_not_show() {
    let found = credentials(PACKED.as_bytes()).unwrap();
    assert_eq!((found.user.as_str(), found.hash.0.len()), ("42", 64));
    assert!(!format!("{found:?}").contains("0123"));
    assert_eq!(credentials(PLAIN.as_bytes()), None);
}

#[test]
fn damage_of_any_kind_is_survived() {
    let samples = [PLAIN, PACKED, NOT_QUITE_JSON].map(|data| serialized(data.as_bytes()).unwrap());
    fuzz(
        &Format::Django.into(),
        &[Armour::Signed, Armour::Packed],
        &samples,
    );
}
