//! A clock for one server alone, that can be set while it runs: libfaketime, which `tests/install` brings.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The clock. Its directory goes with it.
pub struct FakedClock {
    dir: PathBuf,
}

impl FakedClock {
    /// One that shows what the machine's does; nothing where libfaketime is not to be had.
    pub fn find() -> Option<Self> {
        let Some(library) = library() else {
            eprintln!("skipped: libfaketime is not installed (tests/install all brings it)");
            return None;
        };
        let dir =
            std::env::temp_dir().join(format!("session-reaper-clock-{:x}", fastrand::u64(..)));
        fs::create_dir(&dir).unwrap();
        // Where root runs the tests, the server is run by another user.
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        fs::copy(library, dir.join("library")).unwrap();
        let clock = Self { dir };
        clock.set(0);
        Some(clock)
    }

    /// Sets it to so many seconds beside the machine's.
    pub fn set(&self, offset_s: i64) {
        let new = self.dir.join("new");
        fs::write(&new, format!("{offset_s:+}")).unwrap();
        fs::set_permissions(&new, Permissions::from_mode(0o644)).unwrap();
        // At once, since the server reads it whenever it looks at the time.
        fs::rename(new, self.dir.join("offset")).unwrap();
    }

    /// What the server's environment needs to have.
    pub fn variables(&self) -> Vec<(String, String)> {
        let path = |name: &str| self.dir.join(name).display().to_string();
        [
            ("LD_PRELOAD", path("library")),
            ("FAKETIME_TIMESTAMP_FILE", path("offset")),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            // The offset is from now, and not from when the server started.
            ("FAKETIME_DONT_RESET", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

impl Drop for FakedClock {
    fn drop(&mut self) {
        // What is left over is temporary anyway.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn library() -> Option<PathBuf> {
    let unpacked = concat!(env!("CARGO_MANIFEST_DIR"), "/target/programs/usr/lib");
    ["/usr/lib", unpacked]
        .into_iter()
        .filter_map(|root| fs::read_dir(Path::new(root)).ok())
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("faketime/libfaketime.so.1"))
        .find(|library| library.is_file())
}
