//! When a session expires, and when it was last used, defined once: every statement that asks takes its expression from
//! here.
//!
//! Stores keep it as an instant, as a clock time in some zone, or as a number, and a mistake in any of them deletes
//! live sessions. So nothing is guessed, the raw column is compared with a converted bound (an index on it stays
//! useful), and what is not plausible is never purged.

mod expression;
mod plausibility;

use std::fmt;

use tokio_postgres::{GenericClient, types::Type};

use super::{
    catalog::{column, nearest, time_zones},
    template::quote_identifier,
};
use crate::schema::{Column, Error, Table, Unusable};
use crate::settings::{self, EpochUnit};

/// The column that holds it, and what it means.
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

impl Expiry {
    /// Looks the settings up in the catalog; none if sessions do not expire.
    pub(in crate::schema) async fn find(
        client: &impl GenericClient,
        settings: &settings::Site,
        sessions: &Table,
    ) -> Result<Option<Self>, Error> {
        let named = ("site.expires_column", settings.expires_column.as_ref());
        let lifetime_s = settings.lifetime_s.unwrap_or(0);
        Self::of(client, settings, sessions, named, lifetime_s).await
    }

    /// The column that tells when a session was last used; none where that is the same column, or where none tells.
    pub(in crate::schema) async fn find_use(
        client: &impl GenericClient,
        settings: &settings::Site,
        sessions: &Table,
    ) -> Result<Option<Self>, Error> {
        let named = ("site.used_column", settings.used_column.as_ref());
        Self::of(client, settings, sessions, named, 0).await
    }

    async fn of(
        client: &impl GenericClient,
        settings: &settings::Site,
        sessions: &Table,
        (setting, name): (&'static str, Option<&String>),
        lifetime_s: u64,
    ) -> Result<Option<Self>, Error> {
        let Some(name) = name else {
            return Ok(None);
        };
        let column = column(client, setting, sessions, name).await?;
        Ok(Some(Self {
            kind: Kind::of(client, settings, sessions, &column).await?,
            column,
            lifetime_s,
        }))
    }
}

impl Kind {
    /// What a column holds, by its type and by what the settings say of it.
    async fn of(
        client: &impl GenericClient,
        settings: &settings::Site,
        sessions: &Table,
        column: &Column,
    ) -> Result<Self, Error> {
        Ok(match Type::from_oid(column.type_oid) {
            Some(Type::TIMESTAMPTZ) => Kind::Instant,
            Some(Type::TIMESTAMP) => Kind::Local(zone(client, settings, sessions, column).await?),
            Some(Type::INT4 | Type::INT8 | Type::NUMERIC) => {
                Kind::Epoch(settings.expires_unit.ok_or_else(|| Unusable::NoUnit {
                    table: sessions.to_string(),
                    column: column.name.clone(),
                })?)
            }
            _ => {
                return Err(Unusable::Expiry {
                    table: sessions.to_string(),
                    column: column.name.clone(),
                    sql_type: column.sql_type.clone(),
                }
                .into());
            }
        })
    }
}

/// When sessions expire, for the operator.
pub(in crate::schema) fn in_words(expiry: Option<&Expiry>) -> String {
    expiry.map_or_else(|| "sessions do not expire".to_owned(), ToString::to_string)
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
        return Err(Unusable::NoZone {
            table: sessions.to_string(),
            column: column.name.clone(),
        }
        .into());
    };
    let known = time_zones(client).await?;
    match known.iter().find(|zone| zone.eq_ignore_ascii_case(given)) {
        Some(zone) => Ok(zone.clone()),
        None => Err(Unusable::UnknownZone {
            name: given.clone(),
            nearest: nearest(given, known.into_iter()),
        }
        .into()),
    }
}
