//! Numbers for Prometheus.

use api::{ClockBody, ClockStanding, JobState, WorkKind};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the histogram of durations, in seconds.
const BOUNDS_SECONDS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0];

/// What the vault's clock may be doing.
const STANDINGS: [(ClockStanding, &str); 4] = [
    (ClockStanding::Together, "together"),
    (ClockStanding::CatchingUp, "catching_up"),
    (ClockStanding::Waiting, "waiting"),
    (ClockStanding::Standing, "standing"),
];

/// What is counted while the service runs.
#[derive(Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(String, &'static str, u16), Durations>>,
    under_way: AtomicU64,
    connections: AtomicU64,
    pack_bytes_in: AtomicU64,
    pack_bytes_out: AtomicU64,
    packs_in: AtomicU64,
}

#[derive(Default, Clone)]
struct Durations {
    count: u64,
    seconds: f64,
    within: [u64; BOUNDS_SECONDS.len()],
}

/// Numbers that others keep, as they are now.
#[derive(Default)]
pub(crate) struct Gauges {
    pub(crate) leases: usize,
    pub(crate) agents_connected: usize,
    pub(crate) listeners: usize,
    pub(crate) items_overdue: usize,
    /// Of each kind in each state.
    pub(crate) jobs: Vec<(WorkKind, JobState, u64)>,
    /// The clock on which points expire.
    pub(crate) clock: Option<ClockBody>,
    pub(crate) packs_in_bytes: u64,
    pub(crate) packs_out_bytes: u64,
    /// Whether the disk is nearly full.
    pub(crate) disk_low: bool,
    pub(crate) disk_free_bytes: u64,
}

/// Counts one down when it is dropped.
pub(crate) struct Counted<'a>(&'a AtomicU64);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    pub(crate) fn begin_request(&self) -> Counted<'_> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        Counted(&self.under_way)
    }

    pub(crate) fn begin_connection(&self) -> Counted<'_> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Counted(&self.connections)
    }

    pub(crate) fn packs_in(&self, bytes: u64) {
        self.packs_in.fetch_add(1, Ordering::Relaxed);
        self.pack_bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn packs_out(&self, bytes: u64) {
        self.pack_bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A request was answered. `route` is the endpoint's path with names in it: there are not more than there are endpoints.
    pub(crate) fn answered(&self, route: &str, method: &'static str, status: u16, took: Duration) {
        let mut requests = self.requests.lock().expect("no panic under this lock");
        let durations = requests.entry((route.to_owned(), method, status)).or_default();
        durations.count += 1;
        durations.seconds += took.as_secs_f64();
        for (within, bound) in durations.within.iter_mut().zip(BOUNDS_SECONDS) {
            *within += u64::from(took.as_secs_f64() <= bound);
        }
    }

    /// All of it, as text.
    pub(crate) fn text(&self, gauges: &Gauges) -> String {
        let mut text = String::new();
        let mut one = |name: &str, kind: &str, help: &str, value: u64| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        };
        let now = |number: &AtomicU64| number.load(Ordering::Relaxed);
        one("holdfast_connections", "gauge", "Connections that stand.", now(&self.connections));
        one("holdfast_requests_under_way", "gauge", "Requests that are not answered yet.", now(&self.under_way));
        one("holdfast_leases", "gauge", "Leases of sessions that are held.", gauges.leases as u64);
        one(
            "holdfast_packs_in_memory_bytes",
            "gauge",
            "Packs and other large bodies on their way in, in memory.",
            gauges.packs_in_bytes,
        );
        one(
            "holdfast_packs_out_memory_bytes",
            "gauge",
            "Packs and other large answers on their way out, in memory.",
            gauges.packs_out_bytes,
        );
        one(
            "holdfast_disk_nearly_full",
            "gauge",
            "Whether uploads are refused because the disk is nearly full, or its reserve is given up.",
            u64::from(gauges.disk_low),
        );
        one(
            "holdfast_disk_free_bytes",
            "gauge",
            "Room on the service's disk, or the vault's if that has less.",
            gauges.disk_free_bytes,
        );
        one("holdfast_packs_received_total", "counter", "Packs received.", now(&self.packs_in));
        one("holdfast_pack_bytes_received_total", "counter", "Bytes of packs received.", now(&self.pack_bytes_in));
        one("holdfast_pack_bytes_sent_total", "counter", "Bytes of packs sent.", now(&self.pack_bytes_out));
        one("holdfast_agents_connected", "gauge", "Agents that listen for commands.", gauges.agents_connected as u64);
        one("holdfast_listeners", "gauge", "Streams of commands and events.", gauges.listeners as u64);
        one("holdfast_items_overdue", "gauge", "Items whose newest whole point is too old.", gauges.items_overdue as u64);
        protection(gauges, &mut text);
        self.durations(&mut text);
        text
    }

    fn durations(&self, text: &mut String) {
        const NAME: &str = "holdfast_request_duration_seconds";
        let _ = writeln!(text, "# HELP {NAME} Time until the answer began.\n# TYPE {NAME} histogram");
        let requests = self.requests.lock().expect("no panic under this lock");
        for ((route, method, status), durations) in requests.iter() {
            let labels = format!("route=\"{route}\",method=\"{method}\",status=\"{status}\"");
            for (within, bound) in durations.within.iter().zip(BOUNDS_SECONDS) {
                let _ = writeln!(text, "{NAME}_bucket{{{labels},le=\"{bound}\"}} {within}");
            }
            let _ = writeln!(text, "{NAME}_bucket{{{labels},le=\"+Inf\"}} {}", durations.count);
            let _ = writeln!(text, "{NAME}_sum{{{labels}}} {}", durations.seconds);
            let _ = writeln!(text, "{NAME}_count{{{labels}}} {}", durations.count);
        }
    }
}

/// Jobs and the clock.
fn protection(gauges: &Gauges, text: &mut String) {
    let _ = writeln!(text, "# HELP holdfast_jobs Jobs that are remembered.\n# TYPE holdfast_jobs gauge");
    for (kind, state, count) in &gauges.jobs {
        let _ = writeln!(text, "holdfast_jobs{{kind=\"{}\",state=\"{}\"}} {count}", kind.as_str(), state.as_str());
    }
    let Some(clock) = gauges.clock else { return };
    const BEHIND: &str = "holdfast_clock_behind_seconds";
    let behind = (clock.wall_ms - clock.now_ms) as f64 / 1000.0;
    let _ = writeln!(
        text,
        "# HELP {BEHIND} How far the vault's clock is behind the wall clock.\n# TYPE {BEHIND} gauge\n{BEHIND} {behind}"
    );
    const STANDING: &str = "holdfast_clock_standing";
    let _ = writeln!(text, "# HELP {STANDING} How the vault's clock is doing: 1 for what it does.\n# TYPE {STANDING} gauge");
    for (standing, word) in STANDINGS {
        let _ = writeln!(text, "{STANDING}{{standing=\"{word}\"}} {}", u64::from(standing == clock.standing));
    }
}

#[cfg(test)]
mod tests {
    use super::{Gauges, Metrics};
    use std::time::Duration;

    #[test]
    fn requests_are_counted_by_route_and_duration() {
        let metrics = Metrics::default();
        let under_way = metrics.begin_request();
        metrics.answered("/v1/x/{id}", "GET", 200, Duration::from_millis(3));
        metrics.answered("/v1/x/{id}", "GET", 200, Duration::from_secs(100));
        let text = metrics.text(&Gauges { leases: 4, ..Gauges::default() });
        assert!(text.contains("holdfast_requests_under_way 1") && text.contains("holdfast_leases 4"), "{text}");
        let of = |rest: &str| format!("holdfast_request_duration_seconds_{rest}");
        let labels = "route=\"/v1/x/{id}\",method=\"GET\",status=\"200\"";
        assert!(text.contains(&of(&format!("bucket{{{labels},le=\"0.005\"}} 1"))), "{text}");
        assert!(text.contains(&of(&format!("count{{{labels}}} 2"))), "{text}");
        drop(under_way);
        assert!(metrics.text(&Gauges::default()).contains("under_way 0"));
    }
}
