//! Protected items in the database, and the revision of what a domain's agent protects.

use super::{Change, Database, exact, failed, from_json, parsed, signed, to_json, unsigned};
use crate::error::ServiceError;
use api::{FileScope, PolicyName, ReviewBody};
use format::{DomainId, ItemName};
use policy::PolicySettings;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteExecutor};

/// An item, with what its policy says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ItemRow {
    pub(crate) domain: DomainId,
    pub(crate) name: ItemName,
    pub(crate) files: FileScope,
    pub(crate) policy: Option<PolicyName>,
    /// Of the policy; not stored with the item.
    pub(crate) settings: Option<PolicySettings>,
    pub(crate) since_ms: i64,
    pub(crate) protected_ms: Option<i64>,
    pub(crate) last_slot_ms: Option<i64>,
    pub(crate) review: Option<ReviewBody>,
    pub(crate) accepted: Option<ReviewBody>,
}

impl Database {
    /// Items, of one domain or of all, by domain and name.
    pub(crate) async fn items(&self, domain: Option<DomainId>) -> Result<Vec<ItemRow>, ServiceError> {
        const ALL: &str = "SELECT items.*, policies.settings FROM items LEFT JOIN policies ON policies.name = items.policy \
                           ORDER BY domain, items.name";
        const OF_DOMAIN: &str = "SELECT items.*, policies.settings FROM items LEFT JOIN policies ON policies.name = items.policy \
                                 WHERE domain = ? ORDER BY items.name";
        let query = match domain {
            None => sqlx::query(ALL),
            Some(domain) => sqlx::query(OF_DOMAIN).bind(domain.0.to_vec()),
        };
        let rows = query.fetch_all(&self.pool).await.map_err(failed("list items"))?;
        rows.iter().map(item).collect()
    }

    pub(crate) async fn item(&self, domain: DomainId, name: &ItemName) -> Result<Option<ItemRow>, ServiceError> {
        find(&self.pool, domain, name).await
    }

    /// Domains that have items.
    pub(crate) async fn protected_domains(&self) -> Result<Vec<DomainId>, ServiceError> {
        let rows: Result<Vec<Vec<u8>>, _> =
            sqlx::query_scalar("SELECT DISTINCT domain FROM items ORDER BY domain").fetch_all(&self.pool).await;
        let rows = rows.map_err(failed("list domains"))?;
        rows.into_iter().map(|bytes| exact(bytes).map(DomainId).map_err(failed("read a domain"))).collect()
    }

    /// Revision of what a domain's agent protects; 0 before the first change.
    pub(crate) async fn revision(&self, domain: DomainId) -> Result<u64, ServiceError> {
        let revision = sqlx::query_scalar("SELECT revision FROM domains WHERE domain = ?").bind(domain.0.to_vec());
        let revision: Option<i64> = revision.fetch_optional(&self.pool).await.map_err(failed("read a revision"))?;
        Ok(unsigned(revision.unwrap_or(0)))
    }

    /// What of an item's points waits for a person.
    pub(crate) async fn set_review(
        &self,
        domain: DomainId,
        name: &ItemName,
        review: Option<ReviewBody>,
    ) -> Result<(), ServiceError> {
        // What was let expire was another review.
        const SET: &str = "UPDATE items SET review_expiring = ?1, review_points = ?2, \
                           accepted_expiring = iif(?1 IS NULL, accepted_expiring, NULL), \
                           accepted_points = iif(?1 IS NULL, accepted_points, NULL) WHERE domain = ?3 AND name = ?4";
        let set = sqlx::query(SET)
            .bind(review.map(|review| signed(review.expiring)))
            .bind(review.map(|review| signed(review.points)))
            .bind(domain.0.to_vec())
            .bind(name.as_str());
        set.execute(&self.pool).await.map(drop).map_err(failed("store a review"))
    }

    /// A person has let them expire.
    pub(crate) async fn accept_review(&self, domain: DomainId, name: &ItemName, review: ReviewBody) -> Result<(), ServiceError> {
        const SET: &str = "UPDATE items SET review_expiring = NULL, review_points = NULL, accepted_expiring = ?, accepted_points = ? \
                           WHERE domain = ? AND name = ?";
        let set = sqlx::query(SET)
            .bind(signed(review.expiring))
            .bind(signed(review.points))
            .bind(domain.0.to_vec())
            .bind(name.as_str());
        set.execute(&self.pool).await.map(drop).map_err(failed("store a review"))
    }
}

impl Change {
    pub(crate) async fn item(&mut self, domain: DomainId, name: &ItemName) -> Result<Option<ItemRow>, ServiceError> {
        find(&mut *self.0, domain, name).await
    }

    pub(crate) async fn count_items(&mut self, domain: DomainId) -> Result<u64, ServiceError> {
        let count = sqlx::query_scalar("SELECT count(*) FROM items WHERE domain = ?").bind(domain.0.to_vec());
        let count: Result<i64, _> = count.fetch_one(&mut *self.0).await;
        count.map(unsigned).map_err(failed("count items"))
    }

    pub(crate) async fn put_item(&mut self, row: &ItemRow) -> Result<(), ServiceError> {
        const PUT: &str = "INSERT INTO items (domain, name, files, policy, since_ms, protected_ms, last_slot_ms, review_expiring, \
                           review_points, accepted_expiring, accepted_points) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
                           ON CONFLICT (domain, name) DO UPDATE SET files = excluded.files, policy = excluded.policy, \
                           since_ms = excluded.since_ms, protected_ms = excluded.protected_ms, \
                           last_slot_ms = excluded.last_slot_ms, review_expiring = excluded.review_expiring, \
                           review_points = excluded.review_points, accepted_expiring = excluded.accepted_expiring, \
                           accepted_points = excluded.accepted_points";
        let put = sqlx::query(PUT)
            .bind(row.domain.0.to_vec())
            .bind(row.name.as_str())
            .bind(to_json(&row.files)?)
            .bind(row.policy.as_ref().map(PolicyName::as_str))
            .bind(row.since_ms)
            .bind(row.protected_ms)
            .bind(row.last_slot_ms)
            .bind(row.review.map(|review| signed(review.expiring)))
            .bind(row.review.map(|review| signed(review.points)))
            .bind(row.accepted.map(|review| signed(review.expiring)))
            .bind(row.accepted.map(|review| signed(review.points)));
        put.execute(&mut *self.0).await.map(drop).map_err(failed("store an item"))
    }

    pub(crate) async fn remove_item(&mut self, domain: DomainId, name: &ItemName) -> Result<bool, ServiceError> {
        let removed = sqlx::query("DELETE FROM items WHERE domain = ? AND name = ?").bind(domain.0.to_vec()).bind(name.as_str());
        let removed = removed.execute(&mut *self.0).await.map_err(failed("remove an item"))?;
        Ok(removed.rows_affected() > 0)
    }

    /// A scheduled run of this slot was completed. An older one than was completed before changes nothing.
    pub(crate) async fn set_last_slot(&mut self, domain: DomainId, name: &ItemName, slot_ms: i64) -> Result<(), ServiceError> {
        let set = sqlx::query("UPDATE items SET last_slot_ms = max(coalesce(last_slot_ms, 0), ?) WHERE domain = ? AND name = ?")
            .bind(slot_ms)
            .bind(domain.0.to_vec())
            .bind(name.as_str());
        set.execute(&mut *self.0).await.map(drop).map_err(failed("store a slot"))
    }

    /// What the agents of a domain protect is another thing from now on. After a database that was lost the revision is another
    /// than every one before: it begins at the time.
    pub(crate) async fn revise(&mut self, domain: DomainId, now_ms: i64) -> Result<(), ServiceError> {
        const REVISE: &str = "INSERT INTO domains (domain, revision, points_known) VALUES (?, max(?, 1), 0) \
                              ON CONFLICT (domain) DO UPDATE SET revision = max(revision + 1, excluded.revision)";
        let revised = sqlx::query(REVISE).bind(domain.0.to_vec()).bind(now_ms).execute(&mut *self.0);
        revised.await.map(drop).map_err(failed("store a revision"))
    }
}

async fn find<'e>(executor: impl SqliteExecutor<'e>, domain: DomainId, name: &ItemName) -> Result<Option<ItemRow>, ServiceError> {
    const ONE: &str = "SELECT items.*, policies.settings FROM items LEFT JOIN policies ON policies.name = items.policy \
                       WHERE domain = ? AND items.name = ?";
    let row = sqlx::query(ONE).bind(domain.0.to_vec()).bind(name.as_str()).fetch_optional(executor).await;
    row.map_err(failed("look an item up"))?.as_ref().map(item).transpose()
}

fn item(row: &SqliteRow) -> Result<ItemRow, ServiceError> {
    let read = || -> Result<ItemRow, sqlx::Error> {
        let review = |expiring: &str, points: &str| -> Result<Option<ReviewBody>, sqlx::Error> {
            let both = (row.try_get::<Option<i64>, _>(expiring)?, row.try_get::<Option<i64>, _>(points)?);
            let (Some(expiring), Some(points)) = both else { return Ok(None) };
            Ok(Some(ReviewBody { expiring: unsigned(expiring), points: unsigned(points) }))
        };
        Ok(ItemRow {
            domain: DomainId(exact(row.try_get("domain")?)?),
            name: parsed(row.try_get("name")?)?,
            files: from_json(row.try_get("files")?)?,
            policy: row.try_get::<Option<&str>, _>("policy")?.map(parsed).transpose()?,
            settings: row.try_get::<Option<&str>, _>("settings")?.map(from_json).transpose()?,
            since_ms: row.try_get("since_ms")?,
            protected_ms: row.try_get("protected_ms")?,
            last_slot_ms: row.try_get("last_slot_ms")?,
            review: review("review_expiring", "review_points")?,
            accepted: review("accepted_expiring", "accepted_points")?,
        })
    };
    read().map_err(failed("read an item"))
}
