//! The contract's `Vault`, asked of a service.

use super::ServiceVault;
use super::connection::{Call, LONG};
use super::domain::ServiceDomain;
use crate::enrolments::EnrolmentList;
use crate::reports::Soundness;
use async_trait::async_trait;
use bytes::Bytes;
use contract::{CheckReport, Domain, ErrorKind, Result, Vault};
use format::{DomainId, limits};
use reqwest::Method;
use std::sync::Arc;

const DESCRIPTOR: &str = "/v1/vault/descriptor";
const ENROLMENTS: &str = "/v1/vault/enrolments";
const WRAP: &str = "/v1/vault/passphrase-wrap";

#[async_trait]
impl Vault for ServiceVault {
    async fn descriptor(&self) -> Result<Bytes> {
        self.connection.send(Call::get(DESCRIPTOR).answer_max(limits::DESCRIPTOR_BYTES_MAX)).await
    }

    async fn publish_descriptor(&self, descriptor: Bytes) -> Result<()> {
        let call = Call::new(Method::PUT, DESCRIPTOR).bytes(descriptor).once().within(LONG);
        self.connection.send(call).await.map(drop)
    }

    async fn enrolments(&self) -> Result<Vec<Bytes>> {
        let list: EnrolmentList = self.connection.send_json(Call::get(ENROLMENTS)).await?;
        Ok(list.enrolments.into_iter().map(|enrolment| enrolment.bytes).collect())
    }

    async fn passphrase_wrap(&self) -> Result<Option<Bytes>> {
        match self.connection.send(Call::get(WRAP).answer_max(limits::WRAP_BYTES_MAX)).await {
            Ok(wrap) => Ok(Some(wrap)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn set_passphrase_wrap(&self, wrap: Option<Bytes>) -> Result<()> {
        let call = match wrap {
            Some(wrap) => Call::new(Method::PUT, WRAP).bytes(wrap),
            None => Call::new(Method::DELETE, WRAP),
        };
        self.connection.send(call).await.map(drop)
    }

    async fn check(&self) -> Result<CheckReport> {
        let call = Call::post("/v1/vault/checks").again().within(LONG);
        Ok(self.connection.send_json::<Soundness>(call).await?.into())
    }

    async fn domain(&self, domain: DomainId) -> Result<Arc<dyn Domain>> {
        Ok(Arc::new(ServiceDomain::new(self.connection.clone(), domain)))
    }
}
