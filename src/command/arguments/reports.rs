//! Options of the commands that only report.

use std::time::Duration;

use clap::Args;

use super::User;

/// Whose sessions to list.
#[derive(Debug, Args)]
pub struct Sessions {
    /// Whose.
    #[command(flatten)]
    pub user: User,
    /// Print one JSON array.
    #[arg(long)]
    pub json: bool,
}

/// Which revocations to list.
#[derive(Debug, Args)]
pub struct History {
    /// Those of this user, by the key, and those of everybody.
    pub user: Option<String>,
    /// USER is the value in this column of the user table instead: --by username, --by email.
    #[arg(long, value_name = "COLUMN", requires = "user")]
    pub by: Option<String>,
    /// Those of at most this age: 90s, 15m, 12h, 7d.
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub since: Option<Duration>,
    /// At most this many.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub most: u32,
    /// Print one JSON array.
    #[arg(long)]
    pub json: bool,
}

impl History {
    /// The user, if one is named.
    pub fn user(&self) -> Option<User> {
        let user = self.user.clone()?;
        let by = self.by.clone();
        Some(User { user, by })
    }
}

/// Whom to explain.
#[derive(Debug, Args)]
pub struct Explain {
    /// Whose.
    #[command(flatten)]
    pub user: User,
    /// At most this many revocations.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub most: u32,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// A number with its unit.
fn age(given: &str) -> Result<Duration, String> {
    let wrong = || "is not an age: write a whole number with s, m, h or d, such as 12h".to_owned();
    let (number, unit) =
        given.split_at(given.len() - given.chars().last().map_or(0, char::len_utf8));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

/// How to print it.
#[derive(Debug, Args)]
pub struct Status {
    /// Print one JSON object.
    #[arg(long, conflicts_with = "metrics")]
    pub json: bool,
    /// Print the figures as Prometheus reads them, for the textfile collector of node_exporter.
    #[arg(long)]
    pub metrics: bool,
    /// Show it again and again until Ctrl-C: in the same place on a terminal, one block below the other elsewhere.
    #[arg(long, conflicts_with_all = ["json", "metrics"])]
    pub watch: bool,
    /// How long to wait between two looks, in seconds.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 2,
        requires = "watch",
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    pub interval: u64,
}

/// How strict to be.
#[derive(Debug, Args)]
pub struct Doctor {
    /// End with 1 also for what is only worth knowing.
    #[arg(long)]
    pub strict: bool,
    /// Print one JSON array: check, id, verdict (ok, warn, fail), says, mend and silenced each.
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn an_age_is_a_number_and_its_unit() {
        assert_eq!(age("90s").unwrap().as_secs(), 90);
        assert_eq!(age("7d").unwrap().as_secs(), 604_800);
        for wrong in ["", "d", "7", "-1d", "1.5h", "7é"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }
}
