//! Colour where a person looks on, and nowhere else.

use std::io::{IsTerminal, stdout};

use clap::builder::styling::{AnsiColor, Style};

use crate::{settings::Environment, status::lines::Tone};

/// Whether there is any.
#[derive(Clone, Copy, Debug)]
pub struct Colour(bool);

impl Colour {
    /// On standard output: only if that is a terminal that knows colours, and not where `NO_COLOR` forbids it.
    pub fn on_stdout() -> Self {
        Self(stdout().is_terminal() && is_wanted(&Environment::of_process()))
    }

    /// Whether this is a terminal on which a line can be written over.
    pub fn can_redraw() -> bool {
        let environment = Environment::of_process();
        stdout().is_terminal() && environment.get("TERM") != Some("dumb")
    }

    /// A text in the colour of its tone.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let style = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Noteworthy => AnsiColor::Yellow.on_default(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
        };
        self.styled(style, text)
    }

    fn styled(self, style: Style, text: &str) -> String {
        if self.0 {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

/// As <https://no-color.org> defines it: an empty variable counts as unset.
fn is_wanted(environment: &Environment) -> bool {
    let says_no = environment.get("NO_COLOR").is_some_and(|no| !no.is_empty());
    !says_no && environment.get("TERM") != Some("dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_left_out_where_somebody_says_so_and_where_the_terminal_has_none() {
        let wanted = |variables: &[(&'static str, &'static str)]| {
            is_wanted(&Environment::from_iter(variables.iter().copied()))
        };
        assert!(wanted(&[("TERM", "xterm")]) && wanted(&[("NO_COLOR", "")]));
        assert!(!wanted(&[("NO_COLOR", "1")]) && !wanted(&[("TERM", "dumb")]));
    }

    #[test]
    fn a_tone_is_a_colour_only_where_there_is_any() {
        assert_eq!(Colour(false).paint(Tone::Bad, "no"), "no");
        assert_eq!(
            Colour(true).paint(Tone::Good, "yes"),
            "\u{1b}[32myes\u{1b}[0m"
        );
        assert_eq!(Colour(true).paint(Tone::Plain, "5"), "5");
    }
}
