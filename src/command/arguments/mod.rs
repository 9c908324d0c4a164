//! What the command line may contain. The texts are what `--help` prints.

mod acts;
mod command;
mod reports;

use std::path::PathBuf;

use clap::{Args, Parser};

pub use acts::{Link, Policies, Purge, Revoke};
pub use command::Command;
pub use reports::{Doctor, Explain, History, Sessions, Status};

/// Ends a user's web sessions the moment their password changes, and keeps the session table clean.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "\
The database comes from DATABASE_URL, from the systemd credential database_url, or from PGHOST, PGUSER and \
the other variables that psql knows. On a Django site nothing else has to be set; other stores are named in \
the setting site.preset (SESSION_REAPER_SITE_PRESET=laravel and so on):

  session-reaper demo                        see it work on a throw-away server
  DATABASE_URL=... session-reaper migrate    install it (tables, functions, triggers)
  DATABASE_URL=... session-reaper run        and let it work

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration; from revoke, 3: not settled in time."
)]
pub struct Arguments {
    /// File with settings; each is also a variable, such as SESSION_REAPER_PURGE_SCHEDULE.
    #[arg(
        long,
        short,
        global = true,
        value_name = "FILE",
        env = "SESSION_REAPER_CONFIG"
    )]
    pub config: Option<PathBuf>,

    /// The site whose service this is about: reads /etc/session-reaper/NAME.toml, and the files beside it that the service
    /// session-reaper@NAME reads, such as the connection string. Instead of --config.
    #[arg(long, global = true, value_name = "NAME", value_parser = site_name)]
    pub site: Option<String>,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Arguments {
    /// The file that the settings are read from, where one is named here.
    pub fn settings_file(&self) -> Option<PathBuf> {
        match (&self.command, &self.site) {
            (
                Command::Config {
                    check: Some(file), ..
                },
                _,
            ) => Some(file.clone()),
            (_, Some(site)) => Some(format!("/etc/session-reaper/{site}.toml").into()),
            _ => self.config.clone(),
        }
    }
}

/// A name as systemd takes it for an instance, and none that leads elsewhere.
fn site_name(name: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
    if name.chars().all(is_plain) && name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Ok(name.to_owned());
    }
    Err("it has to be the name of a service's instance, such as mysite".to_owned())
}

/// Which user is meant.
#[derive(Clone, Debug, Args)]
pub struct User {
    /// The user's key, as it stands in the user table: the id, not the name.
    pub user: String,
    /// USER is the value in this column of the user table instead: --by username, --by email.
    #[arg(long, value_name = "COLUMN")]
    pub by: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::Arguments;
    use crate::settings::{Environment, stated};

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Arguments::command().debug_assert();
    }

    fn helps(command: &Command) -> String {
        let own = command.clone().render_long_help().to_string();
        let below = command.get_subcommands().map(helps);
        std::iter::once(own).chain(below).collect()
    }

    #[test]
    fn every_setting_that_help_names_exists() {
        let all = stated(None, &Environment::default()).unwrap();
        let mut command = Arguments::command();
        command.build();
        let helps = helps(&command);
        let words = helps.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.');
        let names: Vec<_> = words
            .filter_map(|word| word.trim_matches('.').split_once('.'))
            .filter(|(section, _)| all.iter().any(|one| one.section == *section))
            .collect();
        assert!(!names.is_empty());
        for (section, key) in names {
            let exists = all
                .iter()
                .any(|one| one.section == section && one.key == key);
            assert!(exists, "{section}.{key}");
        }
    }
}
