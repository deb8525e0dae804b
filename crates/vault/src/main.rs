//! `holdfast-vault`: the vault service.

#![forbid(unsafe_code)]

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use rustix::fs::Mode;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;
use vault::{Config, Service, ServiceError};

/// Keep recovery points for agents, without any key to what is in them.
#[derive(Debug, Parser)]
#[command(name = "holdfast-vault", version, max_term_width = 110, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(ServeArguments),
    AdminToken(DataArguments),
    #[command(hide = true)]
    Openapi,
}

/// Serve a vault over HTTPS.
///
/// At the first start a certificate authority is made, and a one-time token printed with which 'holdfast login' makes its
/// user the first administrator. SIGTERM and SIGINT end the service after the requests under way.
#[derive(Debug, Args)]
struct ServeArguments {
    /// Configuration (TOML); the environment and the command line replace its values.
    #[arg(long, env = "HOLDFAST_SERVICE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Directory of the vault, the service's database and its certificate authority; made where it is missing.
    #[arg(long, env = "HOLDFAST_SERVICE_DATA", value_name = "DIR")]
    data: Option<PathBuf>,

    /// Where to listen [default: 127.0.0.1:8443].
    #[arg(long, env = "HOLDFAST_SERVICE_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

    /// A name or address by which clients reach the service. May be given several times.
    #[arg(long = "name", env = "HOLDFAST_SERVICE_NAMES", value_name = "NAME", value_delimiter = ',')]
    names: Vec<String>,

    /// Certificate chain (PEM), instead of one by the service's own authority.
    #[arg(long, env = "HOLDFAST_SERVICE_CERTIFICATE", value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,

    /// Key of that certificate (PEM).
    #[arg(long, env = "HOLDFAST_SERVICE_KEY", value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,

    /// Least level of the log: error, warn, info, debug or trace [default: info].
    #[arg(long, env = "HOLDFAST_SERVICE_LOG", value_name = "LEVEL")]
    log: Option<String>,
}

/// Print a new one-time token for an administrator.
///
/// It works once, within a day, also while the service runs. Whoever may write the service's directory may do this.
#[derive(Debug, Args)]
struct DataArguments {
    /// The service's directory.
    #[arg(long, env = "HOLDFAST_SERVICE_DATA", value_name = "DIR")]
    data: PathBuf,
}

fn main() -> ExitCode {
    system::configure_allocator();
    rustix::process::umask(Mode::from_raw_mode(0o077));
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error as `holdfast` tells its own: what, why, and what to do.
fn told(error: &anyhow::Error) -> String {
    let causes = error.chain().skip(1).map(|cause| format!("\ncaused by: {cause}"));
    let hint = error.chain().find_map(|cause| cause.downcast_ref::<ServiceError>()?.hint());
    format!("error: {error}{}{}", causes.collect::<String>(), hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default())
}

fn run(cli: Cli) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start")?;
    match cli.command {
        Command::Serve(arguments) => runtime.block_on(serve(arguments)),
        Command::AdminToken(arguments) => runtime.block_on(admin_token(&arguments)),
        Command::Openapi => Ok(std::io::stdout().write_all(vault::document().as_bytes())?),
    }
}

async fn serve(arguments: ServeArguments) -> Result<()> {
    let config = arguments.config()?;
    let level: LevelFilter = config.log.parse().with_context(|| format!("'{}' is no level of a log", config.log))?;
    tracing_subscriber::fmt().json().flatten_event(true).with_max_level(level).with_writer(std::io::stderr).init();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let service = Service::start(config).await?;
    announce(&service)?;
    service
        .run(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("ending");
        })
        .await;
    Ok(())
}

/// Says where the service is, on standard output; the one-time token stands in no log.
fn announce(service: &Service) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let address = service.url();
    writeln!(out, "vault service at {address}")?;
    if let Some(authority) = service.authority() {
        writeln!(out, "certificate authority (SHA-256) {authority}")?;
    }
    if let Some(token) = service.one_time() {
        writeln!(out, "one-time token {token}")?;
        writeln!(out, "It makes you the administrator, once, within a day, and is not shown again:")?;
        let fingerprint = service.authority().map(|authority| format!(" --fingerprint {authority}")).unwrap_or_default();
        writeln!(out, "  holdfast login {address}{fingerprint}")?;
    }
    out.flush()?;
    tracing::info!(listen = %service.address(), "serving");
    Ok(())
}

async fn admin_token(arguments: &DataArguments) -> Result<()> {
    let token = vault::one_time_token(&arguments.data).await?;
    writeln!(std::io::stdout(), "{token}")?;
    Ok(())
}

impl ServeArguments {
    fn config(self) -> Result<Config> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        config.data = self.data.unwrap_or(config.data);
        config.listen = self.listen.unwrap_or(config.listen);
        config.log = self.log.unwrap_or(config.log);
        if !self.names.is_empty() {
            config.names = self.names;
        }
        if self.certificate.is_some() {
            (config.certificate, config.key) = (self.certificate, self.key);
        }
        Ok(config)
    }
}
