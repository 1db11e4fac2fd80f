//! What can be wrong with what a learner is given.

/// Why nothing was learned.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A learner of two classes was given one.
    #[error("all {rows} rows are of one class: give rows of both")]
    OneClass { rows: usize },
    /// A row names a feature beyond the dimension.
    #[error("row {row} has the feature {feature}, beyond the {dimension} that there are")]
    OutOfRange { row: usize, feature: u32, dimension: usize },
    /// A number that is none, or infinite.
    #[error("row {row} holds a value, or has a weight, that is not finite and positive")]
    NotFinite { row: usize },
    /// It did not come close enough to its optimum.
    #[error(
        "after {rounds} rounds the optimum is {violation:.2e} away: allow more rounds, or a coarser end"
    )]
    NotConverged { rounds: usize, violation: f64 },
}
