use super::*;
use crate::codec::{Codec, Format};
use crate::settings::{EpochUnit, Settings};

fn laid_under(text: &str) -> Result<Settings, Error> {
    let mut table = text.parse().unwrap();
    lay_under(&mut table)?;
    Ok(Settings::deserialize(table).unwrap())
}

fn sentence(text: &str) -> String {
    laid_under(text).unwrap_err().to_string()
}

#[test]
fn every_preset_is_readable() {
    for name in names() {
        let settings = laid_under(&format!("[site]\npreset = \"{name}\"")).unwrap();
        assert_eq!(settings.site.preset, name);
    }
    assert_eq!(names().len(), 17);
}

#[test]
fn every_preset_has_its_source_written_over_it() {
    for name in names() {
        let before = PRESETS.split(&format!("[{name}.site]")).next().unwrap();
        assert!(before.lines().last().unwrap().starts_with("# "), "{name}");
    }
}

#[test]
fn the_usual_one_is_djangos() {
    let settings = laid_under("").unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.site.session_table, "django_session");
    assert_eq!(settings.site.codec, Some(Codec::from(Format::Django)));
}

#[test]
fn a_preset_stands_below_the_operator_and_above_the_defaults() {
    let settings = laid_under(
        "[site]\npreset = \"connect-pg-simple\"\nsession_table = \"web.session\"\n[revoke]\nbatch_rows = 5",
    )
    .unwrap();
    assert_eq!(settings.site.session_table, "web.session");
    assert_eq!(settings.site.session_key, "sid");
    assert_eq!(settings.revoke.batch_rows, 5);
    assert_eq!(settings.revoke.write_back_grace_s, 10);
    assert_eq!(settings.purge, crate::settings::Purge::default());
    let mine = "[site]\npreset = \"scs\"\n[revoke]\nwrite_back_grace_s = 3";
    assert_eq!(laid_under(mine).unwrap().revoke.write_back_grace_s, 3);
}

#[test]
fn a_preset_says_how_entries_are_called_and_not_that_there_is_a_cache() {
    let cache = |lines: &str| laid_under(lines).unwrap().cache;
    let named = |preset: &str| cache(&format!("[cache]\n[site]\npreset = \"{preset}\""));
    for (preset, key) in [
        (
            "django",
            "{key_prefix}:{version}:django.contrib.sessions.cached_db{session_key}",
        ),
        (
            "django-qsessions",
            "{key_prefix}:{version}:qsessions.q_cached_db{session_key}",
        ),
        ("tower-sessions", "{key_prefix}{session_key}"),
        ("better-auth", "{key_prefix}{session_key}"),
    ] {
        assert_eq!(cache(&format!("[site]\npreset = \"{preset}\"")), None);
        assert_eq!(named(preset).unwrap().key.as_deref(), Some(key));
    }
    assert_eq!(named("laravel").unwrap().key, None);
    let mine = cache("[cache]\nkey = \"mine{session_key}\"").unwrap();
    assert_eq!(mine.key.as_deref(), Some("mine{session_key}"));
}

#[test]
fn another_preset_inherits_nothing_from_djangos() {
    let site = laid_under("[site]\npreset = \"rails-authentication\"")
        .unwrap()
        .site;
    assert_eq!(
        (site.expires_column, site.codec, site.data_column),
        (None, None, None)
    );
    let none = laid_under("[site]\npreset = \"none\"").unwrap().site;
    assert_eq!((none.user_table.as_str(), none.password_column), ("", None));
}

#[test]
fn a_list_takes_the_place_of_the_presets() {
    let text = "[site]\npreset = \"spring-session\"\nwatch = [{ column = \"password\" }]";
    assert_eq!(laid_under(text).unwrap().site.watch.unwrap().len(), 1);
    let text = "[site]\npreset = \"connect-pg-simple\"\nuser_path = [\"userId\"]";
    let site = laid_under(text).unwrap().site;
    assert_eq!(site.user_path.unwrap(), ["userId"]);
    assert_eq!(site.data_column.unwrap(), "sess");
}

#[test]
fn another_way_to_the_user_takes_the_place_of_the_presets() {
    let with = |name, setting: &str| {
        let text = format!("[site]\npreset = \"{name}\"\n{setting}");
        let site = laid_under(&text).unwrap().site;
        (
            site.user_column.is_some(),
            site.data_column.is_some(),
            site.user_path.is_some(),
            site.codec.is_some(),
        )
    };
    assert_eq!(
        with("django", "user_column = \"u\""),
        (true, false, false, false)
    );
    assert_eq!(
        with("django", "user_path = [\"u\"]"),
        (false, true, true, false)
    );
    assert_eq!(
        with("connect-pg-simple", "codec = \"django\""),
        (false, true, false, true)
    );
    assert_eq!(
        with("laravel", "data_column = \"payload\""),
        (false, true, false, false)
    );
}

#[test]
fn a_misspelt_preset_names_the_nearest() {
    let told = sentence("[site]\npreset = \"larvel\"");
    assert!(
        told.starts_with("the setting site.preset is none of the presets ("),
        "{told}"
    );
    assert!(told.ends_with("the nearest one is laravel"), "{told}");
    let told = sentence("[site]\npreset = \"postgres://a:s3cret@h/d\"");
    assert!(!told.contains("s3cret"), "{told}");
}

#[test]
fn milliseconds_and_seconds_are_told_apart() {
    let unit = |name| {
        let text = format!("[site]\npreset = \"{name}\"");
        laid_under(&text).unwrap().site.expires_unit
    };
    assert_eq!(unit("spring-session"), Some(EpochUnit::EpochMs));
    assert_eq!(unit("laravel"), Some(EpochUnit::EpochS));
}
