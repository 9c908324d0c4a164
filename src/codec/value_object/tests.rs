//! The samples are spelt as `serialize` spells the result of the libraries' `__serialize`, or their properties.

use crate::codec::{Codec, Format, Found, Reason};

const UUID: &str = "018f2a3c-7b1d-7c3e-9a4b-5c6d7e8f9012";

fn symfony(id: &[u8]) -> Found {
    let token = [
        b"O:5:\"Token\":2:{i:0;s:4:\"main\";i:1;a:1:{i:0;O:8:\"App\\User\":2:{s:12:\"\0App\\User\0id\";",
        id,
        b"s:15:\"\0App\\User\0email\";s:1:\"e\";}}}",
    ]
    .concat();
    let length = token.len().to_string();
    let session = [
        b"_sf2_attributes|a:1:{s:14:\"_security_main\";s:",
        length.as_bytes(),
        b":\"",
        &token,
        b"\";}",
    ]
    .concat();
    Codec::from(Format::Symfony).find_user(&session)
}

fn text(name: &str, value: &[u8]) -> Vec<u8> {
    let begin = format!("s:{}:\"{name}\";s:{}:\"", name.len(), value.len());
    [begin.as_bytes(), value, b"\";"].concat()
}

fn object(class: &str, properties: &[Vec<u8>]) -> Vec<u8> {
    let begin = format!("O:{}:\"{class}\":{}:{{", class.len(), properties.len());
    [begin.as_bytes(), &properties.concat(), b"}"].concat()
}

fn own(class: &str, content: &[u8]) -> Vec<u8> {
    let begin = format!("C:{}:\"{class}\":{}:{{", class.len(), content.len());
    [begin.as_bytes(), content, b"}"].concat()
}

fn bytes() -> Vec<u8> {
    let hex = UUID.replace('-', "");
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..32).step_by(2).map(byte).collect()
}

#[test]
fn a_uuid_or_a_ulid_is_the_user_in_every_way_that_libraries_serialize_it() {
    // The same 128 bits.
    let ulid = b"01HWN3RYRXFGZ9MJTWDNZ8Z40J";
    for id in [
        object("Ramsey\\Uuid\\Uuid", &[text("uuid", UUID.as_bytes())]),
        object("Ramsey\\Uuid\\Rfc4122\\UuidV7", &[text("bytes", &bytes())]),
        object(
            "Ramsey\\Uuid\\Rfc4122\\UuidV7",
            &[text("bytes", UUID.as_bytes())],
        ),
        object(
            "Ramsey\\Uuid\\Lazy\\LazyUuidFromString",
            &[text("string", UUID.as_bytes())],
        ),
        own("Ramsey\\Uuid\\Lazy\\LazyUuidFromString", UUID.as_bytes()),
        own("Ramsey\\Uuid\\Uuid", &bytes()),
        object(
            "Symfony\\Component\\Uid\\UuidV7",
            &[text("\0*\0uid", UUID.as_bytes())],
        ),
        object("Symfony\\Component\\Uid\\Ulid", &[text("\0*\0uid", ulid)]),
    ] {
        let written = String::from_utf8_lossy(&id).into_owned();
        assert_eq!(symfony(&id), Found::User(UUID.to_owned()), "{written}");
    }
}

#[test]
fn an_id_of_the_apps_own_class_is_what_is_in_it() {
    let number = b"s:17:\"\0App\\UserId\0value\";i:42;".to_vec();
    let inner = object(
        "Symfony\\Component\\Uid\\UuidV7",
        &[text("\0*\0uid", UUID.as_bytes())],
    );
    let nested = [b"s:2:\"id\";".to_vec(), inner].concat();
    let version = b"s:7:\"version\";i:7;".to_vec();
    for (id, user) in [
        (object("App\\UserId", std::slice::from_ref(&number)), "42"),
        (object("App\\UserId", &[version, number]), "42"),
        (object("App\\UserId", &[nested]), UUID),
        (object("App\\UserId", &[text("name", b"ann")]), "ann"),
        (own("App\\UserId", b"i:42;"), "42"),
    ] {
        let written = String::from_utf8_lossy(&id).into_owned();
        assert_eq!(symfony(&id), Found::User(user.to_owned()), "{written}");
    }
}

#[test]
fn what_may_be_another_id_is_not_guessed() {
    let two = [text("first", b"1"), text("second", b"2")];
    let both = [text("id", b"1"), text("uuid", b"2")];
    for id in [
        object("App\\Pair", &two),
        object("App\\Both", &both),
        object("App\\Empty", &[]),
        object("App\\List", &[b"s:2:\"id\";a:1:{i:0;i:42;}".to_vec()]),
        own("App\\Own", b"something else"),
        b"E:13:\"App\\Role:Root\";".to_vec(),
        b"a:1:{s:2:\"id\";i:42;}".to_vec(),
    ] {
        let written = String::from_utf8_lossy(&id).into_owned();
        assert_eq!(symfony(&id), Found::Unreadable(Reason::NotKey), "{written}");
    }
}
