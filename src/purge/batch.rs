//! One transaction of a purge.

use tokio_postgres::Transaction;

use crate::connection::{Database, Error};

/// Where a batch begins: at a time, or with the oldest, behind so many sessions of that time that were left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    reached: Option<String>,
    passed: i64,
}

impl Place {
    /// Behind the first one of those that begin here.
    pub fn behind_one(&self) -> Self {
        Self {
            passed: self.passed + 1,
            ..self.clone()
        }
    }
}

/// One batch of the sessions.
pub(super) enum Batch {
    /// How many were deleted, how many could not be, and where the next batch begins.
    Looked {
        deleted: u64,
        refused: u64,
        next: Place,
    },
    /// Nothing is left.
    Nothing,
    /// Another daemon purges.
    Taken,
}

/// Deletes the next batch, from this place on.
pub(super) async fn delete(
    database: &Database,
    expires_type: &str,
    most: u32,
    place: &Place,
) -> Result<Batch, Error> {
    database
        .work(async |mut client| {
            let transaction = client.transaction().await?;
            if !take_turn(&transaction).await? {
                return Ok(Batch::Taken);
            }
            let statement = format!(
                "-- purge::batch::delete
                select p.deleted, p.refused, p.reached::text, p.passed
                from session_reaper.purge_expired($1::text::{expires_type}, $2, $3) p"
            );
            let row = transaction
                .query_one(
                    &statement,
                    &[
                        &place.reached,
                        &i32::try_from(most).unwrap_or(i32::MAX),
                        &place.passed,
                    ],
                )
                .await?;
            transaction.commit().await?;
            let count = |column| u64::try_from(row.get::<_, i64>(column)).unwrap_or_default();
            let reached: Option<String> = row.get(2);
            Ok(match reached {
                None => Batch::Nothing,
                reached => Batch::Looked {
                    deleted: count(0),
                    refused: count(1),
                    next: Place {
                        reached,
                        passed: row.get(3),
                    },
                },
            })
        })
        .await
}

/// A row, and not an advisory lock, which any role that may connect could take and keep. Not the one row of the table
/// purge, because claiming a tick and remembering a pass would have to wait for it. This one changes only when the
/// function that purges does.
async fn take_turn(transaction: &Transaction<'_>) -> Result<bool, Error> {
    let row = transaction
        .query_opt(
            "-- purge::batch::take_turn
            select from session_reaper.behaviour b where b.name = 'purge' for update skip locked",
            &[],
        )
        .await?;
    Ok(row.is_some())
}
