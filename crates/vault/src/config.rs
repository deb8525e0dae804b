//! The configuration: a file, whose values the environment and the command line replace. Nothing in it is secret.

use crate::error::ServiceError;
use serde::Deserialize;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// What the service is told. Every value has a default except the directory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where everything lies: the vault, the service's database, its certificate authority.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Names and addresses by which clients reach the service, beside this machine's own: they stand in its certificate.
    pub names: Vec<String>,
    /// A certificate chain (PEM) instead of one by the service's own authority.
    pub certificate: Option<PathBuf>,
    /// The key of that certificate (PEM).
    pub key: Option<PathBuf>,
    /// Least level of the log: error, warn, info, debug or trace.
    pub log: String,
    /// Limits.
    pub limits: Limits,
    /// What the service does by itself.
    pub duties: Duties,
}

/// How often the service does what it does by itself; 0: only when it is asked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Duties {
    /// Minutes between two rounds of retention of a domain.
    pub retention_minutes: u32,
    /// Hours between two collections of a domain; each purge is followed by one, too.
    pub collection_hours: u32,
    /// Hours between two scrubs of a domain.
    pub scrub_hours: u32,
    /// A scrub reads every pack whole, and not its footer only.
    pub scrub_read_data: bool,
}

impl Default for Duties {
    fn default() -> Self {
        Self { retention_minutes: 60, collection_hours: 24, scrub_hours: 168, scrub_read_data: true }
    }
}

/// Limits of all requests together.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at once, half of them of one domain's agents; more wait to be accepted.
    pub connections: usize,
    /// Requests at once, half of them by one domain's agents; more are answered as busy.
    pub requests: usize,
    /// Sessions that are open at once, of all domains; more are answered as busy.
    pub sessions: usize,
    /// Sessions of one domain that are open at once; more are answered as busy.
    pub domain_sessions: usize,
    /// Mebibytes of packs and other large bodies on their way in, in memory at once, half of them of one domain's agents; more wait.
    pub packs_in_mib: u32,
    /// Mebibytes of packs and other large answers on their way out, in memory at once, half of them for one domain's agents; more wait.
    pub packs_out_mib: u32,
    /// Streams of one HTTP/2 connection at once.
    pub streams: u32,
    /// Bytes of all headers of a request.
    pub header_bytes: u32,
    /// A session ends unless its lease is renewed within so many seconds.
    pub lease_seconds: u64,
    /// A session is over after so many days, renewed or not.
    pub session_days: u64,
    /// A request that is not known to take long is given up after so many seconds.
    pub request_seconds: u64,
    /// A body of which nothing comes for so many seconds is given up, and an answer of which nothing is taken.
    pub silence_seconds: u64,
    /// A connection over which nothing is asked for so many seconds is ended.
    pub idle_seconds: u64,
    /// Streams of commands and events at once; more are answered as busy.
    pub listeners: usize,
    /// Streams of one domain at once; more are answered as busy.
    pub domain_listeners: usize,
    /// A job that an agent does counts as interrupted unless it is reported within so many seconds.
    pub job_lease_seconds: u64,
    /// Backups and restores of each domain that are remembered, of each kind.
    pub jobs_kept: u64,
    /// Jobs that are over are forgotten so many days after the service learnt of them.
    pub jobs_kept_days: u64,
    /// When the service ends, requests under way have so many seconds.
    pub shutdown_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::new(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8443)),
            names: Vec::new(),
            certificate: None,
            key: None,
            log: "info".to_owned(),
            limits: Limits::default(),
            duties: Duties::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            requests: 1024,
            sessions: 20_000,
            domain_sessions: 1000,
            packs_in_mib: 256,
            packs_out_mib: 256,
            streams: 128,
            header_bytes: 16 << 10,
            lease_seconds: 600,
            session_days: 7,
            request_seconds: 60,
            silence_seconds: 60,
            idle_seconds: 300,
            listeners: 10_000,
            domain_listeners: 100,
            job_lease_seconds: 120,
            jobs_kept: 1000,
            jobs_kept_days: 180,
            shutdown_seconds: 30,
        }
    }
}

impl Limits {
    /// Whether those that have to be at least 1 are, by the names that they have in the file.
    fn positive(&self) -> [(&'static str, bool); 16] {
        [
            ("connections", self.connections > 0),
            ("requests", self.requests > 0),
            ("sessions", self.sessions > 0),
            ("domain_sessions", self.domain_sessions > 0),
            ("streams", self.streams > 0),
            ("header_bytes", self.header_bytes > 0),
            ("listeners", self.listeners > 0),
            ("domain_listeners", self.domain_listeners > 0),
            ("lease_seconds", self.lease_seconds > 0),
            ("session_days", self.session_days > 0),
            ("request_seconds", self.request_seconds > 0),
            ("silence_seconds", self.silence_seconds > 0),
            ("idle_seconds", self.idle_seconds > 0),
            ("job_lease_seconds", self.job_lease_seconds > 0),
            ("jobs_kept", self.jobs_kept > 0),
            ("jobs_kept_days", self.jobs_kept_days > 0),
        ]
    }
}

impl Config {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ServiceError> {
        let text = std::fs::read_to_string(path).map_err(|source| ServiceError::File {
            doing: "read",
            path: path.display().to_string(),
            source,
        })?;
        Self::parse(&text)
    }

    /// Reads its text.
    pub fn parse(text: &str) -> Result<Self, ServiceError> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            ServiceError::Config(format!("line {line}: {}", error.message()))
        })
    }

    /// Fails if the values do not go together.
    pub fn check(&self) -> Result<(), ServiceError> {
        let wrong = |what: &str| Err(ServiceError::Config(what.to_owned()));
        if self.data.as_os_str().is_empty() {
            return wrong("no directory is named for the data");
        }
        if self.certificate.is_some() != self.key.is_some() {
            return wrong("a certificate and its key go together");
        }
        let limits = &self.limits;
        let pack_mib = (format::limits::PACK_BYTES_MAX >> 20) as u32;
        if limits.packs_in_mib < pack_mib || limits.packs_out_mib < pack_mib {
            return wrong("packs_in_mib and packs_out_mib are at least the size of a pack: 64");
        }
        let none = limits.positive().into_iter().find(|(_, is_positive)| !is_positive);
        if let Some((name, _)) = none {
            return wrong(&format!("limits.{name} is 0, and has to be at least 1"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn what_a_file_does_not_say_has_its_default() {
        let config = Config::parse("data = '/srv/vault'\nnames = ['vault.example']\n[limits]\nrequests = 9\n").unwrap();
        config.check().unwrap();
        assert_eq!((config.limits.requests, config.limits.streams, config.listen.port()), (9, 128, 8443));
    }

    #[test]
    fn a_misspelt_value_is_an_error() {
        assert!(Config::parse("dta = '/srv'").is_err());
        assert!(Config::parse("[limits]\nrequest = 9").is_err());
    }

    #[test]
    fn values_that_do_not_go_together_are_refused() {
        assert!(Config::default().check().unwrap_err().to_string().contains("directory"));
        assert!(Config::parse("data = 'x'\ncertificate = 'c'").unwrap().check().is_err());
        assert!(Config::parse("data = 'x'\n[limits]\npacks_in_mib = 8").unwrap().check().is_err());
        for limit in ["streams", "jobs_kept_days", "session_days"] {
            let zero = Config::parse(&format!("data = 'x'\n[limits]\n{limit} = 0")).unwrap().check().unwrap_err();
            assert!(zero.to_string().contains(&format!("limits.{limit} is 0")), "{zero}");
        }
    }
}
