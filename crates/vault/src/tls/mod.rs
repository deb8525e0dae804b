//! TLS of the service: certificates by an authority of its own, or configured ones.

mod authority;
mod configured;
mod leaf;

use crate::config::Config;
use crate::error::ServiceError;
use api::Fingerprint;
use authority::Authority;
use configured::ConfiguredCertificate;
use leaf::RenewedLeaf;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::ResolvesServerCert;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;

/// How often it is looked whether the certificate is still the right one. Certificates are valid by the wall clock, which may be
/// set, and goes on while a machine sleeps.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// How the service proves who it is.
pub(crate) struct ServerTls {
    pub(crate) config: Arc<ServerConfig>,
    /// The service's own authority, where there is no configured certificate.
    pub(crate) authority: Option<Fingerprint>,
    source: Source,
}

/// Where the certificate comes from.
enum Source {
    Own(Arc<RenewedLeaf>),
    Configured(Arc<ConfiguredCertificate>),
}

impl ServerTls {
    /// By configuration; an authority is made where there is none.
    pub(crate) fn open(config: &Config) -> Result<Self, ServiceError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        if let (Some(certificate), Some(key)) = (&config.certificate, &config.key) {
            let configured = Arc::new(ConfiguredCertificate::open(certificate, key, provider.clone())?);
            let config = server(provider, configured.clone())?;
            return Ok(Self { config, authority: None, source: Source::Configured(configured) });
        }
        let authority = Authority::open(&config.data)?;
        let fingerprint = authority.fingerprint();
        let leaf = Arc::new(RenewedLeaf::new(authority, names(config), OffsetDateTime::now_utc())?);
        let config = server(provider, leaf.clone())?;
        Ok(Self { config, authority: Some(fingerprint), source: Source::Own(leaf) })
    }

    /// Keeps the certificate valid and what its files say, for ever.
    pub(crate) async fn keep_young(&self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let looked = match &self.source {
                Source::Own(leaf) => leaf.look(OffsetDateTime::now_utc()),
                Source::Configured(configured) => configured.look(),
            };
            if let Err(error) = looked {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::error!(%error, cause, "the service's certificate could not be replaced");
            }
        }
    }
}

fn server(provider: Arc<CryptoProvider>, resolver: Arc<dyn ResolvesServerCert>) -> Result<Arc<ServerConfig>, ServiceError> {
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(certificate_error("set TLS up"))?.with_no_client_auth();
    let mut config = builder.with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// By these the service is reached: configured ones, this machine's own, and the address that it listens on.
fn names(config: &Config) -> Vec<String> {
    let mut names = config.names.clone();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let listen = config.listen.ip();
    let mut own = vec!["localhost".to_owned(), host, "127.0.0.1".to_owned(), "::1".to_owned()];
    if !listen.is_unspecified() {
        own.push(listen.to_string());
    }
    for name in own {
        let is_name = name.parse::<IpAddr>().is_ok() || name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
        if !name.is_empty() && is_name && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn certificate_error<E: Into<Box<dyn std::error::Error + Send + Sync>>>(doing: &'static str) -> impl Fn(E) -> ServiceError {
    move |error| ServiceError::Certificate { doing, source: error.into() }
}
