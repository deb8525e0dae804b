//! Paths in a tree: components joined by `/`, none of it at the start.

/// Directory and name as one path.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

/// Whether a path is this directory, or lies in it. Everything lies in the top, whose path is empty.
#[must_use]
pub fn is_within(path: &[u8], directory: &[u8]) -> bool {
    directory.is_empty() || path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::is_within;

    #[test]
    fn a_path_lies_in_itself_in_what_leads_to_it_and_in_the_top_and_in_nothing_that_merely_begins_alike() {
        for (path, directory, expected) in
            [("a/b", "a", true), ("a", "a", true), ("a", "", true), ("ab", "a", false), ("a", "a/b", false)]
        {
            assert_eq!(is_within(path.as_bytes(), directory.as_bytes()), expected, "{path} {directory}");
        }
    }
}
