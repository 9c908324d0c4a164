//! After the story, on a terminal: the site stays up for anyone who wants to try it by hand, and what happens on it is
//! told as it happens.

use std::time::{Duration, Instant, SystemTime};

use tokio_postgres::Row;

use super::error::Error;
use super::narrator::{count, time};
use super::site;
use super::stage::Stage;
use crate::settings::Environment;

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Long enough to look for the sessions that are gone, short enough to try again soon.
const BACK_AFTER: Duration = Duration::from_secs(15);
/// A revocation that is open for longer than this is being held up.
const WAITS_AFTER_S: f64 = 1.0;
/// How many sessions each user has after coming back.
const SESSIONS_EACH: usize = 2;

/// What has been told already.
struct Told {
    /// Every revocation up to this one has been seen.
    newest: i64,
    /// Those that were not settled when they were last looked at; true where that has been told.
    open: Vec<(i64, bool)>,
    purged_at: Option<SystemTime>,
    quiet_since: Instant,
}

/// Tells what happens until it is dropped; comes back only with an error.
pub async fn watch(stage: &Stage, url: &str) -> Result<(), Error> {
    come_back(stage).await?;
    invite(stage, url);
    let mut told = Told::so_far(stage).await?;
    loop {
        told.tell_revocations(stage).await?;
        told.tell_purge(stage).await?;
        if told.quiet_since.elapsed() > BACK_AFTER {
            let back = come_back(stage).await?;
            if back > 0 {
                stage
                    .narrator
                    .item("back", &format!("{} logged in again", count(back, "user")));
            }
            told.quiet_since = Instant::now();
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn invite(stage: &Stage, url: &str) {
    let narrator = &stage.narrator;
    narrator.heading("Try it yourself, in another terminal");
    // A user who ran the demo with sudo cannot enter the socket's directory as themselves.
    let environment = Environment::of_process();
    let sudo = environment.get("SUDO_USER").map_or("", |_| "sudo ");
    narrator.act(&format!("{sudo}psql '{url}'"));
    narrator.say("");
    narrator.item("who is in", "select username, l.* from session_reaper.live_session l join auth_user u on u.id = l.user_id;");
    narrator.item(
        "change",
        "update auth_user set password = 'new' where username = 'alice';",
    );
    narrator.item("by hand", "notify session_reaper, '1';");
    narrator.item(
        "expire",
        "update django_session set expire_date = now() where random() < 0.5;",
    );
    narrator.item(
        "open login",
        "begin; select password from auth_user;   -- and then change that user elsewhere",
    );
    narrator.say("\n  What happens is told here. Ctrl-C ends it and leaves nothing behind.\n");
}

/// Logs in every user who has a name and no session; returns how many.
async fn come_back(stage: &Stage) -> Result<usize, Error> {
    let rows = stage
        .observer
        .query(
            "-- demo::live::come_back
             select u.id
             from auth_user u
             where u.username !~ '[0-9]'
               and not exists (select from session_reaper.user_session l where l.user_id = u.id)",
            &[],
        )
        .await?;
    let users: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    site::log_in(&stage.observer, &users.repeat(SESSIONS_EACH)).await?;
    Ok(users.len())
}

impl Told {
    async fn so_far(stage: &Stage) -> Result<Self, Error> {
        let row = stage
            .observer
            .query_one(
                "-- demo::live::so_far
                 select coalesce(max(r.id), 0), (select p.finished_at from session_reaper.purge p)
                 from session_reaper.revocation r",
                &[],
            )
            .await?;
        Ok(Self {
            newest: row.get(0),
            open: Vec::new(),
            purged_at: row.get(1),
            quiet_since: Instant::now(),
        })
    }

    async fn tell_revocations(&mut self, stage: &Stage) -> Result<(), Error> {
        let open: Vec<i64> = self.open.iter().map(|(id, _)| *id).collect();
        let rows = stage
            .observer
            .query(
                "-- demo::live::tell_revocations
                 select r.id, r.state,
                     coalesce(u.username, 'user ' || r.user_id, 'everybody'),
                     r.sessions_ended,
                     coalesce(extract(epoch from r.revoked_at - c.at), 0)::double precision,
                     extract(epoch from clock_timestamp() - c.at)::double precision,
                     format('%s, by %s with %s', r.reason, c.requested_by, c.application_name)
                 from session_reaper.revocation r
                 join session_reaper.change c on c.id = r.change_id
                 left join auth_user u on u.id = r.user_id
                 where r.id > $1 or r.id = any ($2)
                 order by r.id",
                &[/* newest */ &self.newest, /* open */ &open],
            )
            .await?;
        for row in &rows {
            self.tell_revocation(stage, row);
        }
        Ok(())
    }

    fn tell_revocation(&mut self, stage: &Stage, row: &Row) {
        let (id, state): (i64, &str) = (row.get(0), row.get(1));
        let (who, origin): (&str, &str) = (row.get(2), row.get(6));
        let sessions = count(site::whole(row.get(3)), "session");
        let known = self.open.iter().position(|(open, _)| *open == id);
        let (_, has_waited) = known.map_or((id, false), |known| self.open.swap_remove(known));
        self.newest = self.newest.max(id);
        self.quiet_since = Instant::now();
        let ended = || {
            let took = Duration::try_from_secs_f64(row.get(4)).unwrap_or_default();
            format!(
                "{sessions} of {who} ended, {} after the change ({origin})",
                time(took)
            )
        };
        match state {
            "settled" if has_waited => stage
                .narrator
                .fact(&format!("{sessions} of {who} ended in all; settled")),
            "settled" => stage.narrator.fact(&format!("{}; settled", ended())),
            "revoked" if !has_waited && row.get::<_, f64>(5) > WAITS_AFTER_S => {
                stage.narrator.item(
                    "open",
                    &format!("{}; a transaction that began before still runs", ended()),
                );
                self.open.push((id, true));
            }
            _ => self.open.push((id, has_waited)),
        }
    }

    async fn tell_purge(&mut self, stage: &Stage) -> Result<(), Error> {
        let row = stage
            .observer
            .query_one(
                "-- demo::live::tell_purge
                 select p.finished_at, p.sessions, p.duration_ms from session_reaper.purge p",
                &[],
            )
            .await?;
        let finished_at: Option<SystemTime> = row.get(0);
        let sessions = site::whole(row.get(1));
        if finished_at != self.purged_at && sessions > 0 {
            let took = Duration::from_millis(row.get::<_, i64>(2).unsigned_abs());
            stage.narrator.fact(&format!(
                "{} purged in {}",
                count(sessions, "expired session"),
                time(took)
            ));
            self.quiet_since = Instant::now();
        }
        self.purged_at = finished_at;
        Ok(())
    }
}
