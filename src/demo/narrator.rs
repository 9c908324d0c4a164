//! How the demo speaks: tidy lines on standard output, with a little colour on a terminal.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Style};
use indicatif::HumanCount;

use crate::{settings::Environment, wording};

/// Prints the story. Where it cannot be printed (a closed pipe), the demo goes on and its exit code still tells.
#[derive(Clone)]
pub struct Narrator {
    colourful: bool,
    utf8: bool,
}

impl Narrator {
    /// On standard output; plain unless that is a terminal, or where `NO_COLOR` asks for it.
    pub fn on_stdout(environment: &Environment) -> Self {
        Self {
            colourful: std::io::stdout().is_terminal() && environment.get("NO_COLOR").is_none(),
            utf8: wording::is_utf8(environment),
        }
    }

    /// The beginning of a scene.
    pub fn heading(&self, text: &str) {
        self.say(&format!("\n{}", self.styled(Style::new().bold(), text)));
    }

    /// What a person does, as they would type it.
    pub fn act(&self, text: &str) {
        self.say(&format!(
            "  {}",
            self.styled(AnsiColor::Cyan.on_default(), text)
        ));
    }

    /// Something that has been checked against the database.
    pub fn fact(&self, text: &str) {
        let mark = if self.utf8 { "✓" } else { "ok" };
        self.say(&format!(
            "  {} {text}",
            self.styled(AnsiColor::Green.on_default().bold(), mark)
        ));
    }

    /// A number or a hint with its name in front.
    pub fn item(&self, name: &str, text: &str) {
        self.say(&format!(
            "  {}  {text}",
            self.styled(Style::new().bold(), &format!("{name:<11}"))
        ));
    }

    /// A line without meaning of its own.
    pub fn say(&self, text: &str) {
        let text = self.readable(text);
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// As far as the terminal can show it.
    fn readable(&self, text: &str) -> String {
        match self.utf8 {
            true => text.to_owned(),
            false => text.replace('…', "..."),
        }
    }

    fn styled(&self, style: Style, text: &str) -> String {
        if self.colourful {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

/// A number of things, in words: "1 session", "3,000 sessions".
pub fn count(number: usize, thing: &str) -> String {
    wording::count(number as u64, thing)
}

/// A duration as precisely as people read it.
pub fn time(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1000.0;
    match ms {
        ..10.0 => format!("{ms:.1} ms"),
        ..2000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.1} s", ms / 1000.0),
    }
}

/// How many in a second.
pub fn rate(number: usize, duration: Duration) -> String {
    let per_s = number as f64 / duration.as_secs_f64().max(0.001);
    format!("{} a second", HumanCount(per_s.round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_ascii_is_printed_where_nothing_else_can_be_read() {
        let narrator = Narrator::on_stdout(&Environment::from([("LANG", "C")]));
        assert_eq!(
            narrator.readable("set password = '…'"),
            "set password = '...'"
        );
    }

    #[test]
    fn times_and_rates_read_as_people_write_them() {
        assert_eq!(time(Duration::from_micros(2_340)), "2.3 ms");
        assert_eq!(time(Duration::from_millis(340)), "340 ms");
        assert_eq!(time(Duration::from_millis(12_340)), "12.3 s");
        assert_eq!(rate(20_000, Duration::from_millis(500)), "40,000 a second");
    }
}
