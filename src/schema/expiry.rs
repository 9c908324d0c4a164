//! When a session expires, said once: every statement that asks has its expression from here.
//!
//! Stores keep it as an instant, as a time of day in somebody's zone, or as a number, and a mistake in any of them
//! deletes live sessions. So nothing is guessed, the raw column is compared with a bound that has been converted
//! (an index on it stays of use), and what is not plausible is never purged.

use std::fmt;

use tokio_postgres::GenericClient;

use super::{
    Column, Error, Table,
    catalog::{column, nearest, time_zones},
    template::{Variables, quote_identifier, quote_literal},
};
use crate::settings::{self, EpochUnit};

/// The column that says it, and what it means.
#[derive(Clone, Debug, PartialEq)]
pub struct Expiry {
    /// The column.
    pub column: Column,
    kind: Kind,
    lifetime_s: u64,
}

/// What the column holds.
#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// A `timestamp with time zone`.
    Instant,
    /// A `timestamp without time zone`, as clocks in this zone show it.
    Local(String),
    /// A number since 1970.
    Epoch(EpochUnit),
}

/// Values that can be meant: no session expired in the seventies, and none needs to in the year 10000. A number of
/// seconds taken for milliseconds lies before, milliseconds taken for seconds behind, and so does a duration.
struct Plausible {
    least: &'static str,
    below: &'static str,
}

impl Expiry {
    /// Looks the settings up in the catalog; none if sessions do not expire.
    pub(super) async fn find(
        client: &impl GenericClient,
        settings: &settings::Site,
        sessions: &Table,
    ) -> Result<Option<Self>, Error> {
        let Some(name) = &settings.expires_column else {
            return Ok(None);
        };
        let column = column(client, "site.expires_column", sessions, name).await?;
        let kind = match column.base_type.as_str() {
            "timestamp with time zone" => Kind::Instant,
            "timestamp without time zone" => {
                Kind::Local(zone(client, settings, sessions, &column).await?)
            }
            "integer" | "bigint" | "numeric" => {
                Kind::Epoch(settings.expires_unit.ok_or_else(|| Error::NoUnit {
                    table: sessions.to_string(),
                    column: column.name.clone(),
                })?)
            }
            _ => {
                return Err(Error::Expiry {
                    table: sessions.to_string(),
                    column: column.name,
                    sql_type: column.sql_type,
                });
            }
        };
        Ok(Some(Self {
            column,
            kind,
            lifetime_s: settings.lifetime_s.unwrap_or(0),
        }))
    }

    /// What `sql/` needs to know. Without a column there is no time that could be before the bound.
    pub(super) fn variables(expiry: Option<&Self>) -> Variables {
        let never = || "null::timestamptz".to_owned();
        Variables::from([
            ("expires_type", Self::sql_type(expiry)),
            ("expires_raw", expiry.map_or_else(never, Self::raw)),
            ("expires_at", expiry.map_or_else(never, Self::instant)),
            ("is_expired", Self::condition(expiry)),
            (
                "expires_least",
                expiry
                    .map_or("'-infinity'", |e| e.plausible().least)
                    .to_owned(),
            ),
        ])
    }

    /// The type of the column.
    pub(super) fn sql_type(expiry: Option<&Self>) -> String {
        expiry.map_or_else(
            || "timestamptz".to_owned(),
            |expiry| expiry.column.base_type.clone(),
        )
    }

    /// Whether a session "s" has expired.
    pub(super) fn condition(expiry: Option<&Self>) -> String {
        expiry.map_or_else(
            || "false".to_owned(),
            |expiry| {
                let (raw, bound) = (expiry.raw(), expiry.bound("now()"));
                format!("{raw} < {bound} and {raw} >= {}", expiry.plausible().least)
            },
        )
    }

    fn raw(&self) -> String {
        format!("s.{}", quote_identifier(&self.column.name))
    }

    /// When a session "s" expires, as an instant; null if never, or if its value cannot be meant.
    fn instant(&self) -> String {
        let raw = self.raw();
        let at = match &self.kind {
            Kind::Instant => raw.clone(),
            Kind::Local(zone) => format!("{raw} at time zone {}", quote_literal(zone)),
            Kind::Epoch(EpochUnit::EpochS) => format!("to_timestamp({raw})"),
            Kind::Epoch(EpochUnit::EpochMs) => format!("to_timestamp({raw} / 1000.0)"),
        };
        if self.kind == Kind::Instant && self.lifetime_s == 0 {
            return at;
        }
        // What lies outside would also overflow in the conversion, and fail the statement.
        let Plausible { least, below } = self.plausible();
        let lifetime_s = self.lifetime_s;
        format!(
            "case when {raw} >= {least} and {raw} < {below} then ({at}) + interval '{lifetime_s} seconds' end"
        )
    }

    /// The value below which a session has expired at a moment (SQL of type timestamptz), in the column's own terms.
    ///
    /// Clocks that are put back show an hour twice, and those that are put forward never show one. Counted with the
    /// smallest of the zone's offsets around the moment, a time in either expires at its latest: two days in a year
    /// a purge comes an hour later than it could. A day is more than any zone was ever shifted by, and is said in
    /// hours, because a day has 23 or 25 of them in the connection's own zone.
    pub fn bound(&self, moment: &str) -> String {
        let moment = match self.lifetime_s {
            0 => moment.to_owned(),
            lifetime_s => format!("({moment} - interval '{lifetime_s} seconds')"),
        };
        match &self.kind {
            Kind::Instant => moment,
            Kind::Local(zone) => {
                let zone = quote_literal(zone);
                format!(
                    "least({moment} at time zone {zone}, \
                     ({moment} - interval '24 hours') at time zone {zone} + interval '24 hours', \
                     ({moment} + interval '24 hours') at time zone {zone} - interval '24 hours')"
                )
            }
            Kind::Epoch(EpochUnit::EpochS) => {
                format!("floor(extract(epoch from {moment}))::bigint")
            }
            Kind::Epoch(EpochUnit::EpochMs) => {
                format!("floor(extract(epoch from {moment}) * 1000)::bigint")
            }
        }
    }

    fn plausible(&self) -> Plausible {
        let (least, below) = match &self.kind {
            Kind::Instant if self.lifetime_s == 0 => ("'-infinity'", "'infinity'"),
            Kind::Instant => (
                "timestamptz '1980-01-01 00:00+00'",
                "timestamptz '10000-01-01 00:00+00'",
            ),
            Kind::Local(_) => ("timestamp '1980-01-01'", "timestamp '10000-01-01'"),
            Kind::Epoch(EpochUnit::EpochS) => ("315360000", "100000000000"),
            Kind::Epoch(EpochUnit::EpochMs) => ("315360000000", "100000000000000"),
        };
        Plausible { least, below }
    }

    /// Looks at some sessions: where most of the numbers cannot be meant, the unit is wrong. A purge would delete
    /// nothing, and nobody would know why.
    pub(super) async fn check(
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
            "-- schema::expiry::check
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
        Err(Error::Implausible {
            table: sessions.to_string(),
            column: self.column.name.clone(),
            advice,
        })
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = quote_identifier(&self.column.name);
        match self.lifetime_s {
            0 => write!(f, "sessions expire at {column}")?,
            lifetime_s => write!(f, "sessions expire {lifetime_s} s after {column}")?,
        }
        match &self.kind {
            Kind::Instant => Ok(()),
            Kind::Local(zone) => write!(f, ", a time in the zone {zone}"),
            Kind::Epoch(EpochUnit::EpochS) => write!(f, ", in seconds since 1970"),
            Kind::Epoch(EpochUnit::EpochMs) => write!(f, ", in milliseconds since 1970"),
        }
    }
}

/// The zone as the server spells it.
async fn zone(
    client: &impl GenericClient,
    settings: &settings::Site,
    sessions: &Table,
    column: &Column,
) -> Result<String, Error> {
    let Some(given) = &settings.time_zone else {
        return Err(Error::NoZone {
            table: sessions.to_string(),
            column: column.name.clone(),
        });
    };
    let known = time_zones(client).await?;
    match known.iter().find(|zone| zone.eq_ignore_ascii_case(given)) {
        Some(zone) => Ok(zone.clone()),
        None => Err(Error::UnknownZone {
            name: given.clone(),
            nearest: nearest(given, known.into_iter()),
        }),
    }
}
