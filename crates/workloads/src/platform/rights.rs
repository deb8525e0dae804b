//! What this process may, of what decides what can be read at all.

/// With it `trusted.*` attributes are seen: without, the kernel leaves them out of its lists (xattr(7), capabilities(7)).
const CAP_SYS_ADMIN: u32 = 21;

/// Whether this process sees extended attributes `trusted.*`. To one that does not they are not there, and nothing says so.
#[must_use]
pub fn sees_trusted_attributes() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| has_capability(&status, CAP_SYS_ADMIN))
}

/// Whether the status of a process, as `/proc` shows it, has an effective capability.
fn has_capability(status: &str, capability: u32) -> bool {
    let digits = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = digits.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    effective.is_some_and(|effective| effective >> capability & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_the_capability_of_the_unit_alone_does_not_see_trusted_attributes() {
        assert!(!has_capability("Name:\tholdfast\nCapEff:\t0000000000000004\n", CAP_SYS_ADMIN));
        assert!(has_capability("Name:\tholdfast\nCapEff:\t000001ffffffffff\n", CAP_SYS_ADMIN));
        assert!(!has_capability("", CAP_SYS_ADMIN));
    }
}
