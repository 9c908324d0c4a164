//! What keeps the links from being built beside their table.

/// Why the links cannot be built beside their table, so that pages make them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// Then the queue does not tell who has left a session.
    #[error("a trigger links them")]
    Trigger,
    /// The schema is locked.
    #[error("another command is changing the schema")]
    Schema,
    /// Another release, or other settings, have another view.
    #[error("the functions are not those of this release and these settings")]
    Functions,
    /// The new table could not take its place.
    #[error("another object depends on the table of links")]
    Dependent,
    /// Every session has been read, or the site is paused.
    #[error("there is nothing to read now")]
    Nothing,
    /// It takes nothing more, so it does not show which sessions have changed hands.
    #[error("the queue is full")]
    QueueFull,
    /// Rows that cannot be read by their place.
    #[error("the session table is no ordinary table")]
    Storage,
    /// Pages are quick enough.
    #[error("there are few sessions")]
    Few,
    /// Most of the work would be done again.
    #[error("many sessions are linked or pending already")]
    Linked,
    /// By a signal.
    #[error("it was stopped")]
    Stopped,
}

impl Obstacle {
    /// Those that `may_be.sql` looks for, by its names for them.
    pub(super) fn called(name: &str) -> Self {
        match name {
            "nothing" => Self::Nothing,
            "queue" => Self::QueueFull,
            "storage" => Self::Storage,
            "few" => Self::Few,
            _ => Self::Linked,
        }
    }
}
