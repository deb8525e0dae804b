//! The stream of commands: connected whenever it can be, and again when it broke.
//!
//! Invariant: nothing depends on a notice having been heard, because each says all there is. Agents that lost one service do not all come
//! back in the same second.

use crate::agent::Shared;
use crate::chance::wait_up_to;
use crate::limits::{BACK_FIRST, BACK_MAX, BACK_MIN, STABLE};
use api::{AgentHello, Notice};
use contract::{Error, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// What is heard of the service.
#[derive(Debug)]
pub(crate) enum Heard {
    /// It is there.
    Linked,
    /// What it says.
    Notice(Notice),
    /// It is gone, and why.
    Lost(Error),
}

/// How long to wait before the next attempt: up to twice as long each time, evenly spread, and short again after a connection that
/// stood.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A connection stood for so long, or for no time at all, and is gone.
    pub(crate) fn most(&mut self, stood: Duration, refused: bool) -> Duration {
        if stood >= STABLE {
            self.failures = 0;
        }
        let doubled = BACK_FIRST.saturating_mul(1 << self.failures.min(16)).min(BACK_MAX);
        self.failures = self.failures.saturating_add(1);
        match (stood.is_zero(), refused) {
            // It will not change its mind within a second.
            (_, true) => BACK_MAX,
            // All others lost it in the same moment.
            (false, _) => doubled.max(BACK_MIN),
            (true, _) => doubled,
        }
    }
}

/// Listens until whoever listens to this is gone.
pub(crate) async fn listen(shared: Arc<Shared>, heard: mpsc::Sender<Heard>) {
    let mut backoff = Backoff::default();
    loop {
        let (stood, error) = connect(&shared, &heard).await;
        let refused = error.kind() == ErrorKind::Denied;
        if heard.send(Heard::Lost(error)).await.is_err() {
            return;
        }
        tokio::time::sleep(wait_up_to(backoff.most(stood, refused))).await;
    }
}

/// Answers how long the connection stood, and why it does not any more.
async fn connect(shared: &Shared, heard: &mpsc::Sender<Heard>) -> (Duration, Error) {
    let agent = &shared.agent;
    let hello = AgentHello {
        agent: agent.secrets.signer.key(),
        host: agent.host.clone(),
        program: agent.program.clone(),
        time_ms: shared.now_ms(),
    };
    let mut stream = match shared.control.listen_for_commands(agent.domain, &hello).await {
        Ok(stream) => stream,
        Err(error) => return (Duration::ZERO, error),
    };
    let since = Instant::now();
    let mut first = true;
    loop {
        let notice = match stream.next().await {
            Ok(Some(notice)) => notice,
            Ok(None) => return (since.elapsed(), Error::new(ErrorKind::Unavailable, "the vault service ended the connection")),
            Err(error) => return (since.elapsed(), error),
        };
        let news = if std::mem::take(&mut first) { heard.send(Heard::Linked).await } else { Ok(()) };
        if news.is_err() || heard.send(Heard::Notice(notice)).await.is_err() {
            return (since.elapsed(), Error::new(ErrorKind::Unavailable, "nobody listens any more"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute_and_start_anew_only_after_a_connection_that_stood() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..9).map(|_| backoff.most(Duration::ZERO, false).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(backoff.most(Duration::from_secs(3), false), BACK_MAX, "three seconds prove nothing");
        assert_eq!(backoff.most(STABLE, false), BACK_MIN);
        assert_eq!(Backoff::default().most(Duration::ZERO, true), BACK_MAX);
    }

    #[test]
    fn a_thousand_agents_that_lost_one_service_do_not_come_back_together() {
        let mut seconds = [0_usize; 5];
        for _ in 0..1000 {
            let wait = wait_up_to(Backoff::default().most(STABLE, false));
            seconds[usize::try_from(wait.as_secs().min(4)).unwrap()] += 1;
        }
        assert!(seconds.iter().all(|count| (120..280).contains(count)), "{seconds:?}");
    }
}
