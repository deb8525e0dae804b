//! Which hooks may run: exactly those commands that the configuration lists, word for word.

use super::way::way_to;
use super::{Bounds, WRITABLE_BY_OTHERS};
use crate::trouble::Trouble;
use rustix::process::geteuid;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// In such a directory only owners rename and remove.
const STICKY: u32 = 0o1000;

impl Bounds {
    /// Fails unless this command may run. The service chooses among commands that are listed here; it adds no word to them. A program
    /// that others can replace is theirs, and not listed.
    pub fn allow_hook(&self, command: &[String]) -> Result<(), Trouble> {
        let shown = command.join(" ");
        if !self.hooks {
            return Err(Trouble::refused(format!("this machine runs no hooks, and the policy wants '{shown}'"))
                .with_hint("'hooks = true' and the command in 'hook_commands' of agent.toml allow it"));
        }
        if !self.hook_commands.iter().any(|allowed| allowed == command) {
            return Err(Trouble::refused(format!("this machine does not allow the hook '{shown}'"))
                .with_hint("'hook_commands' of agent.toml lists the commands that may run, each with all its words"));
        }
        let Some(program) = command.first() else { return Err(Trouble::refused("a hook without a command")) };
        let unusable = |error: io::Error| Trouble::io(format!("cannot use the hook '{program}'"), &error);
        let (way, end) = way_to(Path::new(program));
        end.map_err(unusable)?;
        if !std::fs::metadata(program).map_err(unusable)?.is_file() {
            return Err(Trouble::refused(format!("the hook '{program}' is no file")));
        }
        // Who can write a directory on the way can put another program there: by the name that is configured, by the one it leads to in the
        // end, and by each in between.
        for path in way {
            if !is_safe(&std::fs::symlink_metadata(&path).map_err(unusable)?) {
                let what = format!("others can replace the hook '{program}': they can write '{}'", path.display());
                return Err(Trouble::refused(what).with_hint("let root own it and all directories above it, and chmod go-w them"));
            }
        }
        Ok(())
    }
}

/// What of a listed command runs or is read as it runs: its program, and every word that leads to a file, with all that stands on the way.
pub(super) fn files_of(command: &[String]) -> Vec<PathBuf> {
    let program = command.first().map(|program| way_to(Path::new(program)).0);
    let words = command.iter().skip(1).map(Path::new).filter(|word| word.is_absolute() && word.is_file());
    program.into_iter().chain(words.map(|word| way_to(word).0)).flatten().collect()
}

/// Whether only root and this user can change it. In a directory like /tmp nobody replaces what is another's, and where a symlink leads
/// nobody changes.
fn is_safe(metadata: &Metadata) -> bool {
    let is_own = metadata.uid() == 0 || metadata.uid() == geteuid().as_raw();
    let is_sticky = metadata.is_dir() && metadata.mode() & STICKY != 0;
    is_own && (metadata.mode() & WRITABLE_BY_OTHERS == 0 || is_sticky || metadata.is_symlink())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_program_that_a_symlink_in_an_unsafe_directory_leads_to_does_not_run() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        for made in ["bin", "between", "real"] {
            fs::create_dir(root.join(made)).unwrap();
        }
        fs::write(root.join("real/freeze"), "#!/bin/sh\n").unwrap();
        symlink(root.join("between/freeze"), root.join("bin/freeze")).unwrap();
        symlink(root.join("real/freeze"), root.join("between/freeze")).unwrap();
        let command = vec![root.join("bin/freeze").to_str().unwrap().to_owned()];
        let bounds = Bounds { hooks: true, hook_commands: vec![command.clone()], ..Bounds::default() };
        bounds.allow_hook(&command).unwrap();
        // Neither where the name is nor where the file is: in the middle.
        fs::set_permissions(root.join("between"), Permissions::from_mode(0o777)).unwrap();
        assert!(bounds.allow_hook(&command).unwrap_err().message().contains("others can replace"));
    }

    #[test]
    fn only_commands_that_are_listed_run_and_only_word_for_word() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("freeze");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        let name = program.to_str().unwrap().to_owned();
        let command = vec![name.clone(), "--all".to_owned()];
        let off = Bounds { hook_commands: vec![command.clone()], ..Bounds::default() };
        assert!(off.allow_hook(&command).unwrap_err().message().contains("runs no hooks"));
        let on = Bounds { hooks: true, ..off };
        on.allow_hook(&command).unwrap();
        for other in [vec![name.clone()], vec![name.clone(), "--all".to_owned(), "; rm".to_owned()], vec!["/bin/sh".to_owned()]] {
            assert!(on.allow_hook(&other).unwrap_err().message().contains("does not allow"), "{other:?}");
        }
        fs::set_permissions(&program, Permissions::from_mode(0o777)).unwrap();
        assert!(on.allow_hook(&command).unwrap_err().message().contains("others can replace"));
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(on.allow_hook(&command).unwrap_err().message().contains("others can replace"), "by another file of that name");
    }
}
