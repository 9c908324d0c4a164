//! The samples were written by Go 1.19's `encoding/gob`, as scs's `GobCodec` calls it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::codec::fuzz::{Armour, fuzz};
use crate::codec::{Codec, Format, Found, Reason};

const INT: &str = "Jv+BAwEC/4IAAQIBCERlYWRsaW5lAf+EAAEGVmFsdWVzAf+GAAAAEP+DBQEBBFRpbWUB/4QAAAAn/4UEAQEXbWFwW3N0cmluZ11pbnRlcmZhY2Uge30B/4YAAQwBEAAAJf+CAQ8BAAAADtzl6AAAAAAF//8BAQZ1c2VySUQDaW50BAIAVAA=";
const BIG: &str = "Jv+BAwEC/4IAAQIBCERlYWRsaW5lAf+EAAEGVmFsdWVzAf+GAAAAEP+DBQEBBFRpbWUB/4QAAAAn/4UEAQEXbWFwW3N0cmluZ11pbnRlcmZhY2Uge30B/4YAAQwBEAAAL/+CAQ8BAAAADtzl6AAAAAAF//8BAQZ1c2VySUQFaW50NjQECgD4f/////////8A";
const UINT: &str = "Jv+BAwEC/4IAAQIBCERlYWRsaW5lAf+EAAEGVmFsdWVzAf+GAAAAEP+DBQEBBFRpbWUB/4QAAAAn/4UEAQEXbWFwW3N0cmluZ11pbnRlcmZhY2Uge30B/4YAAQwBEAAAMP+CAQ8BAAAADtzl6AAAAAAF//8BAQZ1c2VySUQGdWludDY0BgoA+IAAAAAAAAAAAA==";
const STR: &str = "Jv+BAwEC/4IAAQIBCERlYWRsaW5lAf+EAAEGVmFsdWVzAf+GAAAAEP+DBQEBBFRpbWUB/4QAAAAn/4UEAQEXbWFwW3N0cmluZ11pbnRlcmZhY2Uge30B/4YAAQwBEAAATP+CAQ8BAAAADtzl6AAAAAAF//8BAQZ1c2VySUQGc3RyaW5nDCYAJDZmM2MxZTJhLTAwMDAtNDAwMC04MDAwLTEyMzQ1Njc4OTBhYgA=";
const ANON: &str = "Jv+BAwEC/4IAAQIBCERlYWRsaW5lAf+EAAEGVmFsdWVzAf+GAAAAEP+DBQEBBFRpbWUB/4QAAAAn/4UEAQEXbWFwW3N0cmluZ11pbnRlcmZhY2Uge30B/4YAAQwBEAAAFv+CAQ8BAAAADtzl6AAAAAAF//8BAAA=";
const NILMAP: &str = "Jv+BAwEC/4IAAQIBCERlYWRsaW5lAf+EAAEGVmFsdWVzAf+GAAAAEP+DBQEBBFRpbWUB/4QAAAAn/4UEAQEXbWFwW3N0cmluZ11pbnRlcmZhY2Uge30B/4YAAQwBEAAAFP+CAQ8BAAAADtzl6AAAAAAF//8A";
const BUSY1: &str = "Jv+BAwEC/4IAAQIBCERlYWRsaW5lAf+EAAEGVmFsdWVzAf+GAAAAEP+DBQEBBFRpbWUB/4QAAAAn/4UEAQEXbWFwW3N0cmluZ11pbnRlcmZhY2Uge30B/4YAAQwBEAAATf+CAQ8BAAAADtzl6AAAAAAF//8BBwFhCW1haW4uQ2FydP+HAwEBBENhcnQB/4gAAQMBBUl0ZW1zAf+KAAEBTgH/jAABA0FueQEQAAAAFv+JAgEBCFtdc3RyaW5nAf+KAAEMAAAe/4sEAQEObWFwW3N0cmluZ11pbnQB/4wAAQwBBAAAdv+ICgEBAXgBAQF5AgABdAl0aW1lLlRpbWX/hBEADwEAAAAOd5H3AAAAAAAAAAFmB2Zsb2F0NjQIBAD++D8BYgRib29sAgIAAQF6B1tddWludDgKBAACenoGdXNlcklEA2ludAQCAFQBcQZzdHJpbmcMAwABcwA=";
const NESTED: &str = "Jv+BAwEC/4IAAQIBCERlYWRsaW5lAf+EAAEGVmFsdWVzAf+GAAAAEP+DBQEBBFRpbWUB/4QAAAAn/4UEAQEXbWFwW3N0cmluZ11pbnRlcmZhY2Uge30B/4YAAQwBEAAATf+CAQ8BAAAADtzl6AAAAAAF//8BAwFhCW1haW4uQ2FydP+HAwEBBENhcnQB/4gAAQMBBUl0ZW1zAf+KAAEBTgH/jAABA0FueQEQAAAAFv+JAgEBCFtdc3RyaW5nAf+KAAEMAAAe/4sEAQEObWFwW3N0cmluZ11pbnQB/4wAAQwBBAAA/4b/iCkBAQF4AgptYWluLklubmVy/40DAQEFSW5uZXIB/44AAQEBAVgBBAAAAAf/jgMBBgAABnVzZXJJRANpbnQEAgBUAnp6F21hcFtzdHJpbmddaW50ZXJmYWNlIHt9/4YkAAIGdXNlcklEA2ludAQCABIBaQptYWluLklubmVy/44DAQgAAA==";

fn find(data: &[u8]) -> Found {
    Codec {
        format: Format::Scs,
        user: vec!["userID".to_owned()],
    }
    .find_user(data)
}

fn sample(data: &str) -> Found {
    find(&STANDARD.decode(data).unwrap())
}

fn user(id: &str) -> Found {
    Found::User(id.to_owned())
}

// A session whose values are these bytes.
fn session(values: &[u8]) -> Vec<u8> {
    [b"\x10\x02\x02", values, b"\0"].concat()
}

#[test]
fn every_type_of_key_is_read() {
    assert_eq!(sample(INT), user("42"));
    assert_eq!(sample(BIG), user("-4611686018427387904"));
    assert_eq!(sample(UINT), user("9223372036854775808"));
    assert_eq!(sample(STR), user("6f3c1e2a-0000-4000-8000-1234567890ab"));
    assert_eq!(sample(ANON), Found::Anonymous);
    assert_eq!(sample(NILMAP), Found::Anonymous);
}

#[test]
fn types_of_the_app_are_passed_by_wherever_they_are_defined() {
    assert_eq!(sample(BUSY1), user("42"));
}

#[test]
fn an_interface_inside_a_type_of_the_app_is_beyond_the_codec() {
    // Go splits the value where the type inside is defined, and only a reader of every type finds where it goes on.
    assert_eq!(sample(NESTED), Found::Unreadable(Reason::Malformed));
}

#[test]
fn claims_of_hostile_data_cost_nothing() {
    use Reason::{Malformed, NotKey, Truncated};
    let cases: [(Vec<u8>, Reason); 12] = [
        (b"".to_vec(), Truncated),
        (session(b"\xf8\xff\xff\xff\xff\xff\xff\xff\xff"), Truncated),
        (
            session(b"\x01\xf8\xff\xff\xff\xff\xff\xff\xff\xff"),
            Truncated,
        ),
        (
            session(b"\x01\xf7\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            Malformed,
        ),
        (session(b"\x01\x06userID\x01x\x08\x02\0\0"), NotKey),
        (session(b"\x01\x06userID\x01x\x0c\x02\0\0"), NotKey),
        (session(b"\x01\x06userID\x01x\x0c\x03\0\x01\0"), NotKey),
        (session(b"\x01\x06userID\x01x\x04\x02\x01T"), Malformed),
        (session(b"\x01\x06userID\x01x\x04\x03\0TT"), Malformed),
        ([session(b"\0"), b"\0".to_vec()].concat(), Malformed),
        (b"\x10\x02\x03\0".to_vec(), Malformed),
        (
            b"\x10\x01\x03\x02\xf8\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
            Truncated,
        ),
    ];
    for (data, reason) in cases {
        assert_eq!(
            find(&data),
            Found::Unreadable(reason),
            "{}",
            data.escape_ascii()
        );
    }
    assert_eq!(find(&session(b"\x01\x06userID\0")), Found::Anonymous);
}

#[test]
fn damage_of_any_kind_is_survived() {
    let samples = [INT, BIG, UINT, STR, BUSY1, NESTED].map(|data| STANDARD.decode(data).unwrap());
    let codec = Codec {
        format: Format::Scs,
        user: vec!["userID".to_owned()],
    };
    fuzz(&codec, &[Armour::None], &samples);
}
