//! Logistic regression with an L2 penalty over sparse rows.
//!
//! Source: Yu, Huang and Lin, Dual coordinate descent methods for logistic regression and maximum
//! entropy models, Machine Learning 85, 2011: algorithm 5 (a coordinate at a time, in a new order
//! each round, by the modified Newton method of their section 3.1).

use bartizan_core::sim::SeededEntropy;

use crate::Error;

/// A row to learn from.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Features and their values; a feature that stands twice counts with the sum.
    pub features: Vec<(u32, f32)>,
    /// Whether it is of the class that high scores stand for.
    pub is_positive: bool,
    /// How much a mistake with it costs, beside the other rows; positive.
    pub weight: f64,
}

/// How to learn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// How much mistakes cost, beside the penalty on weights: `C`.
    pub cost: f64,
    /// How far from the optimum it may end: the largest gradient of the dual, projected.
    pub tolerance: f64,
    /// LIMIT: rounds over all rows.
    pub rounds_max: usize,
    /// For the order of rows.
    pub seed: u64,
}

impl Default for Fit {
    fn default() -> Self {
        Self { cost: 1.0, tolerance: 0.01, rounds_max: 1000, seed: 1 }
    }
}

/// A linear model: the score of a row is the sum of its values by the features' weights, and the
/// bias. Positive scores are more likely of the class than not, as the rows were weighed.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    pub weights: Vec<f32>,
    pub bias: f32,
}

/// Newton steps on one coordinate.
const STEPS_MAX: usize = 100;
/// By how much a step that leaves the interval is shortened: xi of the paper.
const SHORTEN: f64 = 0.1;

impl Linear {
    /// Learns from rows over `dimension` features. The bias is a feature of value 1 that every
    /// row has, so that it is penalized like the others.
    ///
    /// # Errors
    /// When the rows are of one class or hold what is no number, and when the optimum was not
    /// reached.
    pub fn fit(rows: &[Row], dimension: usize, fit: &Fit) -> Result<Self, Error> {
        check(rows, dimension)?;
        let mut weights = vec![0.0_f64; dimension + 1];
        let bias = dimension;
        // alpha of each row, and what is left of its cost: kept apart, since both may be tiny.
        let mut alphas: Vec<(f64, f64)> = rows
            .iter()
            .map(|row| {
                let cost = fit.cost * row.weight;
                let alpha = (0.001 * cost).min(1e-8);
                (alpha, cost - alpha)
            })
            .collect();
        let squares: Vec<f64> = rows.iter().map(|row| 1.0 + square(row)).collect();
        for (row, (alpha, _)) in rows.iter().zip(&alphas) {
            add(&mut weights, bias, row, *alpha * sign(row));
        }
        let random = SeededEntropy::new(fit.seed);
        let mut order: Vec<usize> = (0..rows.len()).collect();
        let mut violation = f64::INFINITY;
        for _ in 0..fit.rounds_max {
            shuffle(&mut order, &random);
            violation = 0.0;
            for at in &order {
                let (Some(row), Some(square), Some(alpha)) =
                    (rows.get(*at), squares.get(*at), alphas.get_mut(*at))
                else {
                    continue;
                };
                let y = sign(row);
                let margin = y * dot(&weights, bias, row);
                let (step, gradient) = newton(alpha, *square, margin);
                violation = violation.max(gradient.abs());
                if step != 0.0 {
                    add(&mut weights, bias, row, step * y);
                }
            }
            if violation < fit.tolerance {
                break;
            }
        }
        if violation >= fit.tolerance {
            return Err(Error::NotConverged { rounds: fit.rounds_max, violation });
        }
        #[expect(clippy::cast_possible_truncation, reason = "weights are kept as they are used")]
        let bias = weights.pop().unwrap_or_default() as f32;
        #[expect(clippy::cast_possible_truncation, reason = "weights are kept as they are used")]
        let weights = weights.into_iter().map(|weight| weight as f32).collect();
        Ok(Self { weights, bias })
    }

    /// The score of a row's features; those that the model does not know count nothing.
    pub fn score(&self, features: &[(u32, f32)]) -> f32 {
        let of = |(feature, value): &(u32, f32)| {
            let at = usize::try_from(*feature).unwrap_or(usize::MAX);
            self.weights.get(at).map_or(0.0, |weight| weight * value)
        };
        self.bias + features.iter().map(of).sum::<f32>()
    }
}

/// Minimizes the dual along one coordinate: `z log z + (C - z) log(C - z) + (z - a)^2 q / 2 +
/// (z - a) b` over `0 < z < C`, from `a`. Takes the coordinate and what is left of the cost to
/// their new values; gives the step of the coordinate, and the gradient that it began with.
fn newton((alpha, rest): &mut (f64, f64), q: f64, b: f64) -> (f64, f64) {
    let cost = *alpha + *rest;
    let before = *alpha;
    // The smaller of the two is minimized over, for precision: the problem is the same with
    // both exchanged and the slope turned (their section 3.3).
    let slope = b + q * (*rest - *alpha) / 2.0;
    let swapped = slope < 0.0;
    let turn = if swapped { -1.0 } else { 1.0 };
    let start = if swapped { *rest } else { *alpha };
    let b = b * turn;
    let mut z = start;
    if cost - z < 0.5 * cost {
        z *= SHORTEN;
    }
    let derivative = |z: f64| q * (z - start) + b + (z / (cost - z)).ln();
    let gradient = derivative(start);
    for _ in 0..STEPS_MAX {
        let first = derivative(z);
        if first.abs() < 1e-12 {
            break;
        }
        let second = q + cost / (z * (cost - z));
        let step = -first / second;
        let next = z + step;
        z = if next <= 0.0 { z * SHORTEN } else { next.min(cost * (1.0 - f64::EPSILON)) };
        if step.abs() < 1e-15 * cost {
            break;
        }
    }
    let (small, other) = (z, cost - z);
    (*alpha, *rest) = if swapped { (other, small) } else { (small, other) };
    (*alpha - before, gradient)
}

fn check(rows: &[Row], dimension: usize) -> Result<(), Error> {
    for (at, row) in rows.iter().enumerate() {
        let finite = row.features.iter().all(|(_, value)| value.is_finite());
        if !finite || !row.weight.is_finite() || row.weight <= 0.0 {
            return Err(Error::NotFinite { row: at });
        }
        let beyond = |feature: u32| usize::try_from(feature).is_ok_and(|place| place >= dimension);
        if let Some((feature, _)) = row.features.iter().find(|(feature, _)| beyond(*feature)) {
            return Err(Error::OutOfRange { row: at, feature: *feature, dimension });
        }
    }
    let positive = rows.iter().filter(|row| row.is_positive).count();
    if positive == 0 || positive == rows.len() {
        return Err(Error::OneClass { rows: rows.len() });
    }
    Ok(())
}

fn sign(row: &Row) -> f64 {
    if row.is_positive { 1.0 } else { -1.0 }
}

fn square(row: &Row) -> f64 {
    row.features.iter().map(|(_, value)| f64::from(*value).powi(2)).sum()
}

fn dot(weights: &[f64], bias: usize, row: &Row) -> f64 {
    let of = |(feature, value): &(u32, f32)| {
        let at = usize::try_from(*feature).unwrap_or(usize::MAX);
        weights.get(at).copied().unwrap_or_default() * f64::from(*value)
    };
    row.features.iter().map(of).sum::<f64>() + weights.get(bias).copied().unwrap_or_default()
}

fn add(weights: &mut [f64], bias: usize, row: &Row, by: f64) {
    for (feature, value) in &row.features {
        let at = usize::try_from(*feature).unwrap_or(usize::MAX);
        if let Some(weight) = weights.get_mut(at) {
            *weight += by * f64::from(*value);
        }
    }
    if let Some(weight) = weights.get_mut(bias) {
        *weight += by;
    }
}

/// Fisher and Yates, as Durstenfeld has it.
fn shuffle(order: &mut [usize], random: &SeededEntropy) {
    for last in (1..order.len()).rev() {
        order.swap(last, random.below(last + 1));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(features: &[(u32, f32)], is_positive: bool, weight: f64) -> Row {
        Row { features: features.to_vec(), is_positive, weight }
    }

    /// The gradient of what is minimized, `|w|^2 / 2 + sum of C_i log(1 + exp(-y_i w x_i))`.
    fn gradient(model: &Linear, rows: &[Row], cost: f64) -> Vec<f64> {
        let mut out: Vec<f64> = model.weights.iter().map(|w| f64::from(*w)).collect();
        out.push(f64::from(model.bias));
        let last = out.len() - 1;
        for row in rows {
            let margin = sign(row) * f64::from(model.score(&row.features));
            let pull = -cost * row.weight * sign(row) / (1.0 + margin.exp());
            for (feature, value) in &row.features {
                out[*feature as usize] += pull * f64::from(*value);
            }
            out[last] += pull;
        }
        out
    }

    #[test]
    fn a_problem_of_one_feature_has_the_solution_of_its_equation() {
        // Two rows, x = 1 of either class with weights 3 and 1: w and the bias pull alike, so
        // w = b and w = 3 s(-2w) - s(2w), of which bisection finds the root.
        let rows = [row(&[(0, 1.0)], true, 3.0), row(&[(0, 1.0)], false, 1.0)];
        let s = |x: f64| 1.0 / (1.0 + (-x).exp());
        let f = |w: f64| 3.0 * s(-2.0 * w) - s(2.0 * w) - w;
        let (mut low, mut high) = (0.0, 3.0);
        for _ in 0..100 {
            let middle = (low + high) / 2.0;
            if f(middle) > 0.0 { low = middle } else { high = middle }
        }
        let fit = Fit { tolerance: 1e-9, ..Fit::default() };
        let model = Linear::fit(&rows, 1, &fit).expect("converges");
        assert!((f64::from(model.weights[0]) - low).abs() < 1e-6, "{model:?} {low}");
        assert!((f64::from(model.bias) - low).abs() < 1e-6);
    }

    #[test]
    fn what_cannot_be_learned_says_why() {
        let one = row(&[(0, 1.0)], true, 1.0);
        let of = |rows: &[Row]| Linear::fit(rows, 2, &Fit::default()).expect_err("refused");
        assert_eq!(of(std::slice::from_ref(&one)), Error::OneClass { rows: 1 });
        assert_eq!(of(&[]), Error::OneClass { rows: 0 });
        let far = row(&[(2, 1.0)], false, 1.0);
        assert_eq!(of(&[one.clone(), far]), Error::OutOfRange { row: 1, feature: 2, dimension: 2 });
        let none = row(&[(1, f32::NAN)], false, 1.0);
        assert_eq!(of(&[one.clone(), none]), Error::NotFinite { row: 1 });
        let free = row(&[], false, 0.0);
        assert_eq!(of(&[one.clone(), free]), Error::NotFinite { row: 1 });
        let fit = Fit { rounds_max: 1, tolerance: 1e-12, ..Fit::default() };
        let both = [one, row(&[(0, 0.9)], false, 1.0)];
        assert!(matches!(Linear::fit(&both, 2, &fit), Err(Error::NotConverged { rounds: 1, .. })));
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let features = proptest::collection::vec((0_u32..8, -2.0_f32..2.0), 0..6);
        let row = (features, any::<bool>(), 0.1_f64..5.0)
            .prop_map(|(features, is_positive, weight)| Row { features, is_positive, weight });
        proptest::collection::vec(row, 2..30)
    }

    proptest! {
        #[test]
        fn it_ends_at_the_optimum(rows in rows(), cost in 0.05_f64..20.0) {
            let fit = Fit { cost, tolerance: 1e-7, rounds_max: 20_000, seed: 3 };
            let positive = rows.iter().filter(|row| row.is_positive).count();
            prop_assume!(positive > 0 && positive < rows.len());
            let model = Linear::fit(&rows, 8, &fit).expect("converges");
            // Weights are rounded to f32, whose error the rows' costs multiply.
            let bound = 1e-4 * (1.0 + cost) * rows.iter().map(|row| row.weight).sum::<f64>();
            for part in gradient(&model, &rows, cost) {
                prop_assert!(part.abs() < bound, "{part} of {bound}");
            }
            prop_assert_eq!(&model, &Linear::fit(&rows, 8, &fit).expect("converges"));
        }
    }
}
