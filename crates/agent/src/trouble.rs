//! Why a job failed, as it stands on its record.

use api::JobProblem;
use api::limits::JOB_TEXT_BYTES_MAX;
use contract::ErrorKind;
use engine::EngineError;
use std::error::Error;
use std::io;
use workloads::WorkloadError;

/// What a trouble means for what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// It failed; it may work another time.
    Failed,
    /// The service could not be reached: it will work when it is back.
    Away,
    /// The service has no room: it will work when somebody has made some.
    Full,
    /// The service does not let this agent in: it will work when it does again.
    Denied,
    /// This machine's configuration does not allow it.
    Refused,
    /// The owner ended what this agent may do.
    Retired,
    /// It was stopped.
    Stopped,
}

/// Why a job failed: what was being done, to what, why, and what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What it means.
    pub kind: TroubleKind,
    message: String,
    hint: Option<String>,
}

impl Trouble {
    /// A trouble of this kind.
    #[must_use]
    pub fn new(kind: TroubleKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// What this machine does not allow.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(TroubleKind::Refused, message)
    }

    /// With the error behind it, and those behind that.
    #[must_use]
    pub fn because(mut self, error: &(dyn Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let text = error.to_string();
            if !self.message.ends_with(&text) {
                self.message = format!("{}: {text}", self.message);
            }
            cause = error.source();
        }
        self
    }

    /// With what can be done about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The failure of a file or directory.
    pub(crate) fn io(doing: impl Into<String>, error: &io::Error) -> Self {
        Self::new(TroubleKind::Failed, doing).because(error)
    }

    /// In words.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// As it stands on the job's record.
    pub(crate) fn to_problem(&self) -> JobProblem {
        JobProblem { message: shortened(&self.message), hint: self.hint.as_deref().map(shortened) }
    }

    fn of(kind: TroubleKind, error: &(dyn Error + 'static)) -> Self {
        let trouble = Self::new(kind, error.to_string());
        match error.source() {
            Some(source) => trouble.because(source),
            None => trouble,
        }
    }
}

/// Cut to what a report may hold.
pub(crate) fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(JOB_TEXT_BYTES_MAX)].to_owned()
}

impl From<ErrorKind> for TroubleKind {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Unavailable => Self::Away,
            ErrorKind::Full => Self::Full,
            ErrorKind::Denied => Self::Denied,
            _ => Self::Failed,
        }
    }
}

impl From<contract::Error> for Trouble {
    fn from(error: contract::Error) -> Self {
        Self { hint: error.hint().map(str::to_owned), ..Self::of(error.kind().into(), &error) }
    }
}

impl From<EngineError> for Trouble {
    fn from(error: EngineError) -> Self {
        let kind = match &error {
            EngineError::Vault { source, .. } => source.kind().into(),
            EngineError::Cancelled => TroubleKind::Stopped,
            _ => TroubleKind::Failed,
        };
        Self { hint: error.hint().map(str::to_owned), ..Self::of(kind, &error) }
    }
}

impl From<WorkloadError> for Trouble {
    fn from(error: WorkloadError) -> Self {
        Self::of(TroubleKind::Failed, &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_names_its_causes_once_and_the_hint_of_the_service() {
        let source = contract::Error::new(ErrorKind::Unavailable, "cannot reach the vault service").with_hint("look at it");
        let trouble = Trouble::from(EngineError::Vault { doing: "open a session", source });
        assert_eq!(trouble.message(), "cannot open a session: cannot reach the vault service");
        assert_eq!((trouble.kind, trouble.hint()), (TroubleKind::Away, Some("look at it")));
        assert_eq!(Trouble::from(EngineError::Cancelled).kind, TroubleKind::Stopped);
    }

    #[test]
    fn a_service_without_room_is_neither_away_nor_the_end_of_the_job() {
        let full = || contract::Error::new(ErrorKind::Full, "storage is full");
        assert_eq!(Trouble::from(full()).kind, TroubleKind::Full);
        assert_eq!(Trouble::from(EngineError::Vault { doing: "store a pack", source: full() }).kind, TroubleKind::Full);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let problem = Trouble::new(TroubleKind::Failed, "ü".repeat(JOB_TEXT_BYTES_MAX)).to_problem();
        assert!(problem.message.len() <= JOB_TEXT_BYTES_MAX);
    }
}
