//! Lines that are written again and again in the same place on a terminal, and one block below the other elsewhere.

use std::io::{self, Write};

use super::colour::Colour;
use crate::status::lines::{Line, Tone};

/// A terminal that does not say how large it is.
const USUAL: (usize, usize) = (80, 24);

/// How the label of a line is set off.
const INDENT: usize = 11;

/// Where they are written.
pub struct Screen {
    colour: Colour,
    redraws: bool,
    /// How many rows of the terminal the last ones took.
    rows: usize,
}

impl Screen {
    /// Standard output.
    pub fn on_stdout() -> Self {
        Self {
            colour: Colour::on_stdout(),
            redraws: Colour::can_redraw(),
            rows: 0,
        }
    }

    /// One line, as `status` prints it, too.
    pub fn line(&self, line: &Line) -> String {
        let label = format!("{:<width$}", line.about, width = INDENT);
        format!("{label}{}", self.colour.paint(line.tone, &line.says))
    }

    /// Shows these in place of the last ones.
    ///
    /// # Errors
    /// Where the reader has gone.
    pub fn show(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if !self.redraws {
            for line in lines {
                writeln!(out, "{}", self.line(line))?;
            }
            return writeln!(out).and_then(|()| out.flush());
        }
        let size = terminal_size::terminal_size()
            .map_or(USUAL, |(width, height)| (width.0.into(), height.0.into()));
        let (shown, rows) = fitting(lines, size);
        // Goes to the first row of the last ones, and clears everything from there on.
        if self.rows > 0 {
            write!(out, "\x1b[{}A", self.rows)?;
        }
        write!(out, "\r\x1b[J")?;
        for line in &lines[..shown] {
            writeln!(out, "{}", self.line(line))?;
        }
        self.rows = rows;
        if shown < lines.len() {
            let more = Line {
                about: "",
                says: "there is more than fits in here".to_owned(),
                tone: Tone::Noteworthy,
            };
            writeln!(out, "{}", self.line(&more))?;
            self.rows += 1;
        }
        out.flush()
    }
}

/// How many lines fit, and how many rows they take where long ones are wrapped. What has been pushed out at the top cannot be
/// written over, so one row stays free for the cursor, and one to say that there is more.
fn fitting(lines: &[Line], (width, height): (usize, usize)) -> (usize, usize) {
    let mut taken = 0;
    for (number, line) in lines.iter().enumerate() {
        let letters = INDENT + line.says.chars().count();
        let rows = letters.div_ceil(width.max(1)).max(1);
        let is_last = number + 1 == lines.len();
        let kept_free = if is_last { 1 } else { 2 };
        if taken + rows + kept_free > height {
            return (number, taken);
        }
        taken += rows;
    }
    (lines.len(), taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lengths: &[usize]) -> Vec<Line> {
        let line = |length: &usize| Line {
            about: "about",
            says: "x".repeat(*length),
            tone: Tone::Plain,
        };
        lengths.iter().map(line).collect()
    }

    #[test]
    fn a_long_line_takes_several_rows() {
        assert_eq!(fitting(&lines(&[5, 200, 69]), (80, 24)), (3, 5));
    }

    #[test]
    fn what_would_push_the_first_row_out_of_the_terminal_is_left_out() {
        assert_eq!(fitting(&lines(&[5; 9]), (80, 10)), (9, 9));
        assert_eq!(fitting(&lines(&[5; 10]), (80, 10)), (8, 8));
        assert_eq!(fitting(&lines(&[5; 3]), (80, 1)), (0, 0));
    }
}
