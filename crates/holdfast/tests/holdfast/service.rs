//! A vault service, in a thread of this process: its program is tested in its own crate.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// A service that runs until this is dropped.
pub(crate) struct RunningService {
    pub(crate) url: String,
    pub(crate) authority: String,
    data: PathBuf,
    limits: vault::Limits,
    running: Mutex<Option<Thread>>,
}

/// The thread of a service.
struct Thread {
    one_time: Option<String>,
    end: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl RunningService {
    /// The first start, with everything in this directory.
    pub(crate) fn start(data: &Path, limits: vault::Limits) -> Self {
        let (address, authority, running) = run(data, "127.0.0.1:0".parse().unwrap(), limits.clone());
        let running = Mutex::new(Some(running));
        Self { url: format!("https://{address}"), authority, data: data.to_owned(), limits, running }
    }

    /// The one-time token of the last start that gave one.
    pub(crate) fn one_time(&self) -> String {
        self.running.lock().unwrap().as_ref().unwrap().one_time.clone().unwrap()
    }

    /// Ends it until [`RunningService::come_back`].
    pub(crate) fn go_away(&self) {
        self.running.lock().unwrap().take().unwrap().end();
    }

    /// Starts it again, at the same address.
    pub(crate) fn come_back(&self) {
        let listen = self.url.strip_prefix("https://").unwrap().parse().unwrap();
        *self.running.lock().unwrap() = Some(run(&self.data, listen, self.limits.clone()).2);
    }

    /// Ends it, lets something be done to its directory, and starts it at the same address.
    pub(crate) fn restart(&self, between: impl FnOnce(&Path)) {
        let mut running = self.running.lock().unwrap();
        running.take().unwrap().end();
        between(&self.data);
        *running = Some(run(&self.data, self.url.strip_prefix("https://").unwrap().parse().unwrap(), self.limits.clone()).2);
    }
}

fn run(data: &Path, listen: SocketAddr, limits: vault::Limits) -> (SocketAddr, String, Thread) {
    let config = vault::Config { data: data.to_owned(), listen, limits, ..vault::Config::default() };
    let (end, ended) = oneshot::channel();
    let (started, start) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async move {
            let service = vault::Service::start(config).await.unwrap();
            let authority = service.authority().unwrap().to_string();
            started.send((service.address(), authority, service.one_time().map(str::to_owned))).unwrap();
            let ended = async move {
                let _ = ended.await;
            };
            service.run(ended).await;
        });
    });
    let (address, authority, one_time) = start.recv().unwrap();
    (address, authority, Thread { one_time, end, thread })
}

impl Thread {
    fn end(self) {
        let _ = self.end.send(());
        // A failure in there shows in what the test asked of the service.
        let _ = self.thread.join();
    }
}

impl Drop for RunningService {
    fn drop(&mut self) {
        if let Some(running) = self.running.get_mut().unwrap().take() {
            running.end();
        }
    }
}
