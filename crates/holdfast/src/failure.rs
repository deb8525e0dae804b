//! How a command ends: exit codes, and errors with heading, causes and hint, printed in one place.

use contract::ErrorKind as VaultErrorKind;
use engine::{EngineError, ErrorKind as EngineErrorKind};
use std::error::Error as _;
use std::fmt::{self, Write as _};

/// How a command ended. The numbers are a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything was done.
    Clean = 0,
    /// Nothing, or not everything, was done.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Done, with warnings.
    Warnings = 3,
    /// Damage was found.
    Damage = 4,
    /// The vault cannot be reached or used.
    Unavailable = 5,
    /// The passphrase or key is wrong.
    WrongKey = 6,
    /// Somebody else was faster.
    Conflict = 7,
    /// Not allowed.
    Refused = 8,
    /// Stopped by a signal.
    Interrupted = 130,
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    heading: String,
    causes: Vec<String>,
    hint: Option<String>,
}

/// Result of a command's parts.
pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// A failure of this kind: what could not be done.
    pub(crate) fn new(exit: Exit, heading: impl Into<String>) -> Self {
        Self { exit, heading: heading.into(), causes: Vec::new(), hint: None }
    }

    /// Under another heading: this one becomes its first cause.
    pub(crate) fn under(mut self, heading: impl Into<String>) -> Self {
        self.causes.insert(0, std::mem::replace(&mut self.heading, heading.into()));
        self
    }

    /// With what the user can do about it.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the error behind it, and those behind that.
    pub(crate) fn because(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let text = error.to_string();
            if self.causes.last() != Some(&text) && text != self.heading {
                self.causes.push(text);
            }
            cause = error.source();
        }
        self
    }

    /// What a failure of input or output amounts to.
    pub(crate) fn io(doing: impl Into<String>, error: &std::io::Error) -> Self {
        let failure = Self::new(Exit::Failed, doing).because(error);
        if is_full(error) { failure.with_hint("make room on that disk and run the command again") } else { failure }
    }

    /// The hint, for machine-readable output.
    pub(crate) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The causes, for machine-readable output.
    pub(crate) fn causes(&self) -> &[String] {
        &self.causes
    }

    /// The heading, for machine-readable output.
    pub(crate) fn heading(&self) -> &str {
        &self.heading
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", Shown(&self.heading))?;
        for cause in &self.causes {
            write!(f, "\ncaused by: {}", Shown(cause))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {}", Shown(hint))?;
        }
        Ok(())
    }
}

/// Text that may come from a service, which may not steer the terminal.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\n' => f.write_char(c),
            c if c.is_control() => write!(f, "{}", c.escape_default()),
            c => f.write_char(c),
        })
    }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

fn exit_of(kind: VaultErrorKind) -> Exit {
    match kind {
        VaultErrorKind::Invalid | VaultErrorKind::NotFound | VaultErrorKind::Internal => Exit::Failed,
        VaultErrorKind::Conflict => Exit::Conflict,
        VaultErrorKind::Denied => Exit::Refused,
        VaultErrorKind::Unavailable | VaultErrorKind::Full => Exit::Unavailable,
        VaultErrorKind::Corrupt => Exit::Damage,
    }
}

impl From<contract::Error> for Failure {
    fn from(error: contract::Error) -> Self {
        let mut failure = Self::new(exit_of(error.kind()), error.to_string());
        failure.hint = error.hint().map(str::to_owned);
        match error.source() {
            Some(source) => failure.because(source),
            None => failure,
        }
    }
}

impl From<agent::AgentError> for Failure {
    fn from(error: agent::AgentError) -> Self {
        let exit = match error.kind() {
            agent::Kind::Conflict => Exit::Conflict,
            agent::Kind::Denied => Exit::Refused,
            agent::Kind::Unavailable if matches!(error, agent::AgentError::Away(_) | agent::AgentError::Stuck(_)) => {
                Exit::Unavailable
            }
            _ => Exit::Failed,
        };
        let mut failure = Self::new(exit, error.to_string());
        failure.hint = error.hint().map(str::to_owned);
        match error.source() {
            Some(source) => failure.because(source),
            None => failure,
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        if let EngineError::SetBack(alarm) = &error {
            return crate::local::alarm(alarm);
        }
        let exit = match error.kind() {
            EngineErrorKind::Cancelled => Exit::Interrupted,
            EngineErrorKind::Invalid | EngineErrorKind::NotFound | EngineErrorKind::Internal => Exit::Failed,
            EngineErrorKind::WrongKey => Exit::WrongKey,
            EngineErrorKind::Conflict => Exit::Conflict,
            EngineErrorKind::Denied => Exit::Refused,
            EngineErrorKind::Unavailable if matches!(error, EngineError::Vault { .. }) => Exit::Unavailable,
            EngineErrorKind::Unavailable => Exit::Failed,
            EngineErrorKind::Corrupt => Exit::Damage,
        };
        let mut failure = Self::new(exit, error.to_string());
        failure.hint = error.hint().map(str::to_owned).or_else(|| match &error {
            EngineError::Target { source, .. } if is_full(source) => {
                Some("make room at the destination and go on with --resume".to_owned())
            }
            _ => None,
        });
        match error.source() {
            Some(source) => failure.because(source),
            None => failure,
        }
    }
}

impl From<seal::SealError> for Failure {
    fn from(error: seal::SealError) -> Self {
        let exit = match error.kind() {
            seal::Kind::WrongKey => Exit::WrongKey,
            seal::Kind::Corrupt => Exit::Damage,
            _ => Exit::Failed,
        };
        let failure = Self::new(exit, error.to_string());
        match error.source() {
            Some(source) => failure.because(source),
            None => failure,
        }
    }
}

impl From<format::FormatError> for Failure {
    fn from(error: format::FormatError) -> Self {
        Self::new(Exit::Damage, "stored bytes cannot be trusted").because(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_says_does_not_steer_the_terminal() {
        let error = contract::Error::new(VaultErrorKind::Denied, "no\u{1b}]0;title\u{7}").with_hint("do\u{9b}2J this");
        let shown = Failure::from(error).to_string();
        assert_eq!(shown, "error: no\\u{1b}]0;title\\u{7}\nhint: do\\u{9b}2J this");
    }
}
