//! What must scale, with generated data: `HOLDFAST_BLOBS` blobs in a domain, `HOLDFAST_FILES` files in an item.
//!
//! The suite takes few of them. docs/performance.md has the figures of many, and the commands:
//! `HOLDFAST_BLOBS=100000000 cargo test --release --package holdfast-engine --test engine scale::blobs -- --nocapture`.
//! Each refuses to start where the room that it needs is not there. `TMPDIR` says where that is.

mod blobs;
mod files;
mod generated;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

fn number_of(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap())
}

/// Panics if fewer bytes are free there.
fn need(place: &Path, bytes: u64) {
    let told = rustix::fs::statvfs(place).unwrap();
    let free = told.f_bavail * told.f_frsize;
    assert!(free >= bytes, "{} MiB are needed in '{}', {} MiB are free", bytes >> 20, place.display(), free >> 20);
}

/// A field of `/proc/self/status`, in MiB.
fn mib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

/// Looks again and again at what the process holds in memory.
struct Memory {
    looking: JoinHandle<[u64; 2]>,
    is_over: Arc<AtomicBool>,
}

impl Memory {
    fn watched() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = is_over.clone();
        let looking = thread::spawn(move || {
            let mut most = [0, 0];
            while !ends.load(Ordering::Relaxed) {
                most = [most[0].max(mib("RssAnon")), most[1].max(mib("RssFile"))];
                thread::sleep(Duration::from_millis(20));
            }
            most
        });
        Self { looking, is_over }
    }

    /// The most MiB that it held for itself, and the most that it had mapped of files, which the system takes back when others need room.
    fn most(self) -> [u64; 2] {
        self.is_over.store(true, Ordering::Relaxed);
        self.looking.join().unwrap()
    }
}

/// When something began.
#[derive(Clone, Copy)]
struct Began {
    at: Instant,
    processor: Duration,
}

impl Began {
    fn now() -> Self {
        let processor = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Self { at: Instant::now(), processor: Duration::new(processor.tv_sec as u64, processor.tv_nsec as u32) }
    }

    /// Tells how much was done since then, how fast that was and on how many processors, and what memory the process holds for itself.
    fn tell(self, what: &str, amount: u64, unit: &str) {
        self.tell_until(Self::now(), what, amount, unit);
    }

    fn tell_until(self, end: Self, what: &str, amount: u64, unit: &str) {
        let seconds = (end.at - self.at).as_secs_f64();
        println!(
            "{what}: {amount} {unit} in {seconds:.2} s, {:.0} a second; {:.1} processors; {} MiB of memory, at most {}",
            amount as f64 / seconds,
            (end.processor - self.processor).as_secs_f64() / seconds,
            mib("RssAnon"),
            mib("VmHWM")
        );
    }
}
