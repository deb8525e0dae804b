//! The names in one directory, sorted, in bounded memory.
//!
//! Names are gathered into runs of [`RUN_BYTES`]. When all directories being listed hold more than the budget, a directory
//! merges its runs and writes them to a temporary file. At the end the runs are merged, duplicates left out.

use super::spill::Spill;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of names in a run in memory.
const RUN_BYTES: usize = 256 << 10;
/// Bytes that a name costs in a run besides its own.
const NAME_COST: usize = size_of::<(u32, u16)>();
/// Bytes that are read from a run in the file at once; more than the longest name.
const READ_BYTES: usize = 128 << 10;
/// Bytes that a directory may hold even when the budget is used up.
const FLOOR_BYTES: usize = 2 << 20;

/// Memory for names that all directories of a walk share.
#[derive(Debug)]
pub(super) struct NameBudget {
    used: AtomicUsize,
    limit: usize,
    floor: usize,
}

impl NameBudget {
    /// A budget of so many bytes.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), limit, floor: FLOOR_BYTES.min(limit) })
    }
}

/// Gathers names.
#[derive(Debug)]
pub(super) struct NameSorter {
    budget: Arc<NameBudget>,
    open: Run,
    closed: Vec<Run>,
    /// Bytes of the budget that the closed runs take.
    charged: usize,
    spill: Option<Spill>,
    /// Where each run in the file starts and ends.
    spilled: Vec<(u64, u64)>,
}

/// Names in memory.
#[derive(Debug, Default)]
struct Run {
    bytes: Vec<u8>,
    /// Where each name starts, and its length.
    index: Vec<(u32, u16)>,
}

/// A run being read.
#[derive(Debug)]
enum RunReader {
    Memory { run: Run, at: usize },
    File { bytes: Vec<u8>, at: usize, next: u64, end: u64 },
}

/// Sorted names to be taken in batches.
#[derive(Debug)]
pub(super) struct SortedNames {
    budget: Arc<NameBudget>,
    charged: usize,
    spill: Option<Spill>,
    /// A heap: the run with the smallest next name first.
    runs: Vec<RunReader>,
    last: Vec<u8>,
}

/// Some names in order.
#[derive(Debug, Default)]
pub(super) struct Names {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Names {
    /// How many.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Adds one behind the others.
    pub(super) fn push(&mut self, name: &[u8]) {
        self.bytes.extend_from_slice(name);
        self.ends.push(self.bytes.len() as u32);
    }

    /// The names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start as usize..*end as usize])
    }
}

impl NameSorter {
    /// Nothing yet.
    pub(super) fn new(budget: &Arc<NameBudget>) -> Self {
        Self { budget: budget.clone(), open: Run::default(), closed: Vec::new(), charged: 0, spill: None, spilled: Vec::new() }
    }

    /// Adds a name.
    pub(super) fn push(&mut self, name: &[u8]) -> io::Result<()> {
        if self.open.cost() + name.len() > RUN_BYTES.min(self.budget.limit) && !self.open.index.is_empty() {
            self.close_run();
            let over = self.budget.used.load(Ordering::Relaxed) > self.budget.limit;
            if over && self.charged >= self.budget.floor {
                self.spill_runs()?;
            }
        }
        self.open.index.push((self.open.bytes.len() as u32, name.len() as u16));
        self.open.bytes.extend_from_slice(name);
        Ok(())
    }

    /// All names, sorted.
    pub(super) fn finish(mut self) -> io::Result<SortedNames> {
        self.close_run();
        let closed = std::mem::take(&mut self.closed);
        let mut sorted = SortedNames {
            budget: self.budget.clone(),
            charged: std::mem::take(&mut self.charged),
            spill: self.spill.take(),
            runs: closed.into_iter().map(|run| RunReader::Memory { run, at: 0 }).collect(),
            last: Vec::new(),
        };
        for (start, end) in &self.spilled {
            let mut reader = RunReader::File { bytes: Vec::new(), at: 0, next: *start, end: *end };
            reader.fill(sorted.spill.as_ref())?;
            sorted.runs.push(reader);
        }
        sorted.runs.retain(|run| run.current().is_some());
        for at in (0..sorted.runs.len() / 2).rev() {
            sorted.sift_down(at);
        }
        Ok(sorted)
    }

    fn close_run(&mut self) {
        let mut run = std::mem::take(&mut self.open);
        run.sort();
        self.charged += run.cost();
        self.budget.used.fetch_add(run.cost(), Ordering::Relaxed);
        self.closed.push(run);
    }

    /// Writes the closed runs as one.
    fn spill_runs(&mut self) -> io::Result<()> {
        if self.spill.is_none() {
            self.spill = Some(Spill::new()?);
        }
        let Some(spill) = &mut self.spill else { return Ok(()) };
        let start = spill.length();
        let runs = std::mem::take(&mut self.closed).into_iter().map(|run| RunReader::Memory { run, at: 0 }).collect();
        let charged = std::mem::take(&mut self.charged);
        let mut merged = SortedNames { budget: self.budget.clone(), charged, spill: None, runs, last: Vec::new() };
        for at in (0..merged.runs.len() / 2).rev() {
            merged.sift_down(at);
        }
        let mut buffer = Vec::with_capacity(READ_BYTES);
        while merged.take_one()? {
            buffer.extend_from_slice(&(merged.last.len() as u16).to_le_bytes());
            buffer.extend_from_slice(&merged.last);
            if buffer.len() >= READ_BYTES {
                spill.append(&buffer)?;
                buffer.clear();
            }
        }
        spill.append(&buffer)?;
        self.spilled.push((start, spill.length()));
        Ok(())
    }
}

impl Drop for NameSorter {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.charged, Ordering::Relaxed);
    }
}

impl Drop for SortedNames {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.charged, Ordering::Relaxed);
    }
}

impl SortedNames {
    /// The next names, at most so many. None are left when it is empty.
    pub(super) fn next_batch(&mut self, most: usize) -> io::Result<Names> {
        let mut names = Names::default();
        while names.len() < most && self.take_one()? {
            names.push(&self.last);
        }
        Ok(names)
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Moves to the next name, into `last`, and past its duplicates; false at the end.
    fn take_one(&mut self) -> io::Result<bool> {
        let Some(name) = self.runs.first().and_then(RunReader::current) else { return Ok(false) };
        self.last.clear();
        self.last.extend_from_slice(name);
        while let Some(run) = self.runs.first_mut().filter(|run| run.current() == Some(&self.last)) {
            run.advance(self.spill.as_ref())?;
            if run.current().is_none() {
                self.runs.swap_remove(0);
            }
            self.sift_down(0);
        }
        Ok(true)
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let mut least = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.runs.len() && self.runs[child].current() < self.runs[least].current() {
                    least = child;
                }
            }
            if least == at {
                return;
            }
            self.runs.swap(at, least);
            at = least;
        }
    }
}

impl Run {
    fn cost(&self) -> usize {
        self.bytes.len() + self.index.len() * NAME_COST
    }

    fn name(&self, at: usize) -> Option<&[u8]> {
        let (start, length) = *self.index.get(at)?;
        Some(&self.bytes[start as usize..start as usize + usize::from(length)])
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        let name = |(start, length): (u32, u16)| &bytes[start as usize..start as usize + usize::from(length)];
        self.index.sort_unstable_by(|left, right| name(*left).cmp(name(*right)));
    }
}

impl RunReader {
    fn current(&self) -> Option<&[u8]> {
        match self {
            Self::Memory { run, at } => run.name(*at),
            Self::File { bytes, at, .. } => {
                let length = u16::from_le_bytes(bytes.get(*at..*at + 2)?.try_into().ok()?);
                bytes.get(*at + 2..*at + 2 + usize::from(length))
            }
        }
    }

    fn advance(&mut self, spill: Option<&Spill>) -> io::Result<()> {
        let length = self.current().map_or(0, <[u8]>::len);
        match self {
            Self::Memory { at, .. } => *at += 1,
            Self::File { at, .. } => *at += 2 + length,
        }
        if self.current().is_none() { self.fill(spill) } else { Ok(()) }
    }

    /// Reads on where the next name is not whole in memory.
    fn fill(&mut self, spill: Option<&Spill>) -> io::Result<()> {
        if let (Self::File { bytes, at, next, end }, Some(spill)) = (self, spill) {
            bytes.drain(..*at);
            *at = 0;
            let more = spill.read(*next, *end, READ_BYTES)?;
            *next += more.len() as u64;
            bytes.extend_from_slice(&more);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    fn sort(names: &[Vec<u8>], budget: &Arc<NameBudget>) -> (Vec<Vec<u8>>, usize) {
        let mut sorter = NameSorter::new(budget);
        for name in names {
            sorter.push(name).unwrap();
        }
        let mut sorted = sorter.finish().unwrap();
        let files = sorted.runs.iter().filter(|run| matches!(run, RunReader::File { .. })).count();
        let mut all = Vec::new();
        while !sorted.is_empty() {
            let batch = sorted.next_batch(7).unwrap();
            assert!(batch.len() > 0, "an end that nobody announced");
            all.extend(batch.iter().map(<[u8]>::to_vec));
        }
        assert_eq!(sorted.next_batch(7).unwrap().len(), 0);
        (all, files)
    }

    proptest! {
        #[test]
        fn names_come_out_sorted_and_once_in_any_budget(
            names in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..6), 0..400),
            limit in 8_usize..4000,
        ) {
            let budget = NameBudget::new(limit);
            let (sorted, _) = sort(&names, &budget);
            let mut expected = names;
            expected.sort();
            expected.dedup();
            prop_assert_eq!(sorted, expected);
            prop_assert!(budget.used.load(Ordering::Relaxed) == 0);
        }
    }

    #[test]
    fn names_over_the_budget_go_to_a_file() {
        let names: Vec<Vec<u8>> =
            (0..100_000_u32).map(|n| format!("{:08x}", n.wrapping_mul(2_654_435_761)).into_bytes()).collect();
        let (sorted, files) = sort(&names, &NameBudget::new(200 << 10));
        assert!(files > 2, "{files} runs in the file");
        assert_eq!(sorted.len(), names.len());
        assert!(sorted.is_sorted());
        assert_eq!(sort(&names, &NameBudget::new(64 << 20)).1, 0);
    }
}
