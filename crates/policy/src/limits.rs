//! Every limit of a policy in one place; what is outside is refused with the limit in the message.

/// The schema that this crate writes, and the only one that it reads.
pub const SCHEMA: &str = "holdfast.policy/1";
/// Most bytes of a policy as text.
pub const POLICY_BYTES_MAX: usize = 64 << 10;
/// Most bytes of a policy's name.
pub const NAME_BYTES_MAX: usize = 64;
/// Most bytes of a time zone's name.
pub const ZONE_BYTES_MAX: usize = 64;
/// Most schedules of a policy.
pub const SCHEDULES_MAX: usize = 16;
/// Most times that a schedule lists.
pub const TIMES_MAX: usize = 48;
/// Most slots on one day, over all schedules.
pub const SLOTS_PER_DAY_MAX: usize = 288;
/// Least minutes between the times of a repeating schedule.
pub const REPEAT_MINUTES_MIN: u16 = 5;
/// Most minutes between the times of a repeating schedule.
pub const REPEAT_MINUTES_MAX: u16 = 720;
/// Most windows of one kind.
pub const WINDOWS_MAX: usize = 32;
/// Most minutes by which a start is put off so that not all agents start at once.
pub const SPREAD_MINUTES_MAX: u32 = 240;
/// Least bytes per second of a bandwidth limit: less would never end.
pub const BANDWIDTH_BYTES_PER_SECOND_MIN: u64 = 128 << 10;
/// Most bytes per second of a bandwidth limit.
pub const BANDWIDTH_BYTES_PER_SECOND_MAX: u64 = 1 << 40;
/// Least reads per second of a limit: less would never end.
pub const READS_PER_SECOND_MIN: u32 = 10;
/// Most reads per second of a limit.
pub const READS_PER_SECOND_MAX: u32 = 1_000_000;
/// Most days, or scheduled days, that a retention rule counts.
pub const DAYS_MAX: u32 = 1_000;
/// Most weeks that a retention rule counts.
pub const WEEKS_MAX: u32 = 520;
/// Most months that a retention rule counts.
pub const MONTHS_MAX: u32 = 240;
/// Most years that a retention rule counts.
pub const YEARS_MAX: u32 = 100;
/// Most points of a floor.
pub const FLOOR_MAX: u32 = 1_000;
/// Most days for which an expired point stays soft-deleted.
pub const SOFT_DELETE_DAYS_MAX: u32 = 365;
/// A plan that expires at most so many points needs no person, whatever share they are.
pub const REVIEW_POINTS_FREE: usize = 2;
/// Most minutes of an objective: a year.
pub const OBJECTIVE_MINUTES_MAX: u32 = 366 * 24 * 60;
/// Most retries of a run.
pub const RETRIES_MAX: u32 = 20;
/// Most minutes between retries.
pub const RETRY_MINUTES_MAX: u32 = 24 * 60;
/// Most seconds that a hook may run.
pub const HOOK_SECONDS_MAX: u32 = 24 * 60 * 60;
/// Most words of a hook's command.
pub const HOOK_WORDS_MAX: usize = 64;
/// Most bytes of one word of a hook's command.
pub const HOOK_WORD_BYTES_MAX: usize = 4096;
/// Most points of one item that a plan or preview takes.
pub const POINTS_MAX: usize = 200_000;
/// Most points that a preview answers.
pub const PREVIEW_ENTRIES_MAX: usize = 20_000;
/// Most days that a preview looks ahead.
pub const PREVIEW_DAYS_MAX: u32 = 3_660;
/// Most problems that an error lists.
pub const PROBLEMS_MAX: usize = 32;

/// Extra milliseconds that the high-water clock catches up for each millisecond of running: a day an hour.
pub const CATCH_UP_RATE: i64 = 24;
/// Most running time that one step of the high-water clock counts for catching up: an hour, in milliseconds.
pub const CATCH_UP_STEP_MS_MAX: i64 = 60 * 60 * 1000;
/// A gap greater than this waits for an administrator: 30 days, in milliseconds.
pub const CLOCK_GAP_MS_MAX: i64 = 30 * 24 * 60 * 60 * 1000;
