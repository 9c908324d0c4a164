//! Whose process the server is: PostgreSQL refuses to run as root.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::Error;

/// The user that the server's programs run as.
#[derive(Clone, Copy, Debug)]
pub enum Account {
    /// That of this process.
    Own,
    /// Another one, because this process is root's.
    Other {
        /// Its number.
        uid: u32,
        /// The number of its group.
        gid: u32,
    },
}

impl Account {
    /// Chooses it for a directory that this process has just made, and gives the directory to it. Who owns
    /// the directory says who we are, without a system call that std does not offer.
    ///
    /// # Errors
    /// There is no such user, or the directory cannot be given away.
    pub fn that_may_own(dir: &Path) -> Result<Self, Error> {
        let owner = dir.metadata().map_err(Error::io("read", dir))?.uid();
        if owner != 0 {
            return Ok(Self::Own);
        }
        let (uid, gid) = ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| Some((number(name, "-u")?, number(name, "-g")?)))
            .ok_or(Error::NoAccount)?;
        chown(dir, Some(uid), Some(gid)).map_err(Error::io("give away", dir))?;
        Ok(Self::Other { uid, gid })
    }

    /// Lets a command run as this user. The standard library drops root's other groups with it.
    pub fn runs(self, command: &mut Command) -> &mut Command {
        match self {
            Self::Own => command,
            Self::Other { uid, gid } => command.uid(uid).gid(gid),
        }
    }
}

/// Whether the server's user will get to what lies in a directory. Root's own temporary directory may be
/// closed to others, while that of an ordinary user, who stays who they are, may well be.
pub fn can_reach(parent: &Path) -> bool {
    let is_root = Path::new("/proc/self")
        .metadata()
        .is_ok_and(|own| own.uid() == 0);
    !is_root
        || parent
            .ancestors()
            .all(|dir| dir.metadata().is_ok_and(|found| found.mode() & 0o001 != 0))
}

// Asked of `id`, because not every user is in /etc/passwd.
fn number(name: &str, option: &str) -> Option<u32> {
    let output = Command::new("id").args([option, name]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
