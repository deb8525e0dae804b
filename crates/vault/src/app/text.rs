//! Texts that come from agents, cut to what is kept of them.

/// At most so many bytes of a text, whole characters; the memory of the others is free.
pub(crate) fn cut(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max));
    text.shrink_to_fit();
    text
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("aäb".to_owned(), 2), "a");
        assert_eq!(cut("aäb".to_owned(), 3), "aä");
        assert_eq!(cut("aäb".to_owned(), 30), "aäb");
    }

    #[test]
    fn what_is_cut_off_a_text_takes_no_memory_any_more() {
        assert!(cut("x".repeat(1 << 20), 10).capacity() < 100);
    }
}
