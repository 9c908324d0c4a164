//! A way through the links, a piece at a time.

use std::time::SystemTime;

use super::rules;
use crate::{
    connection::{Database, Error},
    revoke::table,
    settings::Settings,
};

/// Goes through the links in the order in which they were made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Walk {
    pub reached: Option<SystemTime>,
    /// Only through those that are older.
    pub older_than_s: Option<f64>,
}

/// What came of a piece.
pub(super) struct Piece {
    /// Whether there are more links behind it.
    is_full: bool,
    pub reached: Option<SystemTime>,
    /// Sessions that ended.
    pub ended: i64,
    /// Whether the same users may have more to end.
    more: bool,
    /// What the server's clock said.
    pub now: SystemTime,
}

/// What the server's clock says, by which links are dated; the daemon's may be wrong.
pub(super) async fn now(database: &Database) -> Result<SystemTime, Error> {
    let now = "-- policy::walk::now
        select clock_timestamp()";
    Ok(database.query_one(now, &[]).await?.get(0))
}

impl Walk {
    /// The next piece, of so many links, in one transaction.
    pub async fn look(
        &self,
        database: &Database,
        settings: &Settings,
        most: u32,
    ) -> Result<Piece, Error> {
        database
            .work(async |mut client| {
                let policy = &settings.policy;
                let transaction = table::begin(&mut client).await?;
                let row = transaction
                    .query_one(
                        "-- policy::walk::look
                        select e.looked_at, e.reached, e.ended, e.more, clock_timestamp()
                        from session_reaper.enforce_policy($1::text::jsonb, $2, $3, $4, $5) e",
                        &[
                            &rules(policy),
                            &i32::try_from(most).unwrap_or(i32::MAX),
                            &(settings.revoke.write_back_grace_s > 0),
                            &self.reached,
                            &self.older_than_s,
                        ],
                    )
                    .await?;
                transaction.commit().await?;
                Ok(Piece {
                    is_full: row.get::<_, i64>(0) >= i64::from(most),
                    reached: row.get(1),
                    ended: row.get(2),
                    more: row.get(3),
                    now: row.get(4),
                })
            })
            .await
    }

    /// Where to go on after a piece; nowhere if that was the last one.
    pub fn behind(self, piece: &Piece) -> Option<Self> {
        if piece.more {
            return Some(self);
        }
        let reached = piece.reached.or(self.reached);
        piece.is_full.then_some(Self { reached, ..self })
    }
}
