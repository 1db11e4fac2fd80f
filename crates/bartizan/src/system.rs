//! The real clock and the system's randomness, which reach the rest in a [`Cx`]; and
//! folders for a while.

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bartizan_core::{Clock, Cx, Entropy, Timestamp};

/// The context of production.
pub(crate) fn cx() -> Cx {
    Cx::new(Arc::new(SystemClock), entropy())
}

/// The system's randomness alone, for a context whose time is another.
pub(crate) fn entropy() -> Arc<dyn Entropy> {
    Arc::new(SystemEntropy)
}

#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where `Cx` gets the time from")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

#[derive(Debug)]
struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::expect_used,
        reason = "keys made without the system's randomness would be worse than no program"
    )]
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("INVARIANT: the operating system gives random bytes");
    }
}

/// A folder of the owner's alone among the system's temporary files; it goes with its value.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(cx: &Cx) -> io::Result<Self> {
        let name = cx
            .random::<8>()
            .iter()
            .fold("bartizan-".to_owned(), |name, byte| format!("{name}{byte:02x}"));
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, folder = %self.0.display(), "a temporary folder stays behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_and_randomness_differs() {
        let cx = cx();
        assert!(cx.now().millis() > 1_767_225_600_000, "the clock stands before 2026");
        assert_ne!(cx.random::<16>(), cx.random::<16>());
    }

    #[test]
    fn a_scratch_folder_is_private_and_goes() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = Scratch::new(&cx()).expect("made");
        let path = scratch.path().to_owned();
        std::fs::write(path.join("file"), "x").expect("written");
        let mode = std::fs::metadata(&path).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        drop(scratch);
        assert!(!path.exists());
    }
}
