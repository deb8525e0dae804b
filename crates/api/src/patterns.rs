//! Patterns of an item: lines with the meaning of a `.gitignore` file in `/`.
//!
//! Looked at is whether an agent could compile them, without what compiles them: the service refuses what would fail every run of an
//! item. It is not what a pattern matches; that is the agent's. `crates/holdfast/tests` holds both against each other.

use crate::items::FileScope;

/// Braces within braces, at most: what compiles a pattern goes 250 steps deep, and each may take three.
const BRACES_MAX: usize = 80;
/// Bytes of all patterns of an item together, at most: what compiles them refuses more than ten megabytes of programs.
const BYTES_MAX: usize = 64 << 10;

impl FileScope {
    /// Fails with the first pattern that no agent could use, and why.
    pub fn check_patterns(&self) -> Result<(), String> {
        let excludes = self.excludes.iter().map(|line| (line, check_line(line)));
        let includes = self.includes.iter().filter(|line| !line.trim().is_empty());
        let includes = includes.map(|line| match line.starts_with('!') {
            true => (line, Err("an include starts with '!'")),
            false => (line, check_line(&format!("!{line}"))),
        });
        for (line, checked) in excludes.chain(includes) {
            checked.map_err(|why| format!("malformed pattern {line:?}: {why}"))?;
        }
        let bytes: usize = self.excludes.iter().chain(&self.includes).map(String::len).sum();
        if bytes > BYTES_MAX {
            return Err(format!("the patterns are {bytes} bytes together, and an item may have {BYTES_MAX}"));
        }
        Ok(())
    }
}

fn check_line(line: &str) -> Result<(), &'static str> {
    if line.starts_with("!!") {
        return Err("an include starts with '!'");
    }
    if line.starts_with('#') {
        return Ok(());
    }
    let mut line = if line.ends_with("\\ ") { line } else { line.trim_end() };
    if line.starts_with("\\!") || line.starts_with("\\#") {
        line = &line[1..];
    } else {
        line = line.strip_prefix('!').unwrap_or(line);
        line = line.strip_prefix('/').unwrap_or(line);
    }
    if let Some(directory) = line.strip_suffix('/') {
        line = directory.strip_suffix('\\').unwrap_or(directory);
    }
    check_glob(line)
}

fn check_glob(glob: &str) -> Result<(), &'static str> {
    let (mut characters, mut open) = (glob.chars(), 0_usize);
    while let Some(character) = characters.next() {
        match character {
            '[' => check_class(&mut characters)?,
            '{' if open == BRACES_MAX => return Err("it has too many braces within braces"),
            '{' => open += 1,
            '}' => open = open.checked_sub(1).ok_or("a '}' has no '{' before it")?,
            '\\' => drop(characters.next().ok_or("nothing follows the '\\' at its end")?),
            _ => {}
        }
    }
    if open == 0 { Ok(()) } else { Err("a '{' has no '}' behind it") }
}

/// What follows a `[`, up to its `]`.
fn check_class(characters: &mut std::str::Chars<'_>) -> Result<(), &'static str> {
    let negation = characters.as_str();
    if negation.starts_with(['!', '^']) {
        characters.next();
    }
    // A ']' or '-' that comes first stands for itself.
    let (mut begun, mut is_range) = (None, false);
    loop {
        let character = characters.next().ok_or("a '[' has no ']' behind it")?;
        match (character, begun) {
            (']', Some(_)) => return Ok(()),
            ('-', Some(_)) if !is_range => is_range = true,
            (end, Some(start)) if is_range && end < start => return Err("a range of characters ends before it begins"),
            (_, Some(_)) if is_range => is_range = false,
            (start, _) => begun = Some(start),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(excludes: &[&str], includes: &[&str]) -> Result<(), String> {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        FileScope { excludes: lines(excludes), includes: lines(includes), ..FileScope::default() }.check_patterns()
    }

    #[test]
    fn what_no_agent_could_use_is_named_with_its_reason() {
        check(&["*.tmp", "/a/{b,c{d,e}}/", "[]a-z-]", "[!]]", "# [", "\\[", "", "a\\/", "**/x/**"], &["keep", "/a"]).unwrap();
        for (exclude, why) in [
            ("[", "no ']'"),
            ("[z-a]", "ends before"),
            ("{a", "no '}'"),
            ("a}", "no '{'"),
            ("a\\", "nothing follows"),
            ("!!a", "'!'"),
        ] {
            let refused = check(&["fine", exclude], &[]).unwrap_err();
            assert!(refused.contains(why) && refused.contains("malformed pattern"), "{exclude}: {refused}");
        }
        assert!(check(&[], &["["]).is_err() && check(&[], &["!a"]).is_err());
        let nested = |depth: usize| ["{".repeat(depth), "a".to_owned(), "}".repeat(depth)].concat();
        check(&[&nested(BRACES_MAX)], &[]).unwrap();
        assert!(check(&[&nested(BRACES_MAX + 1)], &[]).unwrap_err().contains("within braces"));
        let long = "x".repeat(4000);
        check(&[long.as_str(); 16], &[]).unwrap();
        assert!(check(&[long.as_str(); 17], &[]).unwrap_err().contains("together"));
    }
}
