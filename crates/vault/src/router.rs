//! The whole surface of the API: every endpoint, who may use it, what goes in and out.

use crate::app::App;
use crate::app::points::PAGE_BYTES;
use crate::handlers::{
    agents, clock, domains, enrolments, items, jobs, packs, points, policies, readers, service, sessions, tokens, vault,
};
use crate::http::access::Access::{Administrator, Anyone, Newcomer, OneTime, Open, OwnDomain};
use crate::http::admission::{Gate, admit, no_such_method, no_such_path};
use crate::http::answer::LINES_TYPE;
use crate::http::endpoint::Content::{Octets, Text};
use crate::http::endpoint::{Endpoint, json, json_or_null, lines, stream};
use crate::http::streams::EVENTS_TYPE;
use api::limits::IDS_MAX;
use api::{
    AgentHello, AgentList, CheckRequest, ClockAcknowledgement, ClockBody, CollectRequest, CollectResult, CommittedPoint,
    EnrolRequest, Enrolled, EnrolmentList, ItemBody, ItemEnd, ItemList, ItemPointList, ItemRequest, Job, JobClaim, JobList,
    JobLog, JobOrders, JobReport, JobRequest, KeyStored, Notice, PackNames, PackNamesRequest, PointIds, PointList, PointMade,
    PolicyBody, PolicyList, PolicyRequest, Protection, ReaderOpened, ReaderRequest, Redeem, ReviewBody, Scope, SessionRequest,
    SessionStarted, Soundness, Standing, TokenIssued, TokenList, TokenRequest,
};
use axum::Router;
use axum::middleware::from_fn_with_state;
use format::limits::FOOTER_BYTES_MAX;
use std::sync::Arc;
use utoipa::openapi::HttpMethod::{Delete, Get, Post, Put};

/// A page of points, as it is stored and as it is sent.
const POINTS_BYTES: usize = 2 * PAGE_BYTES;
/// Where blobs lie, if each has a copy or two.
const PLACES_BYTES: usize = IDS_MAX * 128;

const IDS: &str = "ids of blobs, 32 bytes each";

/// All endpoints. An agent's token opens those of its own domain, and no others: it adds points and reads.
#[must_use]
pub fn endpoints() -> Vec<Endpoint> {
    let mut all = of_service();
    all.extend(of_vault());
    all.extend(of_writing());
    all.extend(of_reading());
    all.extend(of_care());
    all.extend(of_protection());
    all.extend(of_jobs());
    all
}

#[rustfmt::skip]
fn of_service() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Get, "/healthz", Open, service::health).gives(Text("ok")).says("The process runs"),
        Endpoint::new(Get, "/readyz", Open, service::ready).gives(Text("ready")).says("Database and vault can be used"),
        Endpoint::new(Get, "/metrics", Administrator, service::metrics).gives(Text("numbers")).says("Numbers in the text format of Prometheus"),
        Endpoint::new(Get, "/v1/openapi.json", Open, service::openapi).gives(Text("this document")).says("This document"),
        Endpoint::new(Get, "/v1/scope", Anyone, tokens::own_scope).gives(json::<Scope>()).says("What the token is good for"),
        Endpoint::new(Post, "/v1/login", OneTime, tokens::redeem).takes(json::<Redeem>()).gives(json::<TokenIssued>()).says("Exchanges a one-time token for one that lasts; it works once"),
        Endpoint::new(Get, "/v1/tokens", Administrator, tokens::list).gives(json::<TokenList>()).says("All tokens, without their secrets"),
        Endpoint::new(Post, "/v1/tokens", Administrator, tokens::issue).takes(json::<TokenRequest>()).gives(json::<TokenIssued>()).says("Makes a token; its secret is shown this once"),
        Endpoint::new(Delete, "/v1/tokens/{token}", Administrator, tokens::revoke).says("Ends a token at once"),
    ]
}

#[rustfmt::skip]
fn of_vault() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Get, "/v1/vault/descriptor", Anyone, vault::descriptor).gives(Octets("the newest descriptor, signed by the owner")).says("The newest descriptor"),
        Endpoint::new(Put, "/v1/vault/descriptor", Administrator, vault::publish).takes(Octets("the next descriptor")).long().says("Stores the next descriptor; the first one makes the vault"),
        Endpoint::new(Get, "/v1/vault/enrolments", Anyone, enrolments::list).gives(json::<EnrolmentList>()).says("Domains that were made where their machines are; for an agent its own alone"),
        Endpoint::new(Get, "/v1/vault/owner-key", Open, enrolments::owner_key).gives(Octets("the owner's X-Wing public key")).says("To whom a machine that enrols wraps its domain's secret"),
        Endpoint::new(Post, "/v1/enrolments", Newcomer, enrolments::enrol).takes(json::<EnrolRequest>()).gives(json::<Enrolled>()).says("Enrols an agent by the owner's ticket; the same request again is answered the same"),
        Endpoint::new(Get, "/v1/vault/passphrase-wrap", Administrator, vault::wrap).gives(Octets("the wrap")).says("The passphrase wrap, if the vault keeps one"),
        Endpoint::new(Put, "/v1/vault/passphrase-wrap", Administrator, vault::set_wrap).takes(Octets("the wrap")).says("Keeps a passphrase wrap"),
        Endpoint::new(Delete, "/v1/vault/passphrase-wrap", Administrator, vault::remove_wrap).says("Keeps no passphrase wrap any more"),
        Endpoint::new(Post, "/v1/vault/checks", Administrator, vault::check).gives(json::<Soundness>()).long().says("Checks and mends what belongs to the vault as a whole"),
    ]
}

#[rustfmt::skip]
fn of_writing() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Post, "/v1/domains/{domain}/sessions", OwnDomain, sessions::open).takes(json::<SessionRequest>()).gives(json::<SessionStarted>()).says("Opens a session; what it sees is fixed now"),
        Endpoint::new(Put, "/v1/domains/{domain}/sessions/{session}/lease", OwnDomain, sessions::renew).says("Renews a session's lease"),
        Endpoint::new(Delete, "/v1/domains/{domain}/sessions/{session}", OwnDomain, sessions::abandon).says("Ends a session without a point; its data stays for the next one"),
        Endpoint::new(Put, "/v1/domains/{domain}/sessions/{session}/key", OwnDomain, sessions::put_key).takes(Octets("a key object")).gives(json::<KeyStored>()).says("Stores the session's key object, once, before its first pack"),
        Endpoint::new(Post, "/v1/domains/{domain}/sessions/{session}/pack-names", OwnDomain, packs::issue).takes(json::<PackNamesRequest>()).gives(json::<PackNames>()).says("Issues names for packs"),
        Endpoint::new(Put, "/v1/domains/{domain}/sessions/{session}/packs/{pack}", OwnDomain, packs::put).takes(Octets("a pack")).long().says("Stores a pack under an issued name; the same pack again is no error"),
        Endpoint::new(Post, "/v1/domains/{domain}/sessions/{session}/missing", OwnDomain, packs::missing).takes(Octets(IDS)).gives(Octets("a bit for each id, the lowest first: whether the session must send it")).says("Which blobs the session must send"),
        Endpoint::new(Post, "/v1/domains/{domain}/sessions/{session}/point", OwnDomain, points::commit).query(&["job", "origin", "completeness"]).takes(Octets("a signed record")).gives(json::<CommittedPoint>()).long().says("Commits a point; asked again with the same record the answer is the same"),
        Endpoint::new(Post, "/v1/domains/{domain}/sessions/{session}/checkpoint", OwnDomain, points::checkpoint).takes(Octets("a signed record")).gives(json::<CommittedPoint>()).long().says("Commits a checkpoint; the session goes on"),
        Endpoint::new(Get, "/v1/domains/{domain}/items/{item}/head", OwnDomain, points::head).gives(json_or_null::<ItemEnd>()).says("End of an item's chain, or null"),
    ]
}

#[rustfmt::skip]
fn of_reading() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Get, "/v1/domains/{domain}/points", OwnDomain, points::list).query(&["item", "deleted", "after", "limit"]).gives(json::<PointList>()).needs(POINTS_BYTES).says("Points, oldest first"),
        Endpoint::new(Post, "/v1/domains/{domain}/readers", OwnDomain, readers::open).takes(json::<ReaderRequest>()).gives(json::<ReaderOpened>()).says("Opens a read session, which pins a point"),
        Endpoint::new(Put, "/v1/domains/{domain}/readers/{session}/lease", OwnDomain, readers::renew).says("Renews a read session's lease"),
        Endpoint::new(Delete, "/v1/domains/{domain}/readers/{session}", OwnDomain, readers::close).says("Ends a read session"),
        Endpoint::new(Post, "/v1/domains/{domain}/sessions/{session}/places", OwnDomain, packs::locate).takes(Octets(IDS)).gives(Octets("for each id: count (2), then count times pack (16), offset (4), length (4), key (32); numbers little-endian")).needs(PLACES_BYTES).says("Where blobs lie, the copy to read first in front"),
        Endpoint::new(Post, "/v1/domains/{domain}/packs/{pack}/ranges", OwnDomain, packs::read).takes(Octets("start (8) and end (8) of each range, little-endian")).gives(Octets("the ranges, one behind the other")).long().says("Bytes of a pack"),
        Endpoint::new(Get, "/v1/domains/{domain}/packs/{pack}/footer", OwnDomain, packs::footer).gives(Octets("the footer")).needs(FOOTER_BYTES_MAX).long().says("The footer of a pack, without its trailer"),
        Endpoint::new(Get, "/v1/domains/{domain}/keys/{key}", OwnDomain, packs::key).gives(Octets("the key object")).says("A key object"),
        Endpoint::new(Post, "/v1/domains/{domain}/unreadable", OwnDomain, packs::report_unreadable).takes(Octets("pack (16) and blob (32) of each copy")).says("Reports copies that could not be opened: they are sent anew, nothing is deleted"),
    ]
}

#[rustfmt::skip]
fn of_care() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Get, "/v1/domains/{domain}/status", OwnDomain, domains::status).gives(json::<Standing>()).says("A domain's numbers"),
        Endpoint::new(Post, "/v1/domains/{domain}/points/expire", Administrator, points::expire).takes(json::<PointIds>()).says("Soft-deletes points"),
        Endpoint::new(Post, "/v1/domains/{domain}/points/undelete", Administrator, points::undelete).takes(json::<PointIds>()).says("Makes soft-deleted points listed again"),
        Endpoint::new(Post, "/v1/domains/{domain}/points/purge", Administrator, points::purge).takes(json::<PointIds>()).long().says("Purges points for ever"),
        Endpoint::new(Post, "/v1/domains/{domain}/collections", Administrator, domains::collect).takes(json::<CollectRequest>()).gives(lines::<CollectResult>()).long().says("Frees what no point needs; lines tell how far it is"),
        Endpoint::new(Post, "/v1/domains/{domain}/checks", Administrator, domains::check).takes(json::<CheckRequest>()).gives(lines::<Soundness>()).long().says("Checks without keys, and mends what has another copy; lines tell how far it is"),
    ]
}

#[rustfmt::skip]
fn of_protection() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Get, "/v1/policies", Administrator, policies::list).gives(json::<PolicyList>()).says("All policies"),
        Endpoint::new(Get, "/v1/policies/{policy}", Administrator, policies::get).gives(json::<PolicyBody>()).says("A policy"),
        Endpoint::new(Put, "/v1/policies/{policy}", Administrator, policies::set).takes(json::<PolicyRequest>()).gives(json::<PolicyBody>()).says("Sets a policy; one that protects less than before only if that is said"),
        Endpoint::new(Delete, "/v1/policies/{policy}", Administrator, policies::remove).says("Removes a policy that no item has"),
        Endpoint::new(Get, "/v1/items", Administrator, items::list).query(&["domain"]).gives(json::<ItemList>()).says("Items that are protected, and how they are doing"),
        Endpoint::new(Get, "/v1/domains/{domain}/items/{item}", OwnDomain, items::get).gives(json::<ItemBody>()).says("An item that is protected"),
        Endpoint::new(Put, "/v1/domains/{domain}/items/{item}", Administrator, items::set).takes(json::<ItemRequest>()).gives(json::<ItemBody>()).says("Sets what an item is; one that is protected less than before only if that is said"),
        Endpoint::new(Delete, "/v1/domains/{domain}/items/{item}", Administrator, items::remove).says("Protects an item no more; its points stay"),
        Endpoint::new(Get, "/v1/domains/{domain}/items/{item}/points", OwnDomain, items::points).gives(json::<ItemPointList>()).needs(POINTS_BYTES).long().says("An item's points, and what becomes of them"),
        Endpoint::new(Post, "/v1/domains/{domain}/items/{item}/review", Administrator, items::accept).takes(json::<ReviewBody>()).long().says("Lets so many points expire that a person had to look"),
        Endpoint::new(Get, "/v1/domains/{domain}/protection", OwnDomain, items::protection).gives(json::<Protection>()).says("What the domain's agent protects"),
        Endpoint::new(Get, "/v1/clock", Administrator, clock::get).gives(json::<ClockBody>()).says("The clock on which points expire"),
        Endpoint::new(Post, "/v1/clock/acknowledgement", Administrator, clock::acknowledge).takes(json::<ClockAcknowledgement>()).gives(json::<ClockBody>()).says("Says that the wall clock is right, where the clock waits for that"),
    ]
}

#[rustfmt::skip]
fn of_jobs() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Get, "/v1/agents", Administrator, agents::list).gives(json::<AgentList>()).says("Agents that have spoken to the service"),
        Endpoint::new(Post, "/v1/domains/{domain}/commands", OwnDomain, agents::listen).takes(json::<AgentHello>()).gives(stream::<Notice>(LINES_TYPE)).says("What the domain's agent is to do, for as long as it listens; a line each"),
        Endpoint::new(Get, "/v1/jobs", Administrator, jobs::list).query(&["domain", "item", "kind", "state", "after", "limit"]).gives(json::<JobList>()).says("Jobs, newest first"),
        Endpoint::new(Post, "/v1/domains/{domain}/jobs", Administrator, jobs::begin).takes(json::<JobRequest>()).gives(json::<Job>()).says("Asks for a job; the same request again is answered with the same job"),
        Endpoint::new(Post, "/v1/domains/{domain}/jobs/claims", OwnDomain, jobs::claim).takes(json::<JobClaim>()).gives(json_or_null::<Job>()).says("Takes the next job that waits for the agent, or null"),
        Endpoint::new(Get, "/v1/domains/{domain}/jobs/{job}", OwnDomain, jobs::get).gives(json::<Job>()).says("A job"),
        Endpoint::new(Get, "/v1/domains/{domain}/jobs/{job}/point", OwnDomain, jobs::point).gives(json_or_null::<PointMade>()).long().says("The point that a backup has made, or null; answered when none is being committed"),
        Endpoint::new(Get, "/v1/domains/{domain}/jobs/{job}/log", OwnDomain, jobs::log).gives(json::<JobLog>()).says("What a job said"),
        Endpoint::new(Get, "/v1/domains/{domain}/jobs/{job}/events", OwnDomain, jobs::events).gives(stream::<Job>(EVENTS_TYPE)).says("A job as it goes on, until it is over; server-sent events"),
        Endpoint::new(Put, "/v1/domains/{domain}/jobs/{job}/report", OwnDomain, jobs::report).takes(json::<JobReport>()).gives(json::<JobOrders>()).says("Tells of a job, whole each time; the same again is no error"),
        Endpoint::new(Post, "/v1/domains/{domain}/jobs/{job}/cancel", Administrator, jobs::cancel).says("Wants a job to stop"),
    ]
}

/// All endpoints, and what all requests go through.
pub(crate) fn router(app: Arc<App>) -> Router {
    let routes = endpoints().into_iter().fold(Router::new(), |router, endpoint| endpoint.mount(router, &app));
    let gate = Arc::new(Gate::new(app.clone()));
    routes
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(gate, admit))
        .with_state(app)
}
