//! The HTTP API of the vault service: types of its bodies, its errors, and the client.
//!
//! The client implements the contract's `Vault` and `Domain` over HTTPS, so that the engine cannot tell it from an embedded
//! vault. Nothing here decides anything: what a service may be asked, and by whom, stands in the service. Bodies that are hot
//! (packs, questions what is missing, places) are bytes; the rest is JSON. Every body has a limit in [`limits`].

#![forbid(unsafe_code)]

mod address;
mod agents;
pub mod binary;
mod client;
mod clock;
mod enrolments;
mod error;
mod items;
mod jobs;
pub mod limits;
mod paging;
mod patterns;
mod points;
mod policies;
mod problem;
mod reports;
mod sessions;
mod text;
mod tokens;
mod watch;

pub use address::{Address, Fingerprint};
pub use agents::{AgentBody, AgentHello, AgentList, JobClaim, JobOrders, JobReport, Notice};
pub use client::{Listening, Pace, ServiceOptions, ServiceVault, Told};
pub use clock::{ClockAcknowledgement, ClockBody, ClockStanding};
pub use enrolments::{EnrolRequest, Enrolled, EnrolmentList, EnrolmentObject, token_statement};
pub use error::{ApiError, Kind};
pub use items::{
    Completeness, FileScope, ItemBody, ItemList, ItemPoint, ItemPointList, ItemRequest, LastJob, PointOrigin, ProtectedItem,
    Protection, ReviewBody,
};
pub use jobs::{
    BackupResult, Job, JobList, JobLog, JobOrigin, JobProblem, JobRequest, JobResult, JobState, JobWarning, LogLine, Overwriting,
    PointMade, RestoreReceipt, RestoreWork, RetentionResult, ScrubResult, Work, WorkKind,
};
pub use paging::{ItemsQuery, JobsQuery, PointsQuery};
pub use points::{ItemEnd, Point, PointIds, PointList, PointStanding, PointTold};
pub use policies::{PolicyBody, PolicyList, PolicyName, PolicyRequest};
pub use problem::{Code, PROBLEM_TYPE, Problem};
pub use reports::{
    CheckRequest, CollectRequest, CollectResult, DamagedBlob, DamagedObject, DamagedPackBody, OpenedPack, RecordSetAside,
    Soundness, Standing,
};
pub use sessions::{
    CommittedPoint, KeyStored, PackNames, PackNamesRequest, ReaderOpened, ReaderRequest, SessionRequest, SessionStarted,
};
pub use tokens::{Redeem, Scope, Token, TokenIssued, TokenList, TokenRequest, token_hash, token_id, token_text};
pub use watch::{Line, ProgressBody};
