//! The work: whether it is being done, and what could keep it from being done.

use super::{Opinion, Patient, Verdict, fail, ok, warn};
use crate::{connection::Error, purge::purger::Purger};

/// A revocation that is open for longer is being held up.
const LONG_S: f64 = 60.0;

const PURGE: &str = "session-reaper purge";

/// Without a purge for this long, no daemon purges.
const PURGE_OVERDUE_S: f64 = 3600.0;

pub(super) async fn daemon(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    match &patient.status {
        Some(status) if status.served => ok("serves this database"),
        _ => fail(
            "daemon.none",
            "session-reaper run",
            "none serves this database, so a changing transaction ends the linked sessions itself, and nothing is settled or purged: start `session-reaper run`",
        ),
    }
}

pub(super) async fn revocations(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let Some(status) = &patient.status else {
        return Ok(Vec::new());
    };
    let open = status.requested + status.revoked;
    let problems = status.problems_of_revocations();
    let mut opinions: Vec<Opinion> = problems
        .map(|says| Opinion::new(Verdict::Fail, "revocations.failing", "", says))
        .collect();
    for wait in status
        .waits_for
        .iter()
        .filter(|wait| wait.waited_s > LONG_S)
    {
        let mend = wait.pid.map_or_else(String::new, |pid| {
            format!("select pg_terminate_backend({pid})")
        });
        let says = format!(
            "{} wait for {}, for {:.0} s: end it, or wait until revoke.settle_cap_s",
            wait.revocations,
            wait.describe(),
            wait.waited_s
        );
        opinions.push(Opinion::new(
            Verdict::Warn,
            "revocations.waiting",
            mend,
            says,
        ));
    }
    let oldest = status.oldest_open_s.unwrap_or_default();
    if opinions.is_empty() && oldest > LONG_S {
        opinions.push(Opinion::new(
            Verdict::Warn,
            "revocations.slow",
            "",
            format!("{open} open, the oldest for {oldest:.0} s: see `session-reaper status` and the daemon's log"),
        ));
    }
    if opinions.is_empty() {
        return ok(format!("{open} open"));
    }
    Ok(opinions)
}

/// Whatever a daemon keeps failing at.
pub(super) async fn workers(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let failing = patient
        .status
        .iter()
        .flat_map(|status| &status.failing_workers);
    let opinions: Vec<Opinion> = failing
        .map(|worker| Opinion::new(Verdict::Fail, "workers.failing", "", worker.describe()))
        .collect();
    if opinions.is_empty() {
        return ok("none keeps failing");
    }
    Ok(opinions)
}

/// Sessions that no daemon has read cannot be ended.
pub(super) async fn linking(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let (Ok(site), Some(status)) = (&patient.site, &patient.status) else {
        return Ok(Vec::new());
    };
    if !site.user_source.is_in_session() {
        return ok("the app links its sessions itself");
    }
    let lines = status.linking.lines();
    if lines.is_empty() {
        return ok("every session has been read for its user");
    }
    let warnings = lines.into_iter().map(|(about, says)| {
        let (id, mend) = match about {
            "queue full" => ("linking.queue_full", "session-reaper run"),
            "unreadable" => ("linking.unreadable", ""),
            _ => ("linking.behind", "session-reaper link"),
        };
        Opinion::new(Verdict::Warn, id, mend, format!("{about}: {says}"))
    });
    let problem = status
        .linking
        .problem()
        .map(|says| Opinion::new(Verdict::Fail, "linking.links_nobody", "", says));
    Ok(problem.into_iter().chain(warnings).collect())
}

pub(super) async fn purge(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let (Ok(site), Some(status)) = (&patient.site, &patient.status) else {
        return Ok(Vec::new());
    };
    let expired = Purger::new(patient.target.database()?, site)
        .count_expired()
        .await?;
    let last = status.last_purge.as_ref().map(|purge| purge.ago_s);
    if expired == 0 {
        return ok("no expired session waits");
    }
    if patient.settings.purge.schedule.is_empty() {
        return warn(
            "purge.never",
            PURGE,
            format!(
                "{expired} expired sessions wait, and purge.schedule is empty: set it, or run `session-reaper purge`"
            ),
        );
    }
    match last {
        Some(ago) if ago < PURGE_OVERDUE_S => ok(format!(
            "{expired} expired sessions wait for the next one; the last ended {ago:.0} s ago"
        )),
        Some(ago) => warn(
            "purge.overdue",
            PURGE,
            format!(
                "{expired} expired sessions wait, and the last purge ended {ago:.0} s ago: see the daemon's log, or run `session-reaper purge`"
            ),
        ),
        None => warn(
            "purge.none_yet",
            PURGE,
            format!(
                "{expired} expired sessions wait, and none has been purged yet: a daemon begins with it, or run `session-reaper purge`"
            ),
        ),
    }
}
