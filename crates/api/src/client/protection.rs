//! Policies and items, asked of a service.

use super::ServiceVault;
use super::connection::Call;
use crate::items::{ItemBody, ItemList, ItemPointList, ItemRequest, Protection, ReviewBody};
use crate::paging::ItemsQuery;
use crate::policies::{PolicyBody, PolicyList, PolicyName, PolicyRequest};
use contract::Result;
use format::{DomainId, ItemName};
use reqwest::Method;

impl ServiceVault {
    /// All policies. Administrators only.
    pub async fn policies(&self) -> Result<PolicyList> {
        self.connection.send_json(Call::get("/v1/policies")).await
    }

    /// A policy. Administrators only.
    pub async fn policy(&self, policy: &PolicyName) -> Result<PolicyBody> {
        self.connection.send_json(Call::get(format!("/v1/policies/{policy}"))).await
    }

    /// Sets a policy. `Denied` if it protects less than the one before and that was not allowed. Administrators only.
    pub async fn set_policy(&self, policy: &PolicyName, request: &PolicyRequest) -> Result<PolicyBody> {
        self.connection.send_json(Call::new(Method::PUT, format!("/v1/policies/{policy}")).json(request)?).await
    }

    /// Removes a policy. `Conflict` if items have it. Administrators only.
    pub async fn remove_policy(&self, policy: &PolicyName) -> Result<()> {
        self.connection.send(Call::new(Method::DELETE, format!("/v1/policies/{policy}"))).await.map(drop)
    }

    /// Items that are protected. Administrators only.
    pub async fn items(&self, query: &ItemsQuery) -> Result<ItemList> {
        let domain = query.domain.map(|domain| format!("?domain={domain}")).unwrap_or_default();
        self.connection.send_json(Call::get(format!("/v1/items{domain}"))).await
    }

    /// An item.
    pub async fn item(&self, domain: DomainId, item: &ItemName) -> Result<ItemBody> {
        self.connection.send_json(Call::get(format!("/v1/domains/{domain}/items/{item}"))).await
    }

    /// Sets what an item is. Administrators only.
    pub async fn set_item(&self, domain: DomainId, item: &ItemName, request: &ItemRequest) -> Result<ItemBody> {
        let call = Call::new(Method::PUT, format!("/v1/domains/{domain}/items/{item}")).json(request)?;
        self.connection.send_json(call).await
    }

    /// Protects an item no more; its points stay. Administrators only.
    pub async fn remove_item(&self, domain: DomainId, item: &ItemName) -> Result<()> {
        self.connection.send(Call::new(Method::DELETE, format!("/v1/domains/{domain}/items/{item}"))).await.map(drop)
    }

    /// An item's points and what becomes of them.
    pub async fn item_points(&self, domain: DomainId, item: &ItemName) -> Result<ItemPointList> {
        self.connection.send_json(Call::get(format!("/v1/domains/{domain}/items/{item}/points"))).await
    }

    /// Lets so many points of an item expire that a person had to look. Administrators only.
    pub async fn accept_review(&self, domain: DomainId, item: &ItemName, review: ReviewBody) -> Result<()> {
        let call = Call::post(format!("/v1/domains/{domain}/items/{item}/review")).again().json(&review)?;
        self.connection.send(call).await.map(drop)
    }

    /// What the domain's agent protects.
    pub async fn protection(&self, domain: DomainId) -> Result<Protection> {
        self.connection.send_json(Call::get(format!("/v1/domains/{domain}/protection"))).await
    }
}
