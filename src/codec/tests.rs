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
