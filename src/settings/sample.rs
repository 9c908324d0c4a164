//! Holds the sample configuration to what the code does: people do not read it again when a default changes.

use super::{Cache, Environment, Settings, load, serde_message};

const SAMPLE: &str = include_str!("../../systemd/session-reaper.toml");

/// The sample with its settings in force: a setting is the one line that has no space behind its "#".
fn uncommented() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
        _ => format!("{line}\n"),
    };
    SAMPLE.lines().map(line).collect()
}

#[test]
fn the_sample_as_it_is_changes_nothing() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/session-reaper.toml");
    let environment = Environment::default();
    let settings = load(Some(path.as_ref()), &environment).unwrap();
    assert_eq!(settings, Settings::default());
}

#[test]
fn the_sample_shows_every_setting_at_its_default() {
    let mut settings: Settings = toml::from_str(&uncommented()).unwrap();
    // These have no default, so the sample has an example.
    assert!(settings.site.watch.take().is_some());
    assert!(settings.site.user_path.take().is_some());
    assert!(settings.site.expires_unit.take().is_some());
    assert!(settings.site.lifetime_s.take().is_some());
    assert!(settings.link.secret_key_file.take().is_some());
    let policy = &mut settings.policy;
    assert!(policy.sessions_max.take().is_some());
    assert!(policy.lifetime_s.take().is_some());
    assert!(policy.idle_s.take().is_some());
    assert!(!std::mem::take(&mut policy.sessions_max_where).is_empty());
    assert!(!std::mem::take(&mut policy.lifetime_where_s).is_empty());
    for example in [
        &mut settings.metrics.listen,
        &mut settings.database.url,
        &mut settings.canary.user,
        &mut settings.site.user_key,
        &mut settings.site.user_column,
        &mut settings.site.policy_column,
        &mut settings.site.time_zone,
        &mut settings.site.used_column,
        &mut settings.site.daemon_role,
    ] {
        assert!(example.take().is_some());
    }
    let cache = settings.cache.as_mut().unwrap();
    for example in [
        &mut cache.user,
        &mut cache.sentinel_master,
        &mut cache.sentinel_user,
        &mut cache.table,
    ] {
        assert!(example.take().is_some());
    }
    for example in [
        &mut cache.password_file,
        &mut cache.sentinel_password_file,
        &mut cache.ca_file,
    ] {
        assert!(example.take().is_some());
    }
    assert!(cache.min_replicas.take().is_some());
    // This one is the preset's.
    assert!(cache.key.take().unwrap().contains("cached_db"));
    assert_eq!(settings.cache.take(), Some(Cache::default()));
    assert_eq!(settings, Settings::default());
}

#[test]
fn the_sample_mentions_every_setting() {
    let shown: toml::Table = toml::from_str(&uncommented()).unwrap();
    for section in serde_message::sections() {
        let shown = shown[&section].as_table().unwrap();
        for key in serde_message::keys(&section) {
            assert!(shown.contains_key(&key), "{section}.{key} is not shown");
        }
    }
}

#[test]
fn the_hardened_lines_are_valid_and_take_no_requests_by_hand() {
    let (_, hardened) = SAMPLE.split_once("# Hardened").unwrap();
    let lines = hardened
        .lines()
        .filter_map(|line| line.strip_prefix("#   "));
    let text = lines.collect::<Vec<_>>().join("\n");
    let settings: Settings = toml::from_str(&text).unwrap();
    assert!(!settings.listen.hand_requests);
    assert!(settings.site.daemon_role.is_some());
}
