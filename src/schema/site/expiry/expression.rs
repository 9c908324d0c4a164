//! Expiry as SQL: a bound for the raw column, and the instant for people to read.

use super::{
    super::template::{Variables, quote_identifier, quote_literal},
    Expiry, Kind,
    plausibility::Plausible,
};
use crate::settings::EpochUnit;

impl Expiry {
    /// What `sql/` needs to know. Without a column there is no time that could be before the bound.
    pub(in crate::schema) fn variables(expiry: Option<&Self>, used: Option<&Self>) -> Variables {
        let never = || "null::timestamptz".to_owned();
        let last_use = used
            .map(Self::instant)
            .or_else(|| expiry.map(Self::last_use));
        Variables::from([
            ("expires_type", Self::sql_type(expiry)),
            ("expires_raw", expiry.map_or_else(never, Self::raw)),
            ("expires_at", expiry.map_or_else(never, Self::instant)),
            ("used_at", last_use.unwrap_or_else(never)),
            (
                "is_unused",
                used.map_or_else(
                    || "false".to_owned(),
                    |used| format!("({} is null)", used.raw()),
                ),
            ),
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
    pub(in crate::schema) fn sql_type(expiry: Option<&Self>) -> String {
        expiry.map_or_else(
            || "timestamptz".to_owned(),
            |expiry| expiry.column.base_type.clone(),
        )
    }

    /// Whether a session "s" has expired.
    pub(in crate::schema) fn condition(expiry: Option<&Self>) -> String {
        expiry.map_or_else(
            || "false".to_owned(),
            |expiry| {
                let (raw, bound) = (expiry.raw(), expiry.bound("pg_catalog.now()"));
                format!("{raw} < {bound} and {raw} >= {}", expiry.plausible().least)
            },
        )
    }

    pub(super) fn raw(&self) -> String {
        format!("s.{}", quote_identifier(&self.column.name))
    }

    /// When a session "s" expires, as an instant; null if never, or if its value is not plausible.
    fn instant(&self) -> String {
        let raw = self.raw();
        let at = match &self.kind {
            Kind::Instant => raw.clone(),
            Kind::Local(zone) => format!("{raw} at time zone {}", quote_literal(zone)),
            Kind::Epoch(EpochUnit::EpochS) => format!("pg_catalog.to_timestamp({raw})"),
            Kind::Epoch(EpochUnit::EpochMs) => format!("pg_catalog.to_timestamp({raw} / 1000.0)"),
        };
        if self.kind == Kind::Instant && self.lifetime_s == 0 {
            return at;
        }
        // A value outside would also overflow in the conversion, and fail the statement.
        let Plausible { least, below } = self.plausible();
        let lifetime_s = self.lifetime_s;
        format!(
            "case when {raw} >= {least} and {raw} < {below} then ({at}) + interval '{lifetime_s} seconds' end"
        )
    }

    /// When a session "s" was last used; null where the column says something else.
    fn last_use(&self) -> String {
        match self.lifetime_s {
            0 => "null::timestamptz".to_owned(),
            lifetime_s => format!("({}) - interval '{lifetime_s} seconds'", self.instant()),
        }
    }

    /// The value below which a session has expired at a moment (SQL of type timestamptz), in the column's own terms.
    ///
    /// Clocks that are put back show an hour twice, and those that are put forward skip one. The bound is counted with
    /// the smallest of the zone's offsets around the moment, so that a time in either hour expires as late as it can:
    /// two days in a year a purge comes an hour later than it could. A day is more than any zone was ever shifted by,
    /// and is written in hours, because a day has 23 or 25 of them in the connection's own zone.
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
                format!("pg_catalog.floor(extract(epoch from {moment}))::bigint")
            }
            Kind::Epoch(EpochUnit::EpochMs) => {
                format!("pg_catalog.floor(extract(epoch from {moment}) * 1000)::bigint")
            }
        }
    }
}
