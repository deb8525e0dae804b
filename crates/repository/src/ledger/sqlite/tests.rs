//! What a file adds: other processes, damage, a full disk, and being killed.

use super::{SqliteLedger, statements};
use crate::ledger::conformance::{answers, domain, domain_id, journal, pack, pack_name, session_id};
use crate::ledger::{DomainRow, JournalState, Ledger, LedgerError, LedgerResult, PackRow, Transaction};
use bytes::Bytes;
use format::{JournalNumber, PackName};
use sqlx::{AssertSqlSafe, Connection, Executor, Row, SqliteConnection, query};
use std::fs;
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Command, Stdio};
use std::task::{Context, Waker};
use std::time::Duration;
use tempfile::TempDir;

fn somewhere() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger");
    (directory, path)
}

async fn put(ledger: &SqliteLedger, row: &PackRow) {
    let mut transaction = ledger.begin().await.unwrap();
    transaction.put_pack(row).await.unwrap();
    transaction.commit().await.unwrap();
}

async fn tails(ledger: &SqliteLedger) -> Vec<PackRow> {
    ledger.snapshot().await.unwrap().tails(domain_id(1)).await.unwrap()
}

/// A connection that knows nothing of ledgers.
async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap()
}

/// Fails unless the answer is an error, and gives it.
fn refusal<T>(answer: LedgerResult<T>) -> LedgerError {
    answer.err().expect("it is refused")
}

fn cause(error: &LedgerError) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}

#[tokio::test]
async fn every_statement_prepares_and_neither_scans_nor_sorts() {
    let (_directory, path) = somewhere();
    let ledger = SqliteLedger::create(&path).await.unwrap();
    let mut slot = ledger.shared.writer.lock().await;
    let connection = slot.as_mut().unwrap();
    for (name, statement) in statements::ALL {
        connection.prepare(sqlx::SqlSafeStr::into_sql_str(*statement)).await.unwrap();
        let plan = query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"))).fetch_all(&mut *connection).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        for step in &plan {
            // A list that is given is no table.
            assert!(!step.replace("SCAN json_each", "").contains("SCAN") && !step.contains("TEMP"), "{name}: {plan:?}");
        }
        let footers = plan.iter().filter(|step| step.contains("SEARCH f ")).count();
        assert_eq!(footers, usize::from(["PACK", "TAILS"].contains(name)), "{name}: {plan:?}");
        if *name == "TAILS" {
            assert!(plan[0].contains("packs_in_tails"), "{plan:?}");
        }
    }
}

#[tokio::test]
async fn states_of_the_partial_index_are_those_of_the_code() {
    use super::columns::Numbered;
    use crate::ledger::PackState;
    assert_eq!((PackState::Registered.number(), PackState::Proven.number()), (2, 3));
}

#[tokio::test]
async fn its_files_can_be_read_by_the_owner_only() {
    let (directory, path) = somewhere();
    let ledger = SqliteLedger::create(&path).await.unwrap();
    put(&ledger, &pack(1, 1)).await;
    let files: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(files.len(), 3, "the file, its log and the log's index");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
}

#[tokio::test]
async fn commits_are_synchronised_and_written_ahead() {
    let (_directory, path) = somewhere();
    let ledger = SqliteLedger::create(&path).await.unwrap();
    let mut slot = ledger.shared.writer.lock().await;
    let connection = slot.as_mut().unwrap();
    for (pragma, value) in [("synchronous", "2"), ("journal_mode", "wal"), ("foreign_keys", "1"), ("mmap_size", "0")] {
        let row = query(AssertSqlSafe(format!("PRAGMA {pragma}"))).fetch_one(&mut *connection).await.unwrap();
        let found = row.try_get::<String, _>(0).or_else(|_| row.try_get::<i64, _>(0).map(|number| number.to_string()));
        assert_eq!(found.unwrap(), value, "{pragma}");
    }
}

#[tokio::test]
async fn a_closed_ledger_is_one_file_and_opens_again() {
    let (directory, path) = somewhere();
    let ledger = SqliteLedger::create(&path).await.unwrap();
    put(&ledger, &pack(1, 1)).await;
    assert_eq!(tails(&ledger).await, [pack(1, 1)]);
    ledger.close().await;
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    assert_eq!(tails(&ledger).await, [pack(1, 1)], "it opens by itself");
    assert_eq!(tails(&SqliteLedger::open(&path).await.unwrap()).await, [pack(1, 1)]);
}

#[tokio::test]
async fn names_that_mean_something_to_sqlite_are_names() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["file:ledger?mode=memory", ":memory:", "a b%20#?&c=d", "ü"] {
        let path = directory.path().join(name);
        put(&SqliteLedger::create(&path).await.unwrap(), &pack(1, 1)).await;
        assert!(path.is_file(), "{name}");
        assert_eq!(tails(&SqliteLedger::open(&path).await.unwrap()).await, [pack(1, 1)], "{name}");
    }
}

#[tokio::test]
async fn what_is_there_is_never_overwritten() {
    let (directory, path) = somewhere();
    put(&SqliteLedger::create(&path).await.unwrap(), &pack(1, 1)).await;
    refusal(SqliteLedger::create(&path).await);
    assert_eq!(tails(&SqliteLedger::open(&path).await.unwrap()).await, [pack(1, 1)]);
    let other = directory.path().join("other");
    fs::write(&other, b"something else").unwrap();
    refusal(SqliteLedger::create(&other).await);
    assert_eq!(fs::read(&other).unwrap(), b"something else");
    let new = fs::read_dir(directory.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".new"));
    assert_eq!(new.count(), 0, "nothing is left of the attempts");
}

#[tokio::test]
async fn of_two_that_create_the_same_ledger_one_succeeds() {
    let (_directory, path) = somewhere();
    let (one, other) = tokio::join!(SqliteLedger::create(&path), SqliteLedger::create(&path));
    assert!(one.is_ok() != other.is_ok());
    put(&one.or(other).unwrap(), &pack(1, 1)).await;
}

#[tokio::test]
async fn the_log_of_a_lost_ledger_is_not_replayed_into_a_new_one() {
    let (directory, path) = somewhere();
    let lost = SqliteLedger::create(&path).await.unwrap();
    put(&lost, &pack(1, 1)).await;
    let log = directory.path().join("ledger-wal");
    let kept = fs::read(&log).unwrap();
    lost.close().await;
    drop(lost);
    fs::remove_file(&path).unwrap();
    fs::write(&log, kept).unwrap();
    let new = SqliteLedger::create(&path).await.unwrap();
    assert_eq!(tails(&new).await, []);
    assert_eq!(new.quick_check().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_no_ledger_is_not_opened_and_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let foreign = path("foreign");
    fs::write(&foreign, b"").unwrap();
    raw(&foreign).await.execute("CREATE TABLE notes (text)").await.unwrap();
    fs::write(path("empty"), b"").unwrap();
    fs::write(path("short"), b"garbage").unwrap();
    fs::write(path("garbage"), [0xa5; 100_000]).unwrap();
    for name in ["foreign", "empty", "short", "garbage"] {
        let before = fs::read(path(name)).unwrap();
        let error = refusal(SqliteLedger::open(&path(name)).await);
        assert!(matches!(error, LedgerError::Corrupt(_)), "{name}: {error:?}");
        assert_eq!(fs::read(path(name)).unwrap(), before, "{name}");
    }
    for name in ["absent", "."] {
        let error = refusal(SqliteLedger::open(&path(name)).await);
        assert!(matches!(error, LedgerError::Unavailable { full: false, .. }), "{name}: {error:?}");
    }
    assert!(!path("absent").exists());
}

#[tokio::test]
async fn a_ledger_of_a_newer_program_is_refused() {
    let (_directory, path) = somewhere();
    let ledger = SqliteLedger::create(&path).await.unwrap();
    let mut snapshot = ledger.snapshot().await.unwrap();
    raw(&path).await.execute("PRAGMA user_version = 7").await.unwrap();
    assert_eq!(snapshot.domain(domain_id(1)).await.unwrap(), None, "a snapshot is not disturbed");
    for error in [refusal(SqliteLedger::open(&path).await), refusal(ledger.begin().await), refusal(ledger.snapshot().await)] {
        assert!(matches!(error, LedgerError::Unavailable { full: false, .. }), "{error:?}");
        assert!(cause(&error).contains("version 7"), "{error:?}");
    }
}

#[tokio::test]
async fn a_file_that_was_replaced_is_not_written_to() {
    let (directory, path) = somewhere();
    let ledger = SqliteLedger::create(&path).await.unwrap();
    fs::rename(&path, directory.path().join("aside")).unwrap();
    refusal(ledger.begin().await);
    SqliteLedger::create(&path).await.unwrap();
    refusal(ledger.begin().await);
    refusal(ledger.snapshot().await);
}

#[tokio::test]
async fn two_handles_share_one_file() {
    let (_directory, path) = somewhere();
    let one = SqliteLedger::create(&path).await.unwrap();
    let other = SqliteLedger::open(&path).await.unwrap();
    let mut early = other.snapshot().await.unwrap();
    let mut writing = one.begin().await.unwrap();
    writing.put_pack(&pack(1, 1)).await.unwrap();
    assert_eq!(tails(&other).await, [], "not committed yet");
    let mut waiting = pin!(other.begin());
    let waited = tokio::time::timeout(Duration::from_millis(300), waiting.as_mut()).await;
    assert!(waited.is_err(), "two write at once");
    writing.commit().await.unwrap();
    let mut second = waiting.await.unwrap();
    assert_eq!(second.tails(domain_id(1)).await.unwrap(), [pack(1, 1)]);
    second.put_pack(&pack(1, 2)).await.unwrap();
    // dropped, not committed: the other handle's turn comes at once, not when this one begins again
    drop(second);
    put(&one, &pack(1, 3)).await;
    assert_eq!(tails(&other).await, [pack(1, 1), pack(1, 3)]);
    assert_eq!(early.tails(domain_id(1)).await.unwrap(), []);
}

/// Starts the call and drops it; whether it was still under way.
fn cancel<T>(call: impl Future<Output = T>) -> bool {
    pin!(call).as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[tokio::test]
async fn a_cancelled_call_spoils_its_transaction_and_no_other() {
    let (_directory, path) = somewhere();
    let ledger = SqliteLedger::create(&path).await.unwrap();
    let row = PackRow { footer: Some(Bytes::from(vec![1; 1 << 20])), ..pack(1, 1) };
    let mut cancelled = 0;
    for round in 0..40 {
        let mut transaction = ledger.begin().await.unwrap();
        if !cancel(transaction.put_pack(&row)) {
            continue;
        }
        cancelled += 1;
        refusal(transaction.tails(domain_id(1)).await);
        if round % 2 == 0 {
            refusal(transaction.commit().await);
        } else {
            drop(transaction);
        }
        assert_eq!(tails(&ledger).await, []);
    }
    assert!(cancelled > 0);
    put(&ledger, &pack(1, 2)).await;
    assert_eq!(tails(&ledger).await, [pack(1, 2)]);
}

#[tokio::test]
async fn a_cancelled_begin_or_commit_does_not_block_the_next() {
    let (_directory, path) = somewhere();
    let ledger = SqliteLedger::create(&path).await.unwrap();
    let mut cancelled = 0;
    for round in 0..20 {
        cancelled += u8::from(cancel(ledger.begin()));
        cancelled += u8::from(cancel(ledger.snapshot()));
        let mut transaction = ledger.begin().await.unwrap();
        transaction.put_pack(&pack(1, round)).await.unwrap();
        cancelled += u8::from(cancel(transaction.commit()));
        put(&ledger, &pack(1, 100 + round)).await;
    }
    assert!(cancelled > 0);
    let names: Vec<PackName> = tails(&ledger).await.iter().map(|row| row.name).collect();
    for round in 0..20 {
        assert!(names.contains(&pack_name(100 + round)), "what was committed is there");
    }
}

#[tokio::test]
async fn a_full_disk_is_said_so_and_leaves_nothing_of_the_transaction() {
    let (_directory, path) = somewhere();
    let ledger = SqliteLedger::create(&path).await.unwrap();
    put(&ledger, &pack(1, 1)).await;
    let limit = "PRAGMA max_page_count = 200";
    ledger.shared.writer.lock().await.as_mut().unwrap().execute(limit).await.unwrap();
    let mut transaction = ledger.begin().await.unwrap();
    transaction.put_pack(&pack(1, 2)).await.unwrap();
    let large = PackRow { footer: Some(Bytes::from(vec![1; 4 << 20])), ..pack(1, 3) };
    let error = refusal(transaction.put_pack(&large).await);
    assert!(matches!(error, LedgerError::Unavailable { full: true, .. }), "{error:?}");
    // SQLite has rolled back by now: what came next would be committed on its own
    refusal(transaction.put_pack(&pack(1, 4)).await);
    refusal(transaction.tails(domain_id(1)).await);
    refusal(transaction.commit().await);
    assert_eq!(tails(&ledger).await, [pack(1, 1)]);
    put(&ledger, &large).await;
    assert_eq!(tails(&ledger).await, [pack(1, 1), large]);
}

#[tokio::test]
async fn rows_that_cannot_be_are_damage() {
    let (_directory, path) = somewhere();
    let ledger = SqliteLedger::create(&path).await.unwrap();
    put(&ledger, &pack(1, 1)).await;
    for change in [
        "state = 9",
        "kind = 3",
        "number = -1",
        "entries = 4294967296",
        "recovered = 2",
        "session = x'00'",
        "footer_hash = x''",
        "length = -9223372036854775808",
    ] {
        let mut connection = raw(&path).await;
        connection.execute("BEGIN; CREATE TABLE saved AS SELECT * FROM packs").await.unwrap();
        connection.execute(AssertSqlSafe(format!("UPDATE packs SET {change}"))).await.unwrap();
        connection.execute("COMMIT").await.unwrap();
        let error = refusal(ledger.snapshot().await.unwrap().pack(domain_id(1), pack_name(1)).await);
        assert!(matches!(error, LedgerError::Corrupt(_)), "{change}: {error:?}");
        refusal(ledger.snapshot().await.unwrap().packs(domain_id(1)).await);
        connection.execute("REPLACE INTO packs SELECT * FROM saved; DROP TABLE saved").await.unwrap();
        put(&ledger, &pack(1, 1)).await;
        assert_eq!(tails(&ledger).await, [pack(1, 1)]);
    }
    raw(&path).await.execute("DROP TABLE journal").await.unwrap();
    let error = refusal(ledger.snapshot().await.unwrap().journal_in(domain_id(1), JournalState::Done).await);
    assert!(matches!(error, LedgerError::Corrupt(_)), "{error:?}");
}

#[tokio::test]
async fn flipped_bytes_anywhere_are_never_a_panic_and_mostly_found() {
    let (directory, path) = somewhere();
    let ledger = SqliteLedger::create(&path).await.unwrap();
    for number in 0..60 {
        put(&ledger, &pack(1, number)).await;
    }
    let before = answers(&mut *ledger.snapshot().await.unwrap()).await;
    ledger.close().await;
    let bytes = fs::read(&path).unwrap();
    let damaged = directory.path().join("damaged");
    let mut said = 0;
    let offsets: Vec<usize> = (0..120).chain((120..bytes.len()).step_by(bytes.len() / 100)).collect();
    for offset in &offsets {
        let mut bytes = bytes.clone();
        bytes[*offset] ^= 0xff;
        fs::write(&damaged, bytes).unwrap();
        match read_all(&damaged).await {
            Ok((problems, answers)) => said += usize::from(!problems.is_empty() || answers != before),
            Err(LedgerError::Corrupt(_)) => said += 1,
            Err(error) => assert!(!cause(&error).is_empty(), "{offset}: {error:?}"),
        }
        for left in ["damaged-wal", "damaged-shm"] {
            let _ = fs::remove_file(directory.path().join(left));
        }
    }
    assert!(said > offsets.len() / 10, "{said} of {}", offsets.len());
}

async fn read_all(path: &Path) -> LedgerResult<(Vec<String>, Vec<String>)> {
    let ledger = SqliteLedger::open(path).await?;
    let problems = ledger.quick_check().await?;
    let mut snapshot = ledger.snapshot().await?;
    for number in 0..60 {
        snapshot.pack(domain_id(1), pack_name(number)).await?;
    }
    snapshot.packs_of_session(domain_id(1), session_id(1)).await?;
    if !problems.is_empty() {
        return Ok((problems, Vec::new()));
    }
    snapshot.tails(domain_id(1)).await?;
    snapshot.packs(domain_id(1)).await?;
    drop(snapshot);
    ledger.close().await;
    Ok((problems, Vec::new()))
}

/// In one transaction: the next number, a journal entry under it, and a pack with a footer of several pages.
async fn write_one_step(ledger: &SqliteLedger) -> u64 {
    let mut transaction = ledger.begin().await.unwrap();
    let row = transaction.domain(domain_id(1)).await.unwrap().unwrap();
    let number = row.next_number;
    transaction.put_domain(&DomainRow { next_number: number.next(), ..row }).await.unwrap();
    transaction.put_journal(&journal(1, number.0)).await.unwrap();
    transaction.put_pack(&step_pack(number.0)).await.unwrap();
    transaction.commit().await.unwrap();
    number.0
}

fn step_pack(number: u64) -> PackRow {
    let mut name = [0; 16];
    name[..8].copy_from_slice(&number.to_le_bytes());
    let footer = Some(Bytes::from(vec![number as u8; 20_000]));
    PackRow { name: PackName(name), number, footer, ..pack(1, 0) }
}

const CHILD: &str = "HOLDFAST_TEST_LEDGER_OF_CHILD";

/// Started by itself as a child, it writes until it is killed.
#[tokio::test]
async fn killed_writers_leave_whole_transactions_and_all_that_they_acknowledged() {
    if let Some(path) = std::env::var_os(CHILD) {
        let ledger = SqliteLedger::open(Path::new(&path)).await.unwrap();
        loop {
            println!("\nacknowledged {}", write_one_step(&ledger).await);
        }
    }
    let (_directory, path) = somewhere();
    let ledger = SqliteLedger::create(&path).await.unwrap();
    let mut first = ledger.begin().await.unwrap();
    first.put_domain(&DomainRow { next_number: JournalNumber(1), ..domain(1) }).await.unwrap();
    first.commit().await.unwrap();
    let mut acknowledged = 0;
    for round in 0..8 {
        let mut children = [child(&path), child(&path)];
        for (place, child) in children.iter_mut().enumerate() {
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let mut left = 1 + (round * 7 + place * 5) % 23;
            while left > 0 {
                let line = lines.next().expect("it writes until it is killed").unwrap();
                if let Some(number) = line.strip_prefix("acknowledged ") {
                    acknowledged = acknowledged.max(number.parse().unwrap());
                    left -= 1;
                }
            }
            child.kill().unwrap();
            child.wait().unwrap();
            // the pipe may hold more
            for line in lines.map_while(Result::ok) {
                if let Some(number) = line.strip_prefix("acknowledged ") {
                    acknowledged = acknowledged.max(number.parse().unwrap());
                }
            }
        }
        check_steps(&mut *ledger.snapshot().await.unwrap(), acknowledged).await;
        assert_eq!(ledger.quick_check().await.unwrap(), Vec::<String>::new());
        acknowledged = acknowledged.max(write_one_step(&ledger).await);
    }
    ledger.close().await;
    check_steps(&mut *SqliteLedger::open(&path).await.unwrap().snapshot().await.unwrap(), acknowledged).await;
}

fn child(path: &Path) -> std::process::Child {
    let test = concat!(module_path!(), "::killed_writers_leave_whole_transactions_and_all_that_they_acknowledged");
    let (_crate, name) = test.split_once("::").unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn check_steps(snapshot: &mut dyn Transaction, acknowledged: u64) {
    let next = snapshot.domain(domain_id(1)).await.unwrap().unwrap().next_number.0;
    assert!(next > acknowledged, "{acknowledged} was acknowledged, {next} is next");
    let entries: Vec<u64> =
        snapshot.journal_in(domain_id(1), JournalState::Pending).await.unwrap().iter().map(|row| row.number.0).collect();
    assert_eq!(entries, (1..next).collect::<Vec<_>>());
    assert!(snapshot.tails(domain_id(1)).await.unwrap() == (1..next).map(step_pack).collect::<Vec<_>>());
}
