//! Zero runs: longest stretches of zero bytes of at least a given length.

/// How many bytes are compared at once.
const STEP: usize = 64;

/// Zero bytes at the start.
pub(super) fn leading(bytes: &[u8]) -> usize {
    let (steps, _) = bytes.as_chunks::<STEP>();
    let whole = steps.iter().take_while(|step| is_zero(step)).count() * STEP;
    whole + bytes[whole..].iter().take_while(|byte| **byte == 0).count()
}

/// Zero bytes at the end.
pub(super) fn trailing(bytes: &[u8]) -> usize {
    let (_, steps) = bytes.as_rchunks::<STEP>();
    let whole = steps.iter().rev().take_while(|step| is_zero(step)).count() * STEP;
    whole + bytes[..bytes.len() - whole].iter().rev().take_while(|byte| **byte == 0).count()
}

fn is_zero(step: &[u8; STEP]) -> bool {
    step.iter().fold(0, |bits, byte| bits | byte) == 0
}

/// Where the first zero run of at least `min` bytes starts, if that is before `limit`. Looks at one byte in `min` and around
/// those that are zero: a run that long holds one of them.
pub(super) fn first_run(bytes: &[u8], min: usize, limit: usize) -> Option<usize> {
    let end = bytes.len().min(limit + min);
    let at = |probe: usize| {
        let before = trailing(&bytes[probe.saturating_sub(min - 1)..probe]);
        let start = probe - before;
        let behind = leading(&bytes[probe..bytes.len().min(start + min)]);
        (before + behind >= min).then_some(start)
    };
    (0..end).step_by(min).filter(|probe| bytes[*probe] == 0).find_map(at).filter(|start| *start < limit)
}
