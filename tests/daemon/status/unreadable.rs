//! Each reason for which a session's data cannot be read has its figure, and is what the data is. What the database itself
//! refuses, to hand out or to link, `link::poisoned_rows` plants.

use base64::{Engine, engine::general_purpose::STANDARD};
use session_reaper::{
    codec::{Codec, Format, Reason},
    settings::Settings,
};

use crate::stage::{
    Database,
    django::{data, open, queued, read_table},
    figures::{metrics, unreadable_by},
    server, wait_until,
};

/// What Django's store might hold.
fn of_django() -> Vec<(Reason, String)> {
    vec![
        (Reason::Truncated, "eyJfYXV0:1xVUK6:x".to_owned()),
        (Reason::NotBase64, "eyJfY!V0:1xVUK6:x".to_owned()),
        (Reason::NotZlib, ".AAAAAAAA:1xVUK6:x".to_owned()),
        (Reason::NotJson, data("nonsense")),
        (Reason::NotFramed, STANDARD.encode("without a signature")),
        (Reason::Pickled, "gAV9Lg:1xVUK6:x".to_owned()),
        (Reason::NotMap, data("[1]")),
        (Reason::NotKey, data(r#"{"_auth_user_id":""}"#)),
        (Reason::TooLarge, "A".repeat((4 << 20) + 1)),
    ]
}

/// What Laravel's might, in base64.
fn of_laravel() -> Vec<(Reason, String)> {
    let nested = format!("{}i:1;{}", "a:1:{i:0;".repeat(200), "}".repeat(200));
    let guard = |name: &str, user| {
        let key = format!("login_{name}_{}", "0".repeat(40));
        format!("s:{}:\"{key}\";i:{user};", key.len())
    };
    let two_guards = format!("a:2:{{{}{}}}", guard("web", 1), guard("admin", 2));
    let whole = [
        (Reason::TooDeep, nested.as_str()),
        (Reason::Malformed, "q:1;"),
        (Reason::Encrypted, "eyJpdiI6IngifQ=="),
        (Reason::Ambiguous, &two_guards),
    ];
    let coded = |(reason, text): (Reason, &str)| (reason, STANDARD.encode(text));
    whole.into_iter().map(coded).collect()
}

/// Each twice, so that what is counted is sessions and not kinds.
async fn counts_each(codec: Codec, sessions: Vec<(Reason, String)>) {
    let database = Database::create_bare(server()).await;
    let mut settings = Settings::default();
    settings.site.codec = Some(codec);
    database.migrate_with(&settings).await;
    read_table(&database).await;
    let before = metrics(&database).await;
    for (_, data) in &sessions {
        open(&database, data).await;
        open(&database, data).await;
    }
    let daemon = database.daemon_with(settings).await;
    wait_until("all have been read", || async {
        queued(&database).await == 0
    })
    .await;
    daemon.stop().await;
    let after = metrics(&database).await;
    for (reason, _) in &sessions {
        let counted = |figures| unreadable_by(figures, reason.as_str());
        assert_eq!(counted(&before), None, "{reason:?}");
        assert_eq!(counted(&after), Some(2.0), "{reason:?}");
    }
}

#[tokio::test]
async fn each_reason_why_data_cannot_be_read_is_counted_as_what_it_is() {
    let laravel = Codec {
        format: Format::Laravel,
        user: vec!["login_".to_owned()],
    };
    counts_each(Codec::from(Format::Django), of_django()).await;
    counts_each(laravel, of_laravel()).await;
}

#[test]
fn no_reason_is_left_out() {
    let of_stores = of_django().into_iter().chain(of_laravel());
    let planted: Vec<Reason> = of_stores.map(|(reason, _)| reason).collect();
    let refused = include_str!("../link/poisoned_rows.rs");
    for reason in Reason::ALL {
        let of_database = format!("unreadable_by(&figures, \"{}\")", reason.as_str());
        assert!(
            planted.contains(&reason) || refused.contains(&of_database),
            "{reason:?}"
        );
    }
}
