//! Work that is one statement: each takes its own connection, with the bound that all work has.

use tokio_postgres::{Row, types::ToSql};

use super::{Database, Error, prepared};

/// One statement, on its own connection.
impl Database {
    /// Its rows.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses the statement.
    pub async fn query(
        &self,
        text: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        self.work(async |client| Ok(client.query(text, parameters).await?))
            .await
    }

    /// Its only row.
    ///
    /// # Errors
    /// The same, and that it gives another number of rows.
    pub async fn query_one(
        &self,
        text: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Error> {
        self.work(async |client| Ok(client.query_one(text, parameters).await?))
            .await
    }

    /// The only row of one that is sent again and again; see [`prepared`].
    ///
    /// # Errors
    /// The same.
    pub async fn query_one_prepared(
        &self,
        text: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Error> {
        self.work(async |client| prepared::query_one(&client, text, parameters).await)
            .await
    }

    /// One that is sent again and again, without its rows.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses the statement.
    pub async fn execute_prepared(
        &self,
        text: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<(), Error> {
        self.work(async |client| prepared::execute(&client, text, parameters).await)
            .await
    }

    /// Without its rows; returns how many it has changed.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses the statement.
    pub async fn execute(
        &self,
        text: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Error> {
        self.work(async |client| Ok(client.execute(text, parameters).await?))
            .await
    }

    /// Several without parameters.
    ///
    /// # Errors
    /// The same.
    pub async fn batch_execute(&self, text: &str) -> Result<(), Error> {
        self.work(async |client| Ok(client.batch_execute(text).await?))
            .await
    }
}
