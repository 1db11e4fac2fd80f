//! From a score to a probability.
//!
//! Sources: Platt, Probabilistic outputs for support vector machines, 1999 (the sigmoid, and
//! targets that are not quite 0 and 1); Lin, Lin and Weng, A note on Platt's probabilistic outputs
//! for support vector machines, Machine Learning 68, 2007 (Newton's method with backtracking).

use crate::Error;

/// `P(positive | score) = 1 / (1 + exp(a * score + b))`; a good model has a negative `a`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sigmoid {
    pub a: f64,
    pub b: f64,
}

/// Newton steps.
const STEPS_MAX: usize = 100;
/// Keeps the Hessian positive definite.
const RIDGE: f64 = 1e-12;
/// Where the gradient counts as none.
const END: f64 = 1e-9;

impl Sigmoid {
    /// Fits the sigmoid to scores and whether each is of the class. The scores must be of rows
    /// that the model was not trained on.
    ///
    /// # Errors
    /// When all are of one class, or a score is no number.
    pub fn fit(scores: &[(f64, bool)]) -> Result<Self, Error> {
        if let Some(row) = scores.iter().position(|(score, _)| !score.is_finite()) {
            return Err(Error::NotFinite { row });
        }
        let of = |class: bool| scores.iter().filter(|(_, is)| *is == class).count();
        let (positive, negative) = (of(true), of(false));
        if positive == 0 || negative == 0 {
            return Err(Error::OneClass { rows: scores.len() });
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^52")]
        let (positive, negative) = (positive as f64, negative as f64);
        let high = (positive + 1.0) / (positive + 2.0);
        let low = 1.0 / (negative + 2.0);
        let targets: Vec<(f64, f64)> =
            scores.iter().map(|(score, is)| (*score, if *is { high } else { low })).collect();
        let mut at = Self { a: 0.0, b: ((negative + 1.0) / (positive + 1.0)).ln() };
        let mut loss = at.loss(&targets);
        for _ in 0..STEPS_MAX {
            let [ga, gb, haa, hab, hbb] = at.derivatives(&targets);
            if ga.abs() < END && gb.abs() < END {
                break;
            }
            let determinant = haa * hbb - hab * hab;
            let da = -(hbb * ga - hab * gb) / determinant;
            let db = -(haa * gb - hab * ga) / determinant;
            let slope = ga * da + gb * db;
            let mut step = 1.0;
            loop {
                let next = Self { a: at.a + step * da, b: at.b + step * db };
                let less = next.loss(&targets);
                if less < loss + 1e-4 * step * slope {
                    (at, loss) = (next, less);
                    break;
                }
                step /= 2.0;
                // No step makes it better: this is as near as numbers of 64 bits come.
                if step < 1e-10 {
                    return Ok(at);
                }
            }
        }
        Ok(at)
    }

    /// The probability that a row of this score is of the class.
    pub fn probability(&self, score: f64) -> f64 {
        let f = self.a * score + self.b;
        if f >= 0.0 { (-f).exp() / (1.0 + (-f).exp()) } else { 1.0 / (1.0 + f.exp()) }
    }

    /// The cross entropy with the targets.
    fn loss(&self, targets: &[(f64, f64)]) -> f64 {
        let one = |(score, target): &(f64, f64)| {
            let f = self.a * score + self.b;
            if f >= 0.0 {
                target * f + (1.0 + (-f).exp()).ln()
            } else {
                (target - 1.0) * f + (1.0 + f.exp()).ln()
            }
        };
        targets.iter().map(one).sum()
    }

    /// The gradient by `a` and `b`, and the Hessian.
    fn derivatives(&self, targets: &[(f64, f64)]) -> [f64; 5] {
        let mut out = [0.0, 0.0, RIDGE, 0.0, RIDGE];
        for (score, target) in targets {
            let p = self.probability(*score);
            let (first, second) = (target - p, p * (1.0 - p));
            let parts = [score * first, first, score * score * second, score * second, second];
            for (sum, part) in out.iter_mut().zip(parts) {
                *sum += part;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_scores_have_the_sigmoid_that_goes_through_their_targets() {
        // With as many parameters as scores, the fit is exact: targets 100 / 101 of the 99 at 1
        // and 1 / 101 of the 99 at -1 (their 99 + 1 and 99 + 2).
        let mut scores = vec![(1.0, true); 99];
        scores.extend(vec![(-1.0, false); 99]);
        let fitted = Sigmoid::fit(&scores).expect("both classes");
        assert!((fitted.probability(1.0) - 100.0 / 101.0).abs() < 1e-9, "{fitted:?}");
        assert!((fitted.probability(-1.0) - 1.0 / 101.0).abs() < 1e-9);
        assert!((fitted.a + (100.0_f64).ln()).abs() < 1e-6 && fitted.b.abs() < 1e-9);
    }

    #[test]
    fn what_cannot_be_fitted_says_why() {
        assert_eq!(Sigmoid::fit(&[(1.0, true)]), Err(Error::OneClass { rows: 1 }));
        let none = [(1.0, true), (f64::NAN, false)];
        assert_eq!(Sigmoid::fit(&none), Err(Error::NotFinite { row: 1 }));
    }

    proptest! {
        #[test]
        fn it_ends_where_no_direction_leads_down(
            scores in proptest::collection::vec((-50.0_f64..50.0, any::<bool>()), 2..80)
        ) {
            let positive = scores.iter().filter(|(_, is)| *is).count();
            prop_assume!(positive > 0 && positive < scores.len());
            let fitted = Sigmoid::fit(&scores).expect("both classes");
            prop_assert!(fitted.a.is_finite() && fitted.b.is_finite());
            #[expect(clippy::cast_precision_loss, reason = "a count")]
            let (p, n) = (positive as f64, (scores.len() - positive) as f64);
            let target = |is: bool| if is { (p + 1.0) / (p + 2.0) } else { 1.0 / (n + 2.0) };
            let targets: Vec<_> = scores.iter().map(|(s, is)| (*s, target(*is))).collect();
            let [ga, gb, ..] = fitted.derivatives(&targets);
            prop_assert!(ga.abs() < 1e-4 && gb.abs() < 1e-5, "{ga} {gb}");
            for (score, _) in &scores {
                let probability = fitted.probability(*score);
                prop_assert!((0.0..=1.0).contains(&probability));
            }
        }
    }
}
