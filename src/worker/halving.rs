//! One row must not hold up the others (P8): a batch that fails on the content of one of its rows is halved until that
//! row is alone. Then that row is set aside and counted; the others are done.
//!
//! Work of this kind calls functions that catch such an error and report it (`session_reaper.is_of_the_row`). A failed
//! statement would end the transaction, and quote the row in the server's log (P7).

use std::{iter, ops::Range};

/// The parts of a batch that are still to be tried.
#[derive(Debug)]
pub struct Halves(Vec<Range<usize>>);

impl Halves {
    /// A batch of so many rows, whole at first. An empty one is tried, too: not everything is about rows.
    pub fn of(rows: usize) -> Self {
        Self(iter::once(0..rows).collect())
    }

    /// The same in parts of at most so many rows from the start.
    pub fn of_parts(rows: usize, most: usize) -> Self {
        if rows <= most {
            return Self::of(rows);
        }
        let mut halves = Self::of(rows);
        halves.cut(most);
        halves
    }

    /// What is left is tried in parts of at most so many rows.
    pub fn cut(&mut self, most: usize) {
        let parts = self.0.iter().flat_map(|part| {
            let starts = part.clone().step_by(most).rev();
            starts.map(|start| start..part.end.min(start + most))
        });
        self.0 = parts.collect();
    }

    /// The next part to try; none if all have been.
    pub fn next(&mut self) -> Option<Range<usize>> {
        self.0.pop()
    }

    /// This part has failed: its halves are tried instead. Returns the row if it was alone.
    pub fn failed(&mut self, part: Range<usize>) -> Option<usize> {
        if part.len() <= 1 {
            return Some(part.start);
        }
        let middle = part.start + part.len() / 2;
        // The first one comes next.
        self.0.push(middle..part.end);
        self.0.push(part.start..middle);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_tried_in_order_and_leave_nothing_out() {
        for (rows, most) in [(0, 3), (1, 3), (3, 3), (10, 3), (10, 100), (4, 1)] {
            let (mut halves, mut done) = (Halves::of_parts(rows, most), Vec::new());
            while let Some(part) = halves.next() {
                assert!(part.len() <= most);
                done.extend(part);
            }
            assert_eq!(done, (0..rows).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_left_can_be_cut_and_leaves_nothing_out() {
        let (mut halves, mut done) = (Halves::of_parts(10, 4), Vec::new());
        done.extend(halves.next().unwrap());
        let part = halves.next().unwrap();
        assert_eq!(halves.failed(part), None);
        halves.cut(1);
        while let Some(part) = halves.next() {
            assert_eq!(part.len(), 1);
            done.extend(part);
        }
        assert_eq!(done, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn every_row_but_the_failing_ones_is_done_once_and_in_order() {
        let failing = [0, 13, 14, 99];
        let (mut halves, mut done, mut aside) = (Halves::of(100), Vec::new(), Vec::new());
        let mut tries = 0;
        while let Some(part) = halves.next() {
            tries += 1;
            if part.clone().any(|row| failing.contains(&row)) {
                aside.extend(halves.failed(part));
            } else {
                done.extend(part);
            }
        }
        assert_eq!(aside, failing);
        let others: Vec<usize> = (0..100).filter(|row| !failing.contains(row)).collect();
        assert_eq!(done, others);
        assert!(tries < 60, "{tries} tries");
    }
}
