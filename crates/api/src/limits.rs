//! Most of everything that passes in one request or answer.

/// Most ids in one question what is missing, or where blobs lie.
pub const IDS_MAX: usize = 65_536;
/// Most names of packs issued at once.
pub const PACK_NAMES_MAX: u32 = 1024;
/// Most ranges of a pack read at once.
pub const RANGES_MAX: usize = 65_536;
/// Most copies of a blob that an answer names.
pub const COPIES_MAX: usize = 4096;
/// Most points in one page of a list.
pub const POINTS_PAGE_MAX: usize = 1000;
/// Most points that are expired, brought back or purged in one request.
pub const POINTS_CHANGED_MAX: usize = 40_000;
/// Most bytes of a JSON body in a request.
pub const JSON_BYTES_MAX: usize = 4 << 20;
/// Most bytes of the body of a login: it comes from somebody who has not shown much yet.
pub const LOGIN_BYTES_MAX: usize = 4 << 10;
/// Most bytes of the body of an enrolment: as base64, with what comes with it, from somebody who has not shown anything yet.
pub const ENROL_BYTES_MAX: usize = 2 * format::limits::ENROLMENT_BYTES_MAX;
/// Most bytes of the body of a check: it names packs that were opened.
pub const CHECK_BYTES_MAX: usize = 8 << 20;
/// Most bytes of a JSON answer: a page of points with their records, or the ids of everything that is damaged.
pub const ANSWER_BYTES_MAX: usize = 512 << 20;
/// Most bytes of an answer where blobs lie.
pub const PLACES_BYTES_MAX: usize = 256 << 20;
/// Most bytes of one line of an answer that tells progress.
pub const LINE_BYTES_MAX: usize = 64 << 20;
/// Most bytes of the description of an error.
pub const PROBLEM_BYTES_MAX: usize = 64 << 10;
/// Most bytes of the name of a token.
pub const TOKEN_NAME_BYTES_MAX: usize = 128;
/// Most bytes of a token's text.
pub const TOKEN_BYTES_MAX: usize = 256;
/// Most jobs in one page of a list.
pub const JOBS_PAGE_MAX: usize = 500;
/// Most warnings of a job that are kept, and that a report holds.
pub const JOB_WARNINGS_MAX: usize = 1000;
/// Most lines of a job's log that are kept, and that a report holds.
pub const JOB_LOG_LINES_MAX: usize = 1000;
/// Most bytes of a path or text that an agent reports of a job; longer ones are cut.
pub const JOB_TEXT_BYTES_MAX: usize = 8 << 10;
/// Most bytes of the body of a job's report.
pub const JOB_REPORT_BYTES_MAX: usize = 4 << 20;
/// Most policies.
pub const POLICIES_MAX: usize = 1000;
/// Most items of one domain.
pub const ITEMS_PER_DOMAIN_MAX: usize = 1000;
/// Most paths of a file set or a restore, and most patterns of each kind.
pub const SCOPE_LINES_MAX: usize = 1000;
/// Most bytes of one path or pattern.
pub const SCOPE_LINE_BYTES_MAX: usize = 4096;
/// Most bytes of one line of a stream of commands or events.
pub const NOTICE_BYTES_MAX: usize = 1 << 20;
