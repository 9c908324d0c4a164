//! The files of `sql/`, as they are built into the program.

/// In the order in which they need each other, which `tests/structure` checks.
pub(super) const FILES: [(&str, &str); 39] = [
    ("verdict", include_str!("../../../sql/verdict.sql")),
    ("clock", include_str!("../../../sql/clock.sql")),
    ("origin", include_str!("../../../sql/origin.sql")),
    ("deciding", include_str!("../../../sql/deciding.sql")),
    ("serving", include_str!("../../../sql/serving.sql")),
    ("paused", include_str!("../../../sql/paused.sql")),
    ("site_users", include_str!("../../../sql/site_users.sql")),
    ("backfill", include_str!("../../../sql/backfill.sql")),
    ("replica", include_str!("../../../sql/replica.sql")),
    ("guard", include_str!("../../../sql/guard.sql")),
    ("handed_out", include_str!("../../../sql/handed_out.sql")),
    (
        "pending_link",
        include_str!("../../../sql/pending_link.sql"),
    ),
    ("make_links", include_str!("../../../sql/make_links.sql")),
    ("evict", include_str!("../../../sql/evict.sql")),
    ("page", include_str!("../../../sql/page.sql")),
    ("drain", include_str!("../../../sql/drain.sql")),
    ("condemned", include_str!("../../../sql/condemned.sql")),
    ("lock", include_str!("../../../sql/lock.sql")),
    ("end", include_str!("../../../sql/end.sql")),
    ("sweep", include_str!("../../../sql/sweep.sql")),
    ("sweep_free", include_str!("../../../sql/sweep_free.sql")),
    ("end_inline", include_str!("../../../sql/end_inline.sql")),
    ("purge", include_str!("../../../sql/purge.sql")),
    ("change", include_str!("../../../sql/change.sql")),
    ("arrived", include_str!("../../../sql/arrived.sql")),
    ("revoke", include_str!("../../../sql/revoke.sql")),
    ("revoke_due", include_str!("../../../sql/revoke_due.sql")),
    ("trail", include_str!("../../../sql/trail.sql")),
    ("policy", include_str!("../../../sql/policy.sql")),
    ("why_open", include_str!("../../../sql/why_open.sql")),
    ("tally", include_str!("../../../sql/tally.sql")),
    ("explain", include_str!("../../../sql/explain.sql")),
    ("hashes", include_str!("../../../sql/hashes.sql")),
    (
        "credential_version",
        include_str!("../../../sql/credential_version.sql"),
    ),
    ("adopt", include_str!("../../../sql/adopt.sql")),
    ("link", include_str!("../../../sql/link.sql")),
    ("canary", include_str!("../../../sql/canary.sql")),
    ("users", include_str!("../../../sql/users.sql")),
    ("pause", include_str!("../../../sql/pause.sql")),
];

/// The last one names columns of the site's tables in a view.
pub(super) const VIEW: (&str, &str) = (
    "live_session",
    include_str!("../../../sql/live_session.sql"),
);
