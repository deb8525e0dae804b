//! Every limit of an agent in one place.

use std::time::Duration;

/// Most bytes of the local configuration.
pub const CONFIGURATION_BYTES_MAX: u64 = 256 << 10;
/// Most paths of each list in the local configuration.
pub const PATHS_MAX: usize = 1000;
/// Most hook commands that the local configuration allows.
pub const HOOK_COMMANDS_MAX: usize = 64;
/// Most items of which the local configuration sets a least scope.
pub const LEAST_SCOPES_MAX: usize = 1000;
/// Most jobs at once.
pub const JOBS_MAX: usize = 16;
/// Jobs at once that somebody asked for, besides the scheduled ones.
pub const ON_DEMAND_MAX: usize = 1;
/// So often the agent may die in a job that somebody asked for; then it is given up.
pub const DEATHS_MAX: u32 = 5;
/// Most threads that read, of one backup.
pub const READERS_MAX: usize = 64;
/// Highest level of compression.
pub const LEVEL_MAX: i32 = 19;
/// After so many days at most everything is walked, whatever is known of changes.
pub const WALK_EVERYTHING_DAYS_MAX: usize = 90;
/// Most bytes of a file that the agent keeps: what it protects is the largest of them.
pub const KEPT_BYTES_MAX: u64 = 256 << 20;
/// Most reports that wait for the service. One report is one run: with two runs a day, years.
pub const REPORTS_MAX: usize = 10_000;
/// Most bytes of all warnings in a report, as JSON.
pub const WARNINGS_BYTES_MAX: usize = 2 << 20;
/// Most bytes of all log lines in a report, as JSON.
pub const LOG_BYTES_MAX: usize = 1 << 20;
/// Most bytes of a hook's output that are kept.
pub const HOOK_OUTPUT_BYTES_MAX: usize = 16 << 10;
/// Most lines of a hook's output that stand in a job's log. Both hooks leave room for what else is said.
pub const HOOK_LINES_MAX: usize = 300;

/// What is due is looked for at least this often, whatever clocks and sleep do meanwhile.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(30);
/// The wall clock is ahead of the time that passed by this much: the machine slept, or its clock was set.
pub(crate) const JUMP_MS: i64 = 60_000;
/// A job that runs is reported this often.
pub(crate) const REPORT_EVERY: Duration = Duration::from_secs(3);
/// A report of a job that runs is given up after this: the next one says more.
pub(crate) const LIVE_REPORT: Duration = Duration::from_secs(10);
/// A report of a job that is over is given up after this, and sent again later.
pub(crate) const FINAL_REPORT: Duration = Duration::from_secs(60);
/// How long a short question is tried again before the agent waits for the service.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// Jobs that run get so long to end when the agent ends.
pub(crate) const END: Duration = Duration::from_secs(60);
/// The service gets so long to hear of it.
pub(crate) const FAREWELL: Duration = Duration::from_secs(5);
/// A hook that is told to end gets so long before it is killed.
pub(crate) const HOOK_GRACE: Duration = Duration::from_secs(5);
/// A connection that stood for so long was a good one.
pub(crate) const STABLE: Duration = Duration::from_secs(60);
/// After a good connection, agents come back within so long, each at another moment.
pub(crate) const BACK_MIN: Duration = Duration::from_secs(5);
/// No wait for the service is longer.
pub(crate) const BACK_MAX: Duration = Duration::from_secs(60);
/// The first wait after an attempt that failed is up to this.
pub(crate) const BACK_FIRST: Duration = Duration::from_secs(1);
