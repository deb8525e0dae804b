//! Which hooks may run: exactly those commands that the configuration lists, word for word.

use super::{Bounds, WRITABLE_BY_OTHERS};
use crate::trouble::Trouble;
use rustix::process::geteuid;
use std::os::unix::fs::MetadataExt;

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
        let metadata =
            std::fs::metadata(program).map_err(|error| Trouble::io(format!("cannot use the hook '{program}'"), &error))?;
        let is_own = metadata.uid() == 0 || metadata.uid() == geteuid().as_raw();
        if !metadata.is_file() || !is_own || metadata.mode() & WRITABLE_BY_OTHERS != 0 {
            return Err(Trouble::refused(format!("the hook '{program}' can be written by others, or is no file"))
                .with_hint("let root own it, and chmod go-w it"));
        }
        Ok(())
    }
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
        assert!(on.allow_hook(&command).unwrap_err().message().contains("written by others"));
    }
}
