//! The fast tier of the classifier: a linear model over hashed words and parts of words, asked
//! about every window of a text.
//!
//! A window's score is the sum of its features' weights over the root of how many they are, so
//! that windows of all lengths are found from two running sums. The strongest window counts, and
//! a sigmoid that was fitted on templates that the model was not trained on makes it a
//! probability.
//!
//! Sources: Weinberger and others, Feature hashing for large scale multitask learning, 2009;
//! Joulin and others, Bag of tricks for efficient text classification, 2017 (n-grams of words and
//! of letters); Andrews and others, Support vector machines for multiple-instance learning, 2003
//! (of an attack's windows, the strongest is learned from).

mod features;
mod model;
mod train;

pub use model::{Model, ModelError, Scored};
pub use train::{Example, HeldOut, Trained, train};
