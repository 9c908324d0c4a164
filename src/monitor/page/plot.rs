//! How long the last revocations took, as a picture: one column each, the oldest on the left, from a millisecond upwards.

use std::fmt::Write;

use crate::{status::latency::Point, wording};

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 220.0;

/// For the words beside the lines.
const LEFT: f64 = 60.0;

const MARGIN: f64 = 10.0;

/// What is faster than that is at the bottom.
const LEAST_S: f64 = 0.001;

/// As SVG, in the order in which they come: the newest first. Nothing where there is none.
pub fn plot(points: &[Point]) -> String {
    let times = points
        .iter()
        .flat_map(|point| [Some(point.gone_s), point.settled_s]);
    let Some(longest_s) = times.flatten().reduce(f64::max) else {
        return String::new();
    };
    // At least up to a second, so that a fast one does not look like a slow one.
    let decades = (longest_s / LEAST_S).log10().ceil().max(3.0);
    let height_of = |seconds: f64| {
        let above = (seconds / LEAST_S).log10().clamp(0.0, decades);
        HEIGHT - MARGIN - above / decades * (HEIGHT - 2.0 * MARGIN)
    };
    let mut marks = String::new();
    for decade in 0..=decades as u32 {
        let seconds = LEAST_S * 10_f64.powf(f64::from(decade));
        grid_line(&mut marks, height_of(seconds), &wording::lasting(seconds));
    }
    let step = (WIDTH - LEFT - MARGIN) / points.len().max(20) as f64;
    for (number, point) in points.iter().enumerate() {
        let x = WIDTH - MARGIN - (number as f64 + 0.5) * step;
        let y = height_of(point.gone_s);
        let _ = write!(
            marks,
            "<circle class=\"gone\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>"
        );
        if let Some(settled_s) = point.settled_s {
            let (left, top) = (x - 3.0, height_of(settled_s) - 3.0);
            let _ = write!(
                marks,
                "<rect class=\"settled\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"6\" height=\"6\"/>"
            );
        }
    }
    format!(
        "<h2>How long they took</h2>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"How long the last revocations took\">\n{marks}</svg>\n\
         <p>The last {}, the newest on the right: &#9679; until the sessions were gone, &#9633; until it had settled.</p>\n",
        wording::count(points.len() as u64, "revocation")
    )
}

fn grid_line(marks: &mut String, y: f64, says: &str) {
    let (right, base, end) = (WIDTH - MARGIN, y + 4.0, LEFT - 8.0);
    let _ = writeln!(
        marks,
        "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
         <text x=\"{end}\" y=\"{base:.1}\" text-anchor=\"end\">{says}</text>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(gone_s: f64, settled_s: Option<f64>) -> Point {
        Point { gone_s, settled_s }
    }

    /// Where the marks of a kind are, from the top.
    fn heights(svg: &str, attribute: &str, class: &str) -> Vec<f64> {
        let marks = svg.split('<').filter(|mark| mark.contains(class));
        let value = |mark: &str| {
            let (_, rest) = mark.split_once(attribute).unwrap();
            rest.split('"').next().unwrap().parse::<f64>().unwrap()
        };
        marks.map(value).collect()
    }

    #[test]
    fn what_takes_ten_times_as_long_stands_a_decade_higher_and_inside_of_the_picture() {
        let svg = plot(&[
            point(0.01, Some(10.0)),
            point(0.1, None),
            point(0.0, Some(90_000.0)),
        ]);
        let gone = heights(&svg, " cy=\"", "class=\"gone\"");
        let lines = heights(&svg, " y1=\"", "line ");
        assert_eq!(gone.len(), 3);
        let decade = lines[0] - lines[1];
        assert!(
            (gone[0] - gone[1] - decade).abs() < 0.2,
            "{gone:?} {lines:?}"
        );
        let all = gone.iter().chain(&lines);
        assert!(all.clone().all(|y| (0.0..=HEIGHT).contains(y)), "{svg}");
        assert_eq!(heights(&svg, " y=\"", "class=\"settled\"").len(), 2);
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(plot(&[]), "");
    }
}
