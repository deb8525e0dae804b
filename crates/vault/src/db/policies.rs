//! Policies in the database.

use super::{Change, Database, failed, from_json, parsed, to_json, unsigned};
use crate::error::ServiceError;
use api::PolicyName;
use format::DomainId;
use policy::PolicySettings;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteExecutor};

/// A policy, and how many items have it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PolicyRow {
    pub(crate) name: PolicyName,
    pub(crate) settings: PolicySettings,
    pub(crate) changed_ms: i64,
    pub(crate) items: u64,
}

impl Database {
    /// All policies, by name.
    pub(crate) async fn policies(&self) -> Result<Vec<PolicyRow>, ServiceError> {
        const ALL: &str = "SELECT name, settings, changed_ms, (SELECT count(*) FROM items WHERE policy = policies.name) AS items \
                           FROM policies ORDER BY name";
        let rows = sqlx::query(ALL).fetch_all(&self.pool).await.map_err(failed("list policies"))?;
        rows.iter().map(policy).collect()
    }

    pub(crate) async fn policy(&self, name: &PolicyName) -> Result<Option<PolicyRow>, ServiceError> {
        find(&self.pool, name).await
    }
}

impl Change {
    pub(crate) async fn policy(&mut self, name: &PolicyName) -> Result<Option<PolicyRow>, ServiceError> {
        find(&mut *self.0, name).await
    }

    pub(crate) async fn count_policies(&mut self) -> Result<u64, ServiceError> {
        let count: Result<i64, _> = sqlx::query_scalar("SELECT count(*) FROM policies").fetch_one(&mut *self.0).await;
        count.map(unsigned).map_err(failed("count policies"))
    }

    pub(crate) async fn put_policy(
        &mut self,
        name: &PolicyName,
        settings: &PolicySettings,
        now_ms: i64,
    ) -> Result<(), ServiceError> {
        const PUT: &str = "INSERT INTO policies (name, settings, changed_ms) VALUES (?, ?, ?) \
                           ON CONFLICT (name) DO UPDATE SET settings = excluded.settings, changed_ms = excluded.changed_ms";
        let put = sqlx::query(PUT).bind(name.as_str()).bind(to_json(settings)?).bind(now_ms).execute(&mut *self.0);
        put.await.map(drop).map_err(failed("store a policy"))
    }

    pub(crate) async fn remove_policy(&mut self, name: &PolicyName) -> Result<(), ServiceError> {
        let removed = sqlx::query("DELETE FROM policies WHERE name = ?").bind(name.as_str()).execute(&mut *self.0);
        removed.await.map(drop).map_err(failed("remove a policy"))
    }

    /// Domains of the items that have a policy.
    pub(crate) async fn domains_of_policy(&mut self, name: &PolicyName) -> Result<Vec<DomainId>, ServiceError> {
        let rows = sqlx::query_scalar("SELECT DISTINCT domain FROM items WHERE policy = ?").bind(name.as_str());
        let rows: Vec<Vec<u8>> = rows.fetch_all(&mut *self.0).await.map_err(failed("list a policy's domains"))?;
        rows.into_iter().map(|bytes| super::exact(bytes).map(DomainId).map_err(failed("read a domain"))).collect()
    }

    /// From now on the items that have this policy have other schedules.
    pub(crate) async fn restart_schedules(&mut self, name: &PolicyName, now_ms: i64) -> Result<(), ServiceError> {
        let set = sqlx::query("UPDATE items SET since_ms = ? WHERE policy = ?").bind(now_ms).bind(name.as_str());
        set.execute(&mut *self.0).await.map(drop).map_err(failed("change items"))
    }
}

async fn find<'e>(executor: impl SqliteExecutor<'e>, name: &PolicyName) -> Result<Option<PolicyRow>, ServiceError> {
    const ONE: &str = "SELECT name, settings, changed_ms, (SELECT count(*) FROM items WHERE policy = policies.name) AS items \
                       FROM policies WHERE name = ?";
    let row = sqlx::query(ONE).bind(name.as_str()).fetch_optional(executor).await.map_err(failed("look a policy up"))?;
    row.as_ref().map(policy).transpose()
}

fn policy(row: &SqliteRow) -> Result<PolicyRow, ServiceError> {
    let read = || -> Result<PolicyRow, sqlx::Error> {
        Ok(PolicyRow {
            name: parsed(row.try_get("name")?)?,
            settings: from_json(row.try_get("settings")?)?,
            changed_ms: row.try_get("changed_ms")?,
            items: unsigned(row.try_get("items")?),
        })
    };
    read().map_err(failed("read a policy"))
}
