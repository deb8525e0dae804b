//! Machine-readable output: one object a command, `"schema": "holdfast.<command>/1"`, fields only ever added.

use super::text::utc;
use crate::failure::{Exit, Failure, Outcome};
use crate::terminal::{nobody_reads, output_failed, say, say_text};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the first part of the object was printed.
static HAS_BEGUN: AtomicBool = AtomicBool::new(false);

/// The object that a command prints.
pub(crate) struct Json(Map<String, Value>);

impl Json {
    pub(crate) fn new(command: &str) -> Self {
        let mut map = Map::new();
        map.insert("schema".to_owned(), Value::from(format!("holdfast.{command}/1")));
        Self(map)
    }

    pub(crate) fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.0.insert(field.to_owned(), value.into());
    }

    /// Prints the object, or what was not printed of it yet.
    pub(crate) fn print(mut self) {
        if !HAS_BEGUN.load(Ordering::Relaxed) {
            return say!("{}", Value::Object(self.0));
        }
        self.0.remove("schema");
        let rest = Value::Object(self.0).to_string();
        say!("{}{}", if rest == "{}" { "" } else { "," }, &rest[1..]);
    }

    /// Prints all but the end of the object: more follows with the next [`Json::print`], be it what was done or why it failed.
    pub(crate) fn print_first(self) {
        let begun = Value::Object(self.0).to_string();
        HAS_BEGUN.store(true, Ordering::Relaxed);
        say_text(format_args!("{}", &begun[..begun.len() - 1]));
    }
}

/// Shows a new secret before anything depends on it. Its end is said by [`was_heard`].
pub(crate) fn show_first(json: bool, command: &str, what: &str, secret: &str) {
    if json {
        let mut object = Json::new(command);
        object.set(what, secret);
        object.print_first();
    } else {
        say_text(format_args!("{what}  {secret}"));
    }
}

/// Ends the line of [`show_first`], some time after it. Fails unless all of it was taken: standard output may be full, and its
/// reader may have gone.
pub(crate) fn was_heard() -> Outcome<()> {
    say!("");
    if !nobody_reads() {
        return Ok(());
    }
    let failure = Failure::new(Exit::Failed, "the passphrase could not be shown, so it was not set");
    Err(match output_failed() {
        Some(error) => failure.because(error),
        None => failure,
    })
}

/// A failure as an object on standard output.
pub(crate) fn print_failure(command: &str, failure: &Failure) {
    let mut json = Json::new(command);
    json.set("error", error_json(failure));
    json.print();
}

/// A failure as part of an object.
pub(crate) fn error_json(failure: &Failure) -> Value {
    json!({
        "message": failure.heading(),
        "causes": failure.causes(),
        "hint": failure.hint(),
        "exit_code": failure.exit as u8,
    })
}

/// Something of the API as commands print it: what is `…_ms` there is RFC 3339 here, without the unit. Differences of time stay.
pub(crate) fn json_times(value: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(value).unwrap_or(Value::Null);
    times_as_text(&mut value);
    value
}

fn times_as_text(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(times_as_text),
        Value::Object(fields) => {
            for (name, mut field) in std::mem::take(fields) {
                times_as_text(&mut field);
                match (name.strip_suffix("_ms"), field.as_i64()) {
                    (Some(short), Some(ms)) if short != "ahead" => fields.insert(short.to_owned(), utc(ms).into()),
                    _ => fields.insert(name, field),
                };
            }
        }
        _ => {}
    }
}

/// A name in two fields where it is not UTF-8: `name` (lossy) and `name_b64`.
pub(crate) fn name_json(object: &mut Map<String, Value>, field: &str, name: &[u8]) {
    object.insert(field.to_owned(), Value::from(String::from_utf8_lossy(name)));
    if std::str::from_utf8(name).is_err() {
        object.insert(format!("{field}_b64"), Value::from(base64(name)));
    }
}

/// Base 64 (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * place) & 63) as usize] as char;
            text.push(if place <= chunk.len() { digit } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_64_is_as_in_the_rfc() {
        for (plain, encoded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn a_name_that_is_not_utf8_is_there_exactly() {
        let mut object = Map::new();
        name_json(&mut object, "name", b"a\xff");
        assert_eq!(object["name_b64"], "Yf8=");
    }

    #[test]
    fn times_of_the_api_are_text_wherever_they_stand_and_differences_stay_numbers() {
        let value = json!({"a_ms": 0, "ahead_ms": 5, "list": [{"b_ms": 1000}], "c_ms": null, "milliseconds": 3});
        let expected = json!({
            "a": "1970-01-01T00:00:00Z", "ahead_ms": 5, "list": [{"b": "1970-01-01T00:00:01Z"}], "c_ms": null, "milliseconds": 3
        });
        assert_eq!(json_times(&value), expected);
    }
}
