//! Versions of the tables: the files of `migrations/sqlite`, in order; `PRAGMA user_version` counts those applied.

use sqlx::{SqliteConnection, query_scalar, raw_sql};

const MIGRATIONS: [&str; 1] = [include_str!("../../../migrations/sqlite/0001_ledger.sql")];

/// The version that this program works with.
pub(super) const KNOWN: i64 = MIGRATIONS.len() as i64;

/// The version of the open database.
pub(super) async fn version(connection: &mut SqliteConnection) -> sqlx::Result<i64> {
    query_scalar("PRAGMA user_version").fetch_one(connection).await
}

/// Applies what is missing, all or nothing, and answers the version that the database then has: [`KNOWN`], or a newer one
/// that was left alone. After an error the connection must be closed.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> sqlx::Result<i64> {
    if version(connection).await? >= KNOWN {
        return version(connection).await;
    }
    raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    // once more: another process may have done it meanwhile
    let found = version(connection).await?;
    for (migration, before) in MIGRATIONS.iter().zip(0..) {
        if before >= found {
            raw_sql(*migration).execute(&mut *connection).await?;
        }
    }
    raw_sql("COMMIT").execute(&mut *connection).await?;
    version(connection).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::Connection;
    use std::fs;

    #[tokio::test]
    async fn each_migration_leaves_its_own_version() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        for (migration, before) in MIGRATIONS.iter().zip(0..) {
            assert_eq!(version(&mut connection).await.unwrap(), before);
            raw_sql(*migration).execute(&mut connection).await.unwrap();
            assert_eq!(version(&mut connection).await.unwrap(), before + 1);
        }
    }

    #[test]
    fn every_file_of_the_folder_is_embedded_in_its_order() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let texts: Vec<String> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        assert_eq!(texts, MIGRATIONS);
    }
}
