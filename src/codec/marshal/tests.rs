//! The samples were written by Ruby 3.1's `Marshal.dump`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::codec::fuzz::{Armour, fuzz};
use crate::codec::{Codec, Format, Found, Reason};

const DEVISE: &str = "BAh7B0kiEF9jc3JmX3Rva2VuBjoGRVRJIgZ0BjsAVEkiGXdhcmRlbi51c2VyLnVzZXIua2V5BjsAVFsHWwZpL0kiIiQyYSQxMiRhYmNkZWZnaGlqa2xtbm9wcXJzdHV2BjsAVA==";
const ANON: &str = "BAh7BkkiEF9jc3JmX3Rva2VuBjoGRVRJIgZ0BjsAVA==";
const BUSY: &str = "BAh7GEkiCXRpbWUGOgZFVEl1OglUaW1lDSCAEcAAAAAABjoJem9uZUkiCFVUQwY7AEY6CHN5bTsISSIJc3ltMgY7AFQ7CEkiBm8GOwBUbzoIT2JqBzoIQGlkaQw6B0BzSSILc2hhcmVkBjsAVEkiB3N0BjsAVFM6CkZsYXNoBzoGYWkGOgZibzsJBzsKaQw7C0kiC3NoYXJlZAY7AFRJIgZmBjsAVGYIMS41SSIIYmlnBjsAVGwrCwAAAAAAAAAAAAABAEkiCG5lZwY7AFRp/39JIgdyZQY7AFRJLwZhAQY7AEZJIghjbHMGOwBUYwtTdHJpbmdJIglzamlzBjsAVEkiBmEGOg1lbmNvZGluZyIOU2hpZnRfSklTSSIGaAY7AFR9AGkKSSIHaHcGOwBUQzoJSFdJQXsGSSIGYQY7AFRpBkkiCG5pbAY7AFQwSSIGdAY7AFRUSSIHczEGOwBUSSIpNmYzYzFlMmEtMDAwMC00MDAwLTgwMDAtMTIzNDU2Nzg5MGFiBjsAVEkiCGJpbgY7AFQiBv9JIhl3YXJkZW4udXNlci51c2VyLmtleQY7AFRbB1sGQCVJIiIkMmEkMTIkYWJjZGVmZ2hpamtsbW5vcHFyc3R1dgY7AFRJIgphZnRlcgY7AFRbB0AlQCs=";
const BIGNUM: &str = "BAh7BkkiGXdhcmRlbi51c2VyLnVzZXIua2V5BjoGRVRbB1sGbCsJBQAAAAAAAEBJIiIkMmEkMTIkYWJjZGVmZ2hpamtsbW5vcHFyc3R1dgY7AFQ=";
const INTS: &str = "BAh7BkkiGXdhcmRlbi51c2VyLnVzZXIua2V5BjoGRVRbB1sGaf2Q7v5JIiIkMmEkMTIkYWJjZGVmZ2hpamtsbW5vcHFyc3R1dgY7AFQ=";
const SYMKEY: &str = "BAh7BjoMdXNlcl9pZGkK";
const CYCLE: &str = "BAh7B0kiBmEGOgZFVFsGQAdJIgx1c2VyX2lkBjsAVGkL";
const LINKEDHASH: &str = "BAh7B0kiBngGOgZFVHsGSSIGawY7AFRJIik2ZjNjMWUyYS0wMDAwLTQwMDAtODAwMC0xMjM0NTY3ODkwYWIGOwBUSSIJdXNlcgY7AFRABw==";
const LINKS: &str = "BAh7CEkiBmIGOgZFVFsHSSIGeAY7AFRbBkkiBnkGOwBUSSIGYQY7AFRbB0AJQAdJIgZjBjsAVEAH";
const MISC: &str = "BAh7D0kiCHNldAY6BkVUbzoIU2V0BjoKQGhhc2h9B2kGVEkiBmEGOwBUVEZJIglkYXRlBjsAVFU6CURhdGVbC2kAaQPihCVpAGkAaQBmDDIyOTkxNjFJIgdiZAY7AFR1Og9CaWdEZWNpbWFsDjE4OjAuMTVlMUkiCnJhbmdlBjsAVG86ClJhbmdlCDoJZXhjbEY6CmJlZ2luaQY6CGVuZGkHSSIIcmF0BjsAVFU6DVJhdGlvbmFsWwdpCGkGSSIGYwY7AFRVOgxDb21wbGV4WwdpAGkHSSIGeAY7AFRJIik2ZjNjMWUyYS0wMDAwLTQwMDAtODAwMC0xMjM0NTY3ODkwYWIGOwBUSSIMdXNlcl9pZAY7AFRAGUkiCG1vZAY7AFRtC0tlcm5lbEkiCGV4dAY7AFRlOg9Db21wYXJhYmxlbzoLT2JqZWN0AA==";

fn find(data: impl AsRef<[u8]>) -> Found {
    Codec::from(Format::Rails).find_user(data.as_ref())
}

fn find_at(path: &[&str], data: impl AsRef<[u8]>) -> Found {
    let user = path.iter().map(|key| (*key).to_owned()).collect();
    Codec {
        format: Format::Rails,
        user,
    }
    .find_user(data.as_ref())
}

fn dump(value: impl AsRef<[u8]>) -> String {
    STANDARD.encode([b"\x04\x08", value.as_ref()].concat())
}

fn user(id: &str) -> Found {
    Found::User(id.to_owned())
}

#[test]
fn devise_sessions_name_their_user() {
    assert_eq!(find(DEVISE), user("42"));
    assert_eq!(find(ANON), Found::Anonymous);
    assert_eq!(find(INTS), user("-70000"));
    assert_eq!(find(BIGNUM), user("4611686018427387909"));
}

#[test]
fn base64_over_several_lines_is_what_rails_writes() {
    let lines: Vec<&str> = DEVISE
        .as_bytes()
        .chunks(60)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    assert_eq!(find(lines.join("\n") + "\n"), user("42"));
}

#[test]
fn everything_else_that_a_session_holds_is_passed_by() {
    assert_eq!(find(BUSY), user("6f3c1e2a-0000-4000-8000-1234567890ab"));
    assert_eq!(find_at(&["o", "@id"], BUSY), user("7"));
    assert_eq!(find_at(&["st", "b", "@s"], BUSY), user("shared"));
}

#[test]
fn a_value_that_was_there_before_is_followed_back() {
    assert_eq!(
        find_at(&["after", "0"], BUSY),
        user("6f3c1e2a-0000-4000-8000-1234567890ab")
    );
    assert_eq!(
        find_at(&["user_id"], MISC),
        user("6f3c1e2a-0000-4000-8000-1234567890ab")
    );
    assert_eq!(
        find_at(&["user", "k"], LINKEDHASH),
        user("6f3c1e2a-0000-4000-8000-1234567890ab")
    );
}

#[test]
fn symbols_are_keys_and_values_like_texts() {
    assert_eq!(find_at(&["user_id"], SYMKEY), user("5"));
    assert_eq!(find_at(&["sym2"], BUSY), user("sym"));
}

#[test]
fn the_json_serializer_and_the_hybrid_one_are_read() {
    assert_eq!(
        find(r#"{"value":{"warden.user.user.key":[[42],"$2a$12$x"]}}"#),
        user("42")
    );
    assert_eq!(find(r#"{"value":{}}"#), Found::Anonymous);
}

#[test]
fn every_size_of_integer_is_read() {
    let cases = [
        ("0", "BAh7BkkiDHVzZXJfaWQGOgZFVGkA"),
        ("1", "BAh7BkkiDHVzZXJfaWQGOgZFVGkG"),
        ("122", "BAh7BkkiDHVzZXJfaWQGOgZFVGl/"),
        ("123", "BAh7BkkiDHVzZXJfaWQGOgZFVGkBew=="),
        ("255", "BAh7BkkiDHVzZXJfaWQGOgZFVGkB/w=="),
        ("256", "BAh7BkkiDHVzZXJfaWQGOgZFVGkCAAE="),
        ("65536", "BAh7BkkiDHVzZXJfaWQGOgZFVGkDAAAB"),
        ("1073741823", "BAh7BkkiDHVzZXJfaWQGOgZFVGkE////Pw=="),
        ("1073741824", "BAh7BkkiDHVzZXJfaWQGOgZFVGwrBwAAAEA="),
        ("-1", "BAh7BkkiDHVzZXJfaWQGOgZFVGn6"),
        ("-123", "BAh7BkkiDHVzZXJfaWQGOgZFVGmA"),
        ("-124", "BAh7BkkiDHVzZXJfaWQGOgZFVGn/hA=="),
        ("-256", "BAh7BkkiDHVzZXJfaWQGOgZFVGn/AA=="),
        ("-257", "BAh7BkkiDHVzZXJfaWQGOgZFVGn+//4="),
        ("-1073741824", "BAh7BkkiDHVzZXJfaWQGOgZFVGn8AAAAwA=="),
        ("-1073741825", "BAh7BkkiDHVzZXJfaWQGOgZFVGwtBwEAAEA="),
        (
            "9223372036854775807",
            "BAh7BkkiDHVzZXJfaWQGOgZFVGwrCf////////9/",
        ),
        (
            "-9223372036854775808",
            "BAh7BkkiDHVzZXJfaWQGOgZFVGwtCQAAAAAAAACA",
        ),
    ];
    for (number, data) in cases {
        assert_eq!(find_at(&["user_id"], data), user(number));
    }
}

#[test]
fn data_that_refers_to_itself_ends() {
    assert_eq!(find_at(&["user_id"], CYCLE), user("6"));
    assert!(matches!(
        find_at(&["a", "0", "0", "0", "0"], CYCLE),
        Found::Unreadable(Reason::NotKey)
    ));
    // Every value of a long map is the long map itself: what is followed back is counted.
    let entries = b":\x06a@\0".repeat(30_000);
    let map = [
        b"[\x07{\x02\x30\x75".as_slice(),
        &entries,
        b"{\x02\x30\x75",
        &b";\0@\x06".repeat(30_000),
    ]
    .concat();
    assert_eq!(
        find_at(&["1", "a", "b"], dump(map)),
        Found::Unreadable(Reason::TooLarge)
    );
}

#[test]
fn claims_of_hostile_data_cost_nothing() {
    use Reason::{Malformed, NotBase64, NotKey, NotMap, TooDeep, Truncated};
    let cases: [(Vec<u8>, Reason); 15] = [
        (b"".to_vec(), Truncated),
        (b"{\x04\xff\xff\xff\xff".to_vec(), Truncated),
        (b"{\xfc\0\0\0\x80".to_vec(), Malformed),
        (b"[\x04\xff\xff\xff\x7f".to_vec(), Truncated),
        (b"\"\x04\xff\xff\xff\x7f".to_vec(), Truncated),
        (b"l+\x04\xff\xff\xff\x7f".to_vec(), Truncated),
        (b"{\x06;\x10i\x06".to_vec(), Malformed),
        (b"{\x06:\x06a@\x10".to_vec(), Malformed),
        (b"?".to_vec(), Malformed),
        (b"0 ".to_vec(), Malformed),
        (b"i\x06".to_vec(), NotMap),
        (b"{\x06:\x06a\"\x00".to_vec(), NotKey),
        (b"{\x06:\x06a\"\x06\0".to_vec(), NotKey),
        (b"[\x06".repeat(100_000), TooDeep),
        ([b"I".repeat(100_000), b"0".to_vec()].concat(), TooDeep),
    ];
    for (value, reason) in cases {
        let shown = value[..value.len().min(20)].escape_ascii().to_string();
        assert_eq!(
            find_at(&["a"], dump(value)),
            Found::Unreadable(reason),
            "{shown}"
        );
    }
    assert_eq!(find("****"), Found::Unreadable(NotBase64));
    assert_eq!(
        find(STANDARD.encode(b"\x04\x09{\0")),
        Found::Unreadable(Malformed)
    );
}

#[test]
fn damage_of_any_kind_is_survived() {
    let samples =
        [DEVISE, BUSY, BIGNUM, MISC, CYCLE, LINKEDHASH].map(|data| STANDARD.decode(data).unwrap());
    fuzz(&Format::Rails.into(), &[Armour::Standard], &samples);
    let user = vec!["a".to_owned(), "0".to_owned(), "0".to_owned()];
    let through_links = Codec {
        format: Format::Rails,
        user,
    };
    assert_eq!(find_at(&["a", "0", "0"], LINKS), self::user("y"));
    fuzz(
        &through_links,
        &[Armour::Standard],
        &[STANDARD.decode(LINKS).unwrap()],
    );
}
