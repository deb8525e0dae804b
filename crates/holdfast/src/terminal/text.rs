//! Sizes, times and names as text; small questions to the system and the user.

use crate::failure::{Failure, Outcome};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::io::{BufRead, IsTerminal, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes in binary units.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// So many of something.
pub(crate) fn counted(count: u64, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// Bytes a second.
pub(crate) fn rate(count: u64, took: Duration) -> String {
    format!("{}/s", bytes((count as f64 / took.as_secs_f64().max(0.001)) as u64))
}

/// A duration.
pub(crate) fn seconds(took: Duration) -> String {
    let seconds = took.as_secs();
    match seconds {
        0..=59 => format!("{:.1} s", took.as_secs_f64()),
        60..=3599 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        _ => format!("{}:{:02}:{:02} h", seconds / 3600, seconds / 60 % 60, seconds % 60),
    }
}

/// Seconds of a duration, to the millisecond: what JSON has.
pub(crate) fn json_seconds(took: Duration) -> f64 {
    took.as_millis() as f64 / 1000.0
}

/// RFC 3339 in UTC.
pub(crate) fn utc(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| "invalid time".to_owned(), |time| time.to_string())
}

/// RFC 3339 in UTC, to the nanosecond.
pub(crate) fn utc_nanoseconds(seconds: i64, nanoseconds: u32) -> String {
    let time = Timestamp::new(seconds, i32::try_from(nanoseconds).unwrap_or(0));
    time.map_or_else(|_| "invalid time".to_owned(), |time| time.to_string())
}

/// Local time, for people.
pub(crate) fn local(ms: i64) -> String {
    let zoned = Timestamp::from_millisecond(ms).map(|time| time.to_zoned(TimeZone::system()));
    zoned.map_or_else(|_| "invalid time".to_owned(), |zoned| zoned.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// Now, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A name as a terminal may show it: control characters and bytes that are not UTF-8 are escaped.
pub(crate) fn printable(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || character == '\\' {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

/// The machine's name, as an item or a domain can have it.
pub(crate) fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    let allowed = |c: char| if matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-') { c } else { '-' };
    let name: String = name.trim_start_matches('.').chars().map(allowed).take(64).collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// Asks for a yes on the terminal; no, where there is none.
pub(crate) fn confirm(question: &str) -> Outcome<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    // If nobody can see the question, nobody answers it with yes.
    let _ = write!(std::io::stderr().lock(), "{question} [y/N] ");
    let failed = |error| Failure::io("cannot ask", &error);
    std::io::stderr().flush().map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_at_most_three_digits_before_the_point() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.0 KiB");
        assert_eq!(bytes(1_048_500), "1.0 MiB");
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
    }

    #[test]
    fn names_cannot_move_the_cursor() {
        assert_eq!(printable(b"a\x1b[2Jb\nc\xff"), "a\\u{1b}[2Jb\\nc\\xff");
        assert_eq!(printable("grüße".as_bytes()), "grüße");
    }
}
