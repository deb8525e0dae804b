//! Which hooks may run: exactly those commands that the configuration lists, word for word.

use super::{Bounds, WRITABLE_BY_OTHERS};
use crate::trouble::Trouble;
use rustix::process::geteuid;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

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
        let look = |path: &Path| {
            std::fs::metadata(path).map_err(|error| Trouble::io(format!("cannot use the hook '{program}'"), &error))
        };
        let real = Path::new(program).canonicalize();
        let real = real.map_err(|error| Trouble::io(format!("cannot use the hook '{program}'"), &error))?;
        if !look(&real)?.is_file() {
            return Err(Trouble::refused(format!("the hook '{program}' is no file")));
        }
        // Who can write a directory on the way can put another program there, by the name that is configured as by the one it leads to.
        for path in Path::new(program).ancestors().chain(real.ancestors()).filter(|path| !path.as_os_str().is_empty()) {
            if !is_safe(&look(path)?) {
                let what = format!("others can replace the hook '{program}': they can write '{}'", path.display());
                return Err(Trouble::refused(what).with_hint("let root own it and all directories above it, and chmod go-w them"));
            }
        }
        Ok(())
    }
}

/// Whether only root and this user can change it. In a directory like /tmp nobody replaces what is another's.
fn is_safe(metadata: &Metadata) -> bool {
    let is_own = metadata.uid() == 0 || metadata.uid() == geteuid().as_raw();
    let is_sticky = metadata.is_dir() && metadata.mode() & STICKY != 0;
    is_own && (metadata.mode() & WRITABLE_BY_OTHERS == 0 || is_sticky)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

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
