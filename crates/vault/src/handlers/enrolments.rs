//! Enrolment of agents.

use crate::app::App;
use crate::app::work::to_the_end;
use crate::http::access::Caller;
use crate::http::answer::{Answer, json, octets};
use crate::http::body::Json;
use api::limits::ENROL_BYTES_MAX;
use api::{EnrolRequest, EnrolmentList, EnrolmentObject, Scope};
use axum::Extension;
use axum::extract::State;
use contract::Vault;
use format::enrolment::Enrolment;
use std::sync::Arc;

pub(crate) async fn owner_key(State(app): State<Arc<App>>) -> Answer {
    octets(app.vault.get().await?.owner_public().into())
}

/// An agent is shown its own domain's alone: the others' names are none of its business, and they may be many.
pub(crate) async fn list(State(app): State<Arc<App>>, Extension(Caller { scope, .. }): Extension<Caller>) -> Answer {
    let mut all = app.vault.get().await?.enrolments().await?;
    if let Scope::Agent { domain, .. } = scope {
        all.retain(|bytes| Enrolment::parse(bytes).is_ok_and(|enrolment| enrolment.ticket.domain == domain));
    }
    json(&EnrolmentList { enrolments: all.into_iter().map(|bytes| EnrolmentObject { bytes }).collect() })
}

pub(crate) async fn enrol(State(app): State<Arc<App>>, Json(request): Json<EnrolRequest, ENROL_BYTES_MAX>) -> Answer {
    let enrolled = to_the_end(async move { app.enrol(request).await }).await?;
    tracing::info!(domain = %enrolled.domain, agent = %enrolled.agent, "an agent was enrolled");
    json(&enrolled)
}
