//! How well attacks are told from honest texts: recall, false alarms and the area under the
//! curve, with intervals.
//!
//! Sources: Fawcett, An introduction to ROC analysis, 2006 (the curve, ties, the area as the
//! Mann-Whitney statistic); Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
//! chapter 13 (percentile intervals).

use bartizan_core::sim::SeededEntropy;
use serde::Serialize;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 1000;
/// The middle of the resamples that an interval spans, in parts of a thousand.
const SPAN: usize = 950;

/// One text: what it is, and what was said of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    pub is_attack: bool,
    /// From 0 to 1; higher is worse.
    pub score: f64,
    /// Whether it is over the threshold that ships.
    pub is_flagged: bool,
}

/// A figure with the interval that holds 95 of 100 resamples of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// Recall where at most this part of honest texts is flagged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RecallAt {
    pub false_positives: f64,
    pub recall: Interval,
}

/// How well some texts were told apart. Figures that need attacks, or honest texts, are absent
/// where there are none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measures {
    pub attacks: u64,
    pub honest: u64,
    /// Attacks over the threshold that ships, of all attacks.
    pub recall: Option<f64>,
    /// Honest texts over it, of all honest ones.
    pub false_positives: Option<f64>,
    pub auc: Option<Interval>,
    pub recall_at: Vec<RecallAt>,
}

/// The points of the curve at which recall is told.
pub const POINTS: &[f64] = &[0.01, 0.05];

/// Measures how well the samples are told apart. The same samples and seed give the same.
pub fn measure(samples: &[Sample], seed: u64) -> Measures {
    let of = |attack: bool| samples.iter().filter(move |one| one.is_attack == attack);
    let part = |attack: bool| {
        let all = of(attack).count();
        let flagged = of(attack).filter(|one| one.is_flagged).count();
        (all > 0).then(|| ratio(flagged, all))
    };
    let mut measures = Measures {
        attacks: u64::try_from(of(true).count()).unwrap_or(u64::MAX),
        honest: u64::try_from(of(false).count()).unwrap_or(u64::MAX),
        recall: part(true),
        false_positives: part(false),
        auc: None,
        recall_at: Vec::new(),
    };
    if measures.attacks == 0 || measures.honest == 0 {
        return measures;
    }
    let curve = Curve::of(samples);
    let whole = curve.figures(&vec![1; samples.len()]);
    let random = SeededEntropy::new(seed);
    let mut resampled: Vec<Vec<f64>> = vec![Vec::with_capacity(RESAMPLES); whole.len()];
    let mut times = vec![0_u32; samples.len()];
    for _ in 0..RESAMPLES {
        times.fill(0);
        for _ in samples {
            if let Some(time) = times.get_mut(random.below(samples.len())) {
                *time += 1;
            }
        }
        for (figures, figure) in resampled.iter_mut().zip(curve.figures(&times)) {
            figures.push(figure);
        }
    }
    let mut intervals = whole.iter().zip(resampled).map(|(value, mut figures)| {
        figures.sort_by(f64::total_cmp);
        let cut = RESAMPLES * (1000 - SPAN) / 2000;
        let at = |place: usize| figures.get(place).copied().unwrap_or(*value);
        Interval { value: *value, low: at(cut), high: at(RESAMPLES - 1 - cut) }
    });
    measures.auc = intervals.next();
    measures.recall_at = POINTS
        .iter()
        .zip(intervals)
        .map(|(point, recall)| RecallAt { false_positives: *point, recall })
        .collect();
    measures
}

#[expect(clippy::cast_precision_loss, reason = "counts of texts are far below 2^52")]
fn ratio(part: usize, all: usize) -> f64 {
    part as f64 / all as f64
}

/// The samples in the order of their scores, highest first, those of one score together.
struct Curve(Vec<Vec<(usize, bool)>>);

impl Curve {
    fn of(samples: &[Sample]) -> Self {
        let mut order: Vec<usize> = (0..samples.len()).collect();
        let score = |at: usize| samples.get(at).map_or(0.0, |one| one.score);
        order.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
        let mut groups: Vec<Vec<(usize, bool)>> = Vec::new();
        let mut last = None;
        for at in order {
            let one = (at, samples.get(at).is_some_and(|one| one.is_attack));
            match groups.last_mut() {
                Some(group) if last == Some(score(at)) => group.push(one),
                _ => groups.push(vec![one]),
            }
            last = Some(score(at));
        }
        Self(groups)
    }

    /// The area under the curve, and recall at each of the points, where sample `i` counts
    /// `times[i]` times.
    fn figures(&self, times: &[u32]) -> Vec<f64> {
        let count = |group: &[(usize, bool)], attack: bool| -> f64 {
            let of = group.iter().filter(|(_, is)| *is == attack);
            of.map(|(at, _)| f64::from(times.get(*at).copied().unwrap_or(0))).sum()
        };
        let all: Vec<(f64, f64)> =
            self.0.iter().map(|group| (count(group, true), count(group, false))).collect();
        let (attacks, honest) =
            all.iter().fold((0.0, 0.0), |(a, h), (attack, other)| (a + attack, h + other));
        // A resample without one of the two tells nothing apart.
        if attacks == 0.0 || honest == 0.0 {
            return [0.5].into_iter().chain(POINTS.iter().map(|_| 0.0)).collect();
        }
        let (mut above, mut alarms, mut area) = (0.0, 0.0, 0.0);
        let mut recalls = vec![0.0_f64; POINTS.len()];
        for (attack, other) in all {
            area += other * (above + attack / 2.0);
            above += attack;
            alarms += other;
            for (recall, point) in recalls.iter_mut().zip(POINTS) {
                if alarms <= point * honest {
                    *recall = above / attacks;
                }
            }
        }
        [area / (attacks * honest)].into_iter().chain(recalls).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn samples(of: &[(bool, f64)]) -> Vec<Sample> {
        of.iter()
            .map(|(is_attack, score)| Sample {
                is_attack: *is_attack,
                score: *score,
                is_flagged: *score >= 0.5,
            })
            .collect()
    }

    #[test]
    fn a_known_curve_has_the_known_area() {
        // Hanley and McNeil, 1982, table I: 58 normal and 51 abnormal images in five ratings; the
        // area by the statistic is 0.893.
        let (normal, abnormal) = ([33, 6, 6, 11, 2], [3, 2, 2, 11, 33]);
        let mut all = Vec::new();
        for (rating, (good, bad)) in (1_u8..).zip(normal.into_iter().zip(abnormal)) {
            let score = f64::from(rating) / 5.0;
            all.extend((0..good).map(|_| (false, score)));
            all.extend((0..bad).map(|_| (true, score)));
        }
        let measured = measure(&samples(&all), 1);
        let auc = measured.auc.expect("both kinds are there");
        assert!((auc.value - 0.893).abs() < 0.0005, "{auc:?}");
        // Their standard error is 0.032: 1.96 of it to either side.
        assert!((auc.low - (0.893 - 0.063)).abs() < 0.02, "{auc:?}");
        assert!((auc.high - (0.893 + 0.063)).abs() < 0.02, "{auc:?}");
        // Nothing is above a rating that some honest image has: at 1 % nothing may be flagged.
        assert_eq!(measured.recall_at[0].recall.value, 0.0);
        // At 5 %, the two normal images of rating 5 may.
        assert!((measured.recall_at[1].recall.value - 33.0 / 51.0).abs() < 1e-12);
        assert_eq!(measured, measure(&samples(&all), 1));
    }

    #[test]
    fn what_cannot_be_told_is_absent() {
        let none = measure(&[], 1);
        assert_eq!((none.recall, none.false_positives, none.auc), (None, None, None));
        let attacks = measure(&samples(&[(true, 0.9), (true, 0.1)]), 1);
        assert_eq!((attacks.recall, attacks.false_positives), (Some(0.5), None));
        assert!(attacks.auc.is_none() && attacks.recall_at.is_empty());
    }

    proptest! {
        #[test]
        fn the_area_is_the_share_of_pairs_in_order(
            of in proptest::collection::vec((any::<bool>(), 0_u8..6), 2..60)
        ) {
            let of: Vec<(bool, f64)> =
                of.into_iter().map(|(attack, score)| (attack, f64::from(score))).collect();
            let (attacks, honest): (Vec<_>, Vec<_>) = of.iter().partition(|(attack, _)| *attack);
            let measured = measure(&samples(&of), 7);
            prop_assume!(!attacks.is_empty() && !honest.is_empty());
            let mut pairs = 0.0;
            for (_, attack) in &attacks {
                for (_, other) in &honest {
                    pairs += if attack > other { 1.0 } else if attack == other { 0.5 } else { 0.0 };
                }
            }
            let expected = pairs / ratio(attacks.len() * honest.len(), 1);
            let auc = measured.auc.expect("both kinds are there");
            prop_assert!((auc.value - expected).abs() < 1e-9);
            prop_assert!(auc.low <= auc.high);
        }
    }
}
