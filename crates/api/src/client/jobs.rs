//! Jobs, agents and the stream of commands, asked of a service.

use super::ServiceVault;
use super::connection::{Call, LONG};
use super::listening::Listening;
use crate::agents::{AgentHello, AgentList, JobClaim, JobOrders, JobReport, Notice};
use crate::clock::{ClockAcknowledgement, ClockBody};
use crate::jobs::{Job, JobList, JobLog, JobRequest, PointMade};
use crate::paging::JobsQuery;
use contract::Result;
use format::{DomainId, JobId, PointId};
use reqwest::Method;

impl ServiceVault {
    /// Asks for a job. The same request again is answered with the same job. Administrators only.
    pub async fn begin_job(&self, domain: DomainId, request: &JobRequest) -> Result<Job> {
        self.connection.send_json(Call::post(format!("/v1/domains/{domain}/jobs")).again().json(request)?).await
    }

    /// A page of jobs, newest first. Administrators only.
    pub async fn jobs(&self, query: &JobsQuery) -> Result<JobList> {
        self.connection.send_json(Call::get(format!("/v1/jobs?{}", query.to_text()))).await
    }

    /// A job.
    pub async fn job(&self, domain: DomainId, job: JobId) -> Result<Job> {
        self.connection.send_json(Call::get(format!("/v1/domains/{domain}/jobs/{job}"))).await
    }

    /// The point that a backup has made, if it has. While one is being committed the answer waits.
    pub async fn point_of_job(&self, domain: DomainId, job: JobId) -> Result<Option<PointId>> {
        let call = Call::get(format!("/v1/domains/{domain}/jobs/{job}/point")).within(LONG);
        let made: Option<PointMade> = self.connection.send_json(call).await?;
        Ok(made.map(|made| made.point))
    }

    /// What a job said.
    pub async fn job_log(&self, domain: DomainId, job: JobId) -> Result<JobLog> {
        self.connection.send_json(Call::get(format!("/v1/domains/{domain}/jobs/{job}/log"))).await
    }

    /// A job as it goes on, until it is over.
    pub async fn follow_job(&self, domain: DomainId, job: JobId) -> Result<Listening<Job>> {
        self.listen(Call::get(format!("/v1/domains/{domain}/jobs/{job}/events"))).await
    }

    /// Wants a job to stop. Administrators only.
    pub async fn cancel_job(&self, domain: DomainId, job: JobId) -> Result<()> {
        self.connection.send(Call::post(format!("/v1/domains/{domain}/jobs/{job}/cancel")).again()).await.map(drop)
    }

    /// All agents. Administrators only.
    pub async fn agents(&self) -> Result<AgentList> {
        self.connection.send_json(Call::get("/v1/agents")).await
    }

    /// The clock on which points expire. Administrators only.
    pub async fn clock(&self) -> Result<ClockBody> {
        self.connection.send_json(Call::get("/v1/clock")).await
    }

    /// Says that it is this time in truth. Administrators only.
    pub async fn acknowledge_clock(&self, time_ms: i64) -> Result<ClockBody> {
        let call = Call::post("/v1/clock/acknowledgement").json(&ClockAcknowledgement { time_ms })?;
        self.connection.send_json(call).await
    }

    /// Listens for commands, as an agent of the domain.
    pub async fn listen_for_commands(&self, domain: DomainId, hello: &AgentHello) -> Result<Listening<Notice>> {
        self.listen(Call::post(format!("/v1/domains/{domain}/commands")).json(hello)?).await
    }

    /// Takes the next job that waits for the agent, if there is one. A job whose answer is lost is given again by
    /// [`JobClaim::again`], or to whoever asks next once its lease has run out.
    pub async fn claim_job(&self, domain: DomainId, claim: &JobClaim) -> Result<Option<Job>> {
        self.connection.send_json(Call::post(format!("/v1/domains/{domain}/jobs/claims")).json(claim)?).await
    }

    /// Tells of a job. The same report again is no error; `Conflict` if somebody else has taken the job since.
    pub async fn report_job(&self, domain: DomainId, job: JobId, report: &JobReport) -> Result<JobOrders> {
        let call = Call::new(Method::PUT, format!("/v1/domains/{domain}/jobs/{job}/report")).json(report)?;
        self.connection.send_json(call).await
    }
}
