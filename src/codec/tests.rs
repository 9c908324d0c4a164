//! What holds for every format.

use super::*;

fn codec(text: &str) -> Result<Codec, toml::de::Error> {
    #[derive(serde::Deserialize)]
    struct Site {
        codec: Codec,
    }
    toml::from_str::<Site>(&format!("codec = {text}")).map(|site| site.codec)
}

#[test]
fn a_name_is_enough_where_the_format_knows_its_user() {
    assert_eq!(codec(r#""django""#).unwrap().user, ["_auth_user_id"]);
    assert_eq!(
        codec(r#"{ format = "django" }"#).unwrap(),
        Format::Django.into()
    );
    assert_eq!(
        codec(r#"{ format = "json", user = ["a", "0"] }"#)
            .unwrap()
            .user,
        ["a", "0"]
    );
}

#[test]
fn a_wrong_codec_is_refused_with_what_is_wrong_about_it() {
    let said = |text| codec(text).unwrap_err().to_string();
    assert!(
        said(r#""djago""#).contains("unknown variant `djago`"),
        "{}",
        said(r#""djago""#)
    );
    assert!(said(r#"{ format = "django", path = "x" }"#).contains("unknown field `path`"));
    assert!(said(r#"{ user = ["x"] }"#).contains("missing field `format`"));
    assert!(said(r#""json""#).contains("name the keys"));
    assert!(said("3").contains("the name of a format, or a table"));
}

#[test]
fn reasons_are_counted_by_a_word_each() {
    let words: std::collections::HashSet<_> =
        Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(words.len(), Reason::ALL.len());
}

#[test]
fn what_jsonb_refuses_beside_the_user_hides_nobody_in_a_column() {
    let path = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    let user = || Found::User("42".to_owned());
    let not_key = || Found::Unreadable(Reason::NotKey);
    for (data, keys, found) in [
        (
            r#"{"a":"\ud83d\u0000","\udc00":1,"u":42}"#,
            &["u"][..],
            user(),
        ),
        (r#"{"u":7,"u":"42"}"#, &["u"], user()),
        (r#"{"u":"42","u":null}"#, &["u"], Found::Anonymous),
        (r#"{"u":""}"#, &["u"], Found::Anonymous),
        (r#"{"p":"42"}"#, &["p", "u"], Found::Anonymous),
        (r#"{"u":"4\u00002"}"#, &["u"], not_key()),
        (r#"{"u":42.0}"#, &["u"], not_key()),
        (r#"{"u":1e2}"#, &["u"], not_key()),
        (r#"{"u":true}"#, &["u"], not_key()),
        (r#"{"u":{"id":42}}"#, &["u"], not_key()),
        (
            r#"{"u":"\ud83d"}"#,
            &["u"],
            Found::Unreadable(Reason::NotJson),
        ),
        (r#"[7,{"u":42}]"#, &["1", "u"], user()),
        (r#"[7,{"u":42}]"#, &["-1", "u"], user()),
        (r#"[42,7]"#, &["-2"], user()),
        (r#"[42,7]"#, &["-3"], Found::Anonymous),
        (r#"[42,7]"#, &["2"], Found::Anonymous),
    ] {
        assert_eq!(
            find_in_column(data.as_bytes(), &path(keys)),
            found,
            "{data}"
        );
    }
    let large = vec![b' '; MAX_BYTES + 1];
    let found = find_in_column(&large, &path(&["u"]));
    assert_eq!(found, Found::Unreadable(Reason::TooLarge));
}
