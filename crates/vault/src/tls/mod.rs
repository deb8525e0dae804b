//! TLS of the service: certificates by an authority of its own, or configured ones.

mod authority;
mod leaf;

use crate::config::Config;
use crate::error::ServiceError;
use api::Fingerprint;
use authority::Authority;
use leaf::RenewedLeaf;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A certificate of the service's own authority is made anew this often.
const RENEW_EVERY: Duration = Duration::from_secs(24 * 3600);

/// How the service proves who it is.
pub(crate) struct ServerTls {
    pub(crate) config: Arc<ServerConfig>,
    /// The service's own authority, where there is no configured certificate.
    pub(crate) authority: Option<Fingerprint>,
    leaf: Option<Arc<RenewedLeaf>>,
}

impl ServerTls {
    /// By configuration; an authority is made where there is none.
    pub(crate) fn open(config: &Config) -> Result<Self, ServiceError> {
        if let (Some(certificate), Some(key)) = (&config.certificate, &config.key) {
            return Self::configured(certificate, key);
        }
        let authority = Authority::open(&config.data)?;
        let fingerprint = authority.fingerprint();
        let leaf = Arc::new(RenewedLeaf::new(authority, names(config))?);
        let server = builder()?.with_cert_resolver(leaf.clone());
        Ok(Self { config: finished(server), authority: Some(fingerprint), leaf: Some(leaf) })
    }

    fn configured(certificate: &Path, key: &Path) -> Result<Self, ServiceError> {
        let read = certificate_error("read the configured certificate");
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate).map_err(&read)?.collect();
        let chain = chain.map_err(&read)?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(certificate_error("read the key of the configured certificate"))?;
        let server = builder()?.with_single_cert(chain, key).map_err(certificate_error("use the configured certificate"))?;
        Ok(Self { config: finished(server), authority: None, leaf: None })
    }

    /// Keeps the service's own certificate young, for ever.
    pub(crate) async fn keep_young(&self) {
        let Some(leaf) = &self.leaf else { return std::future::pending().await };
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            if let Err(error) = leaf.renew() {
                tracing::error!(%error, "the service's certificate could not be made anew");
            }
        }
    }
}

fn builder() -> Result<rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>, ServiceError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(builder.map_err(certificate_error("set TLS up"))?.with_no_client_auth())
}

fn finished(mut config: ServerConfig) -> Arc<ServerConfig> {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
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
