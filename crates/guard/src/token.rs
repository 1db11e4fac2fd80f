//! The proofs that something was inspected. Minted in this crate alone.

/// A thing that was inspected, every text of it, and may go on.
#[derive(Debug)]
#[must_use = "it was inspected in order to be used"]
pub struct Screened<T>(T);

impl<T> Screened<T> {
    pub(crate) fn new(item: T) -> Self {
        Self(item)
    }

    pub fn get(&self) -> &T {
        &self.0
    }

    /// The thing itself, without the proof.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// A thing that was inspected, and waits for a person. It can be read, not taken out.
#[derive(Debug)]
#[must_use = "it waits for a person"]
pub struct Held<T>(T);

impl<T> Held<T> {
    pub(crate) fn new(item: T) -> Self {
        Self(item)
    }

    pub fn get(&self) -> &T {
        &self.0
    }
}
