//! The same clients on a site without session-reaper: how many deadlocks they bring about by themselves.

use std::{fmt, sync::Arc};

use crate::{
    ledger::Books,
    options::{Options, Trouble},
    run,
    world::World,
};

/// What stands in for everything of ours.
pub const SCHEMA: &str = include_str!("control.sql");

/// Deadlocks, and the work in which they came up.
pub struct Deadlocks {
    pub victims: u64,
    pub operations: u64,
    /// Other statements that failed and had no reason to.
    pub failed: usize,
}

impl Deadlocks {
    pub fn of(books: &Books) -> Self {
        Self {
            victims: books.deadlocks,
            operations: books.operations,
            failed: books.failed.len(),
        }
    }
}

impl Deadlocks {
    /// Whether there are more than these clients bring about by themselves, for as much work. Such small numbers differ from
    /// run to run: what is within three standard deviations of both is no more.
    pub fn exceed(&self, control: &Self) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "they are compared roughly")]
        let [victims, operations, theirs, of_theirs] = [
            self.victims,
            self.operations,
            control.victims,
            control.operations,
        ]
        .map(|count| count as f64);
        let share = operations / of_theirs.max(1.0);
        let expected = theirs * share;
        // At least one might have been seen where none was.
        let deviation = (expected + theirs.max(1.0) * share * share).sqrt();
        victims > expected + 3.0 * deviation
    }
}

impl fmt::Display for Deadlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} deadlocks in {} operations",
            self.victims, self.operations
        )
    }
}

/// Runs it for as long and from the same seed. Faults of daemons and of the network have nothing to befall here.
pub async fn run(options: &Options) -> Deadlocks {
    let troubles = options.troubles.iter().copied();
    let options = Options {
        control: true,
        cached: false,
        faults: false,
        troubles: troubles
            .filter(|trouble| !matches!(trouble, Trouble::Rights | Trouble::Pauses))
            .collect(),
        ..options.clone()
    };
    let server = run::start_server(&options, None);
    let world = Arc::new(World::create(&server, options, None).await);
    run::live(&world).await;
    Deadlocks::of(&world.ledger.books())
}

#[test]
fn a_few_deadlocks_more_are_chance_and_many_are_not() {
    let of = |victims, operations| Deadlocks {
        victims,
        operations,
        failed: 0,
    };
    let control = of(4, 37_166);
    assert!(!of(4, 37_166).exceed(&control));
    assert!(!of(5, 17_552).exceed(&control));
    assert!(of(20, 17_552).exceed(&control));
    assert!(!of(1, 17_552).exceed(&of(0, 37_166)));
    assert!(of(4, 17_552).exceed(&of(0, 37_166)));
}
