//! What a command does at once. Where a daemon would come back later, the command tries again: past locks, and with
//! less at once where it ran out of time.

use super::Linker;
use crate::{connection::Error, process::shutdown::Stop, worker::passing::past_limits};

impl Linker {
    /// Links every session whose data had been committed when this began, except for those that are locked.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses a statement.
    pub async fn drain_past_limits(&self, stop: &Stop) -> Result<(), Error> {
        let drain_some = async |_| self.drain_some().await;
        while self.user_source.is_in_session()
            && past_limits(stop, &self.size, self.most(), drain_some).await?
        {}
        Ok(())
    }

    /// Like `backfill_page()`.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses a statement.
    pub async fn backfill_past_limits(&self, stop: &Stop) -> Result<Option<i64>, Error> {
        let read_page = async |_| self.read_page().await;
        past_limits(stop, &self.size, self.most(), read_page).await
    }

    fn most(&self) -> u32 {
        self.settings.now().link.batch_rows
    }
}
