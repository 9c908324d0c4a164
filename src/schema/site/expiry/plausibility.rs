//! Which values of the column are plausible.

use tokio_postgres::GenericClient;

use super::{Expiry, Kind};
use crate::schema::{Error, Table, Unusable};
use crate::settings::EpochUnit;

/// Plausible values: none of these stores is older than 2000, and no session needs to live until the year 10000. A
/// number of seconds taken for milliseconds lies before that range, milliseconds taken for seconds lie behind it, and a
/// duration lies outside, too (Symfony itself draws the line between a duration and a time at ten years).
pub(super) struct Plausible {
    pub(super) least: &'static str,
    pub(super) below: &'static str,
}

impl Expiry {
    pub(super) fn plausible(&self) -> Plausible {
        let (least, below) = match &self.kind {
            Kind::Instant if self.lifetime_s == 0 => ("'-infinity'", "'infinity'"),
            Kind::Instant => (
                "timestamptz '2000-01-01 00:00+00'",
                "timestamptz '10000-01-01 00:00+00'",
            ),
            Kind::Local(_) => ("timestamp '2000-01-01'", "timestamp '10000-01-01'"),
            Kind::Epoch(EpochUnit::EpochS) => ("946684800", "100000000000"),
            Kind::Epoch(EpochUnit::EpochMs) => ("946684800000", "100000000000000"),
        };
        Plausible { least, below }
    }

    /// Looks at some sessions: if most of the numbers are implausible, the unit is wrong. A purge would then delete
    /// nothing, and the operator would not know why.
    pub(in crate::schema) async fn check(
        &self,
        client: &impl GenericClient,
        sessions: &Table,
    ) -> Result<(), Error> {
        let Kind::Epoch(unit) = self.kind else {
            return Ok(());
        };
        let (raw, Plausible { least, below }) = (self.raw(), self.plausible());
        // More than 9000000000000000 stands for "never" (Spring: 2^63 - 1) in any unit.
        let statement = format!(
            "-- schema::site::expiry::plausibility::check
            select count(*) filter (where v.value < {least}) * 2 > count(*),
                   count(*) filter (where v.value >= {below}) * 2 > count(*)
            from (
                select {raw} as value from {sessions} s
                where {raw} > 0 and {raw} < 9000000000000000
                limit 1000
            ) v",
            sessions = sessions.quoted(),
        );
        let row = client.query_one(&statement, &[]).await?;
        let advice = match (unit, row.get(0), row.get(1)) {
            (_, false, false) => return Ok(()),
            (EpochUnit::EpochMs, true, _) => {
                "most are too small for milliseconds since 1970: if they are seconds, set site.expires_unit to \"epoch_s\""
            }
            (EpochUnit::EpochS, true, _) => {
                "most are durations and no times: set site.expires_column to the column of the last use, and site.lifetime_s to the duration"
            }
            (EpochUnit::EpochS, false, _) => {
                "most are too large for seconds since 1970: if they are milliseconds, set site.expires_unit to \"epoch_ms\""
            }
            (EpochUnit::EpochMs, false, _) => {
                "most are too large for milliseconds since 1970: only seconds and milliseconds are understood"
            }
        };
        Err(Unusable::Implausible {
            table: sessions.to_string(),
            column: self.column.name.clone(),
            advice,
        }
        .into())
    }
}
