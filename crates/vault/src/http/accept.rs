//! Connections: accepted, TLS, HTTP; and their end when the service ends.

use super::admission::Peer;
use super::line::{self, Line, Patience};
use crate::app::App;
use crate::app::budget::Budget;
use crate::config::Limits;
use crate::open_files::connections_within;
use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// The TLS handshake, and then the header of a request, must be there by then.
const BEGINNING: Duration = Duration::from_secs(15);
/// A peer that does not answer a ping is gone.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_ANSWER: Duration = Duration::from_secs(20);
/// HTTP/2: bytes under way in one stream, and in all of a connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 2 << 20;
/// HTTP/2: most bytes of a frame. Larger ones would each take memory from the system: see `system::configure_allocator`.
const FRAME: u32 = 64 << 10;
/// HTTP/2: most bytes of what waits to be sent in a stream.
const SEND_BUFFER: usize = 1 << 20;
/// After an error of the listening socket (no file descriptors are left, say) it rests for so long.
const REST: Duration = Duration::from_millis(100);

/// Serves connections until `end`, then waits for those under way, within their limit.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    router: Router,
    app: Arc<App>,
    end: impl Future<Output = ()>,
) {
    let connections = connections_within(app.limits.connections);
    let places = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
    let lines = Arc::new(Budget::new(u32::try_from(connections).unwrap_or(u32::MAX), 1));
    let door = Arc::new(Door { acceptor: TlsAcceptor::from(tls), builder: builder(&app.limits), router, lines, app });
    let graceful = GracefulShutdown::new();
    tokio::pin!(end);
    loop {
        let place = places.clone().acquire_owned();
        let accepted = async { (place.await, listener.accept().await) };
        let (place, accepted) = tokio::select! {
            both = accepted => both,
            () = &mut end => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let (door, watcher) = (door.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _place = place;
            door.attend(stream, peer, watcher).await;
        });
    }
    drop(listener);
    let limit = Duration::from_secs(door.app.limits.shutdown_seconds);
    if tokio::time::timeout(limit, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were under way when the time to end was over");
    }
}

/// What every connection goes through.
struct Door {
    acceptor: TlsAcceptor,
    builder: Builder<TokioExecutor>,
    router: Router,
    /// Connections of those who are known.
    lines: Arc<Budget>,
    app: Arc<App>,
}

impl Door {
    /// Serves a connection until its end, or until it is not worth keeping.
    async fn attend(&self, stream: TcpStream, peer: SocketAddr, watcher: Watcher) {
        let _counted = self.app.metrics.begin_connection();
        let Some(stream) = handshake(&self.acceptor, stream, peer).await else { return };
        let (service, line) = (TowerToHyperService::new(self.router.clone()), Line::new(self.lines.clone()));
        let of_requests = line.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            request.extensions_mut().insert(of_requests.clone());
            service.call(request)
        });
        let connection = watcher.watch(self.builder.serve_connection(TokioIo::new(stream), service).into_owned());
        let silence = Duration::from_secs(self.app.limits.silence_seconds);
        let idle = Duration::from_secs(self.app.limits.idle_seconds);
        let patience = Patience { beginning: BEGINNING.min(silence), silence, idle };
        tokio::select! {
            outcome = connection => if let Err(error) = outcome {
                tracing::debug!(%peer, error, "connection ended");
            },
            why = line.given_up(patience, &self.app.tokens) => tracing::debug!(%peer, why, "connection given up"),
        }
    }
}

async fn handshake(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    line::prepare(&stream);
    match tokio::time::timeout(BEGINNING, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "no TLS");
            None
        }
        Err(_) => None,
    }
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(BEGINNING)
        .max_buf_size((limits.header_bytes as usize).max(8 << 10) + (64 << 10));
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_send_buf_size(SEND_BUFFER)
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.header_bytes)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_ANSWER);
    builder
}
