//! Streams that go on: what an agent is to do, and a job as it goes on.
//!
//! Invariant: a stream tells the whole truth of a moment each time, so that whoever misses one misses nothing. It ends when its
//! listener goes away, when the caller's token is ended or the agent that listens is retired, and as soon as the service is about to
//! end; nothing of it is left then.

use super::access::Caller;
use super::answer::{Answer, LINES_TYPE, endless};
use super::failure::Failure;
use crate::app::App;
use crate::app::listeners::Listener;
use crate::error::ServiceError;
use api::{AgentHello, Job, Notice};
use bytes::{BufMut, Bytes, BytesMut};
use contract::Result;
use format::{DomainId, JobId};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// While nothing changes, something is said this often: the connection is alive.
const HEARTBEAT: Duration = Duration::from_secs(12);
/// Changes that come one behind the other are told together.
const TOGETHER: Duration = Duration::from_millis(20);

/// Content type of server-sent events.
pub(crate) const EVENTS_TYPE: &str = "text/event-stream";

/// What the agents of a domain are to do.
pub(crate) async fn commands(app: Arc<App>, caller: Caller, domain: DomainId, hello: AgentHello) -> Answer {
    app.vault.prove_domain(domain).await?;
    app.vault.refuse_retired(domain, hello.agent).await?;
    let agent = hello.agent;
    let mut stream = Stream::new(&app, caller, domain)?;
    let connected = app.agents.connect(domain, hello, app.time.wall_ms())?;
    let first = app.notice(domain).await.map_err(contract::Error::from)?;
    Ok(endless(LINES_TYPE, move |sender| async move {
        let mut notice = first;
        loop {
            notice.time_ms = app.time.wall_ms();
            if sender.send(line(b"", &notice)).await.is_err() {
                return;
            }
            // Until something is to be said: another notice, or the same one because time has passed.
            loop {
                let next = stream.next(&sender).await;
                if app.vault.refuse_retired(domain, agent).await.is_err() {
                    return;
                }
                match next {
                    Next::End => return,
                    Next::Heartbeat => break connected.until(app.time.wall_ms()),
                    Next::Changed => match app.notice(domain).await {
                        Ok(next) if Notice { time_ms: notice.time_ms, ..next.clone() } == notice => {}
                        Ok(next) => break notice = next,
                        Err(error) => return given_up(&error),
                    },
                }
            }
        }
    }))
}

/// A job as it is now, and whenever it changes, until it is over.
pub(crate) async fn events(app: Arc<App>, caller: Caller, domain: DomainId, job: JobId) -> Answer {
    let mut stream = Stream::new(&app, caller, domain)?;
    let first = app.jobs.find(domain, job).await?;
    Ok(endless(EVENTS_TYPE, move |sender| async move {
        let mut told: Job = first;
        let mut event = line(b"data: ", &told);
        loop {
            if sender.send(event).await.is_err() || told.state.is_over() {
                return;
            }
            event = loop {
                match stream.next(&sender).await {
                    Next::End => return,
                    Next::Heartbeat => break Bytes::from_static(b":\n\n"),
                    Next::Changed => match app.jobs.find(domain, job).await {
                        Ok(now) if now == told => {}
                        Ok(now) => {
                            told = now;
                            break line(b"data: ", &told);
                        }
                        Err(error) => return given_up(&error),
                    },
                }
            };
        }
    }))
}

/// What a stream waits for.
struct Stream {
    app: Arc<App>,
    caller: Caller,
    listener: Listener,
    /// When something is said next, whatever changes until then: not every change is something to say.
    beat: Instant,
}

enum Next {
    Changed,
    Heartbeat,
    End,
}

impl Stream {
    fn new(app: &Arc<App>, caller: Caller, domain: DomainId) -> Result<Self, Failure> {
        let listener = app.listeners.listen(domain).ok_or_else(|| Failure::busy("too many listen at once"))?;
        Ok(Self { app: app.clone(), caller, listener, beat: Instant::now() + HEARTBEAT })
    }

    async fn next(&mut self, sender: &mpsc::Sender<Bytes>) -> Next {
        let next = tokio::select! {
            biased;
            () = self.app.ending.begun() => Next::End,
            () = sender.closed() => Next::End,
            () = tokio::time::sleep_until(self.beat) => {
                self.beat = Instant::now() + HEARTBEAT;
                match self.app.tokens.is_good(&self.caller.token).await {
                    Ok(true) => Next::Heartbeat,
                    Ok(false) => Next::End,
                    Err(error) => {
                        given_up(&error);
                        Next::End
                    }
                }
            }
            () = self.listener.changed() => Next::Changed,
        };
        if matches!(next, Next::Changed) {
            tokio::time::sleep(TOGETHER).await;
        }
        next
    }
}

fn given_up(error: &(impl std::fmt::Display + ?Sized)) {
    tracing::warn!(%error, "a stream ends because the database does not answer");
}

/// One value, and what shows where it ends.
fn line(head: &[u8], value: &impl Serialize) -> Bytes {
    let mut bytes = BytesMut::from(head);
    // Structures of numbers, texts and lists of them can always be written.
    bytes.extend_from_slice(&serde_json::to_vec(value).unwrap_or_default());
    bytes.put_u8(b'\n');
    if !head.is_empty() {
        bytes.put_u8(b'\n');
    }
    bytes.freeze()
}

impl App {
    async fn notice(&self, domain: DomainId) -> Result<Notice, ServiceError> {
        let revision = self.database.revision(domain).await?;
        let waiting = self.jobs.waiting(domain).await?;
        Ok(Notice { revision, waiting: waiting.count, cancel: waiting.cancel, time_ms: 0 })
    }
}
