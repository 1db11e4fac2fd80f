//! Machinery for models: small learners and what makes probabilities of their scores.
//!
//! What comes in are rows of numbers and their labels, from whoever trains a model; what goes out
//! are weights. The threat is a model that says more than it learned: every learner tells how far
//! from its optimum it ended.
//!
//! Promises: no I/O; the same rows and seed give the same weights.

mod calibration;
mod error;
mod linear;

pub use calibration::Sigmoid;
pub use error::Error;
pub use linear::{Fit, Linear, Row};
