//! A vault service, in a thread of this process: its program is tested in its own crate.

use std::path::Path;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// A service that runs until this is dropped.
pub(crate) struct RunningService {
    pub(crate) url: String,
    pub(crate) authority: String,
    pub(crate) one_time: String,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl RunningService {
    /// The first start, with everything in this directory.
    pub(crate) fn start(data: &Path, limits: vault::Limits) -> Self {
        let listen = "127.0.0.1:0".parse().unwrap();
        let config = vault::Config { data: data.to_owned(), listen, limits, ..vault::Config::default() };
        let (end, ended) = oneshot::channel();
        let (started, start) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async move {
                let service = vault::Service::start(config).await.unwrap();
                let url = format!("https://{}", service.address());
                let authority = service.authority().unwrap().to_string();
                started.send((url, authority, service.one_time().unwrap().to_owned())).unwrap();
                let ended = async move {
                    let _ = ended.await;
                };
                service.run(ended).await;
            });
        });
        let (url, authority, one_time) = start.recv().unwrap();
        Self { url, authority, one_time, end: Some(end), thread: Some(thread) }
    }
}

impl Drop for RunningService {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            let _ = end.send(());
        }
        if let Some(thread) = self.thread.take() {
            // A failure in there shows in what the test asked of the service.
            let _ = thread.join();
        }
    }
}
