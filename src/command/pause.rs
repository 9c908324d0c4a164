//! `pause` and `resume`, around the site's own migrations.

use std::process::ExitCode;

use super::Failure;
use crate::{
    connection::Target,
    process::shutdown::Stop,
    schema::{self, Resumed},
    settings::Settings,
    wording::count_of,
    worker::passing::past_locks,
};

pub async fn pause(target: &Target, settings: &Settings, json: bool) -> Result<ExitCode, Failure> {
    let pause = async || schema::pause(target, &settings.site).await;
    let (pause, already) = past_locks(&Stop::default(), pause).await?;
    if json {
        println!(
            "{}",
            serde_json::json!({ "since": pause.since, "by": pause.by, "already": already })
        );
    } else {
        let how = if already { "was already" } else { "is" };
        println!(
            "session-reaper {how} paused, since {} by {}: the site may migrate. Changes are noted, and nothing is \
ended or purged until `session-reaper resume`.",
            pause.since, pause.by
        );
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn resume(target: &Target, settings: &Settings, json: bool) -> Result<ExitCode, Failure> {
    let resume = async || schema::resume(target, &settings.site).await;
    let resumed = past_locks(&Stop::default(), resume).await?;
    if json {
        println!("{}", as_json(&resumed));
    } else {
        for sentence in sentences(&resumed) {
            println!("{sentence}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(resumed: &Resumed) -> serde_json::Value {
    let installed = &resumed.installed;
    serde_json::json!({
        "pause": resumed.pause,
        "keys": resumed.keys,
        "links_without_session": resumed.without_session,
        "links_without_user": resumed.without_user,
        "unwatched": resumed.unwatched,
        "references": installed.references,
        "functions": installed.behaviour,
        "triggers": installed.triggers,
        "requests_without_key": resumed.without_key,
        "revocations_waited": resumed.waited,
        "sessions_unlinked": resumed.unlinked,
    })
}

/// What a person reads: what was done, what is owed, and at the end how it stands.
fn sentences(resumed: &Resumed) -> Vec<String> {
    let mut sentences: Vec<String> = Vec::new();
    for key in &resumed.keys {
        sentences.push(format!("Changed our {key}."));
    }
    for (links, of) in [
        (resumed.without_session, "session"),
        (resumed.without_user, "user"),
    ] {
        if links > 0 {
            sentences.push(format!("Dropped {links} links whose {of} is gone."));
        }
    }
    let installed = &resumed.installed;
    for (what, names) in [
        ("migrations", &installed.migrations),
        ("foreign keys", &installed.references),
        ("triggers", &installed.triggers),
    ] {
        if !names.is_empty() {
            sentences.push(format!("Put back {what}: {}.", names.join(", ")));
        }
    }
    for table in &resumed.unwatched {
        sentences.push(format!(
            "{table} was without our triggers for a while, as a table is that is created anew or restored with \
--disable-triggers: changes made there meanwhile left no trace. If there may have been any, run `session-reaper \
revoke --all`."
        ));
    }
    if resumed.without_key > 0 {
        sentences.push(format!(
            "Left out {} whose user's key can be no user's any more.",
            count_of(resumed.without_key, "request")
        ));
    }
    if resumed.waited > 0 {
        sentences.push(format!(
            "{} revocations waited and are being worked on.",
            resumed.waited
        ));
    }
    if resumed.pause.is_some() && resumed.unlinked > 0 {
        sentences.push(format!(
            "{} sessions are linked to nobody: anonymous ones, and any that logged in unnoticed during the pause.",
            resumed.unlinked
        ));
    }
    sentences.push(match &resumed.pause {
        Some(pause) => format!(
            "The pause of {} by {} is over; session-reaper works again.",
            pause.since, pause.by
        ),
        None => "session-reaper was not paused, and everything is in place.".to_owned(),
    });
    sentences
}
