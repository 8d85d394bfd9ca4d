//! From values to coordinates.

/// A monotonic map from values to coordinates. Values outside the domain land on its edge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    log: bool,
    domain: (f64, f64),
    range: (f64, f64),
}

impl Scale {
    /// Equal steps of the value are equal distances.
    pub fn linear(domain: (f64, f64), range: (f64, f64)) -> Scale {
        let high = if domain.1 > domain.0 {
            domain.1
        } else {
            domain.0 + 1.0
        };
        Scale {
            log: false,
            domain: (domain.0, high),
            range,
        }
    }

    /// Equal ratios of the value are equal distances. The domain must be positive.
    pub fn log(domain: (f64, f64), range: (f64, f64)) -> Scale {
        debug_assert!(domain.0 > 0.0, "a logarithm needs positive values");
        let high = if domain.1 > domain.0 {
            domain.1
        } else {
            domain.0 * 10.0
        };
        Scale {
            log: true,
            domain: (domain.0, high),
            range,
        }
    }

    /// The coordinate of a value.
    pub fn at(&self, value: f64) -> f64 {
        let (low, high) = self.domain;
        let value = if value.is_finite() {
            value.clamp(low, high)
        } else {
            high
        };
        let share = match self.log {
            true => (value / low).ln() / (high / low).ln(),
            false => (value - low) / (high - low),
        };
        self.range.0 + share * (self.range.1 - self.range.0)
    }

    /// Lowest and highest value shown.
    pub fn domain(&self) -> (f64, f64) {
        self.domain
    }

    /// Round values for grid lines, ascending, about `wanted` of them, all inside the domain.
    pub fn ticks(&self, wanted: usize) -> Vec<f64> {
        match self.log {
            true => log_ticks(self.domain, wanted),
            false => linear_ticks(self.domain, wanted),
        }
    }
}

fn linear_ticks((low, high): (f64, f64), wanted: usize) -> Vec<f64> {
    let raw = (high - low) / wanted.max(1) as f64;
    let magnitude = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|m| m * magnitude)
        .into_iter()
        .find(|s| *s >= raw * 0.999)
        .unwrap_or(raw);
    let first = (low / step).ceil() as i64;
    let last = (high / step * (1.0 + 1e-9)).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

fn log_ticks((low, high): (f64, f64), wanted: usize) -> Vec<f64> {
    let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let inside = |steps: &[f64]| -> Vec<f64> {
        decades
            .clone()
            .flat_map(|d| steps.iter().map(move |s| s * 10f64.powi(d)))
            .filter(|v| *v >= low * 0.9999 && *v <= high * 1.0001)
            .collect()
    };
    // The finest of the usual subdivisions that isn't crowded.
    [
        &[1.0, 2.0, 3.0, 5.0, 7.0][..],
        &[1.0, 2.0, 5.0],
        &[1.0, 3.0],
        &[1.0],
    ]
    .into_iter()
    .map(inside)
    .find(|ticks| ticks.len() <= wanted.max(2))
    .unwrap_or_else(|| inside(&[1.0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_map_to_ends_and_the_outside_is_clamped() {
        let scale = Scale::log((1.0, 100.0), (0.0, 200.0));
        assert_eq!(
            [0.1, 1.0, 10.0, 100.0, 1e9, f64::INFINITY].map(|v| scale.at(v).round()),
            [0.0, 0.0, 100.0, 200.0, 200.0, 200.0]
        );
        let down = Scale::linear((0.0, 10.0), (50.0, 0.0));
        assert_eq!(
            [-1.0, 0.0, 5.0, 20.0].map(|v| down.at(v)),
            [50.0, 50.0, 25.0, 0.0]
        );
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(
            Scale::linear((0.0, 60.0), (0.0, 1.0)).ticks(6),
            [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
        );
        assert_eq!(Scale::linear((0.0, 0.7), (0.0, 1.0)).ticks(4).len(), 4);
        assert_eq!(
            Scale::log((40.0, 900.0), (0.0, 1.0)).ticks(6),
            [50.0, 100.0, 200.0, 500.0]
        );
        assert_eq!(
            Scale::log((22.0, 95.0), (0.0, 1.0)).ticks(6),
            [30.0, 50.0, 70.0]
        );
        assert_eq!(
            Scale::log((1.0, 10_000.0), (0.0, 1.0)).ticks(5),
            [1.0, 10.0, 100.0, 1_000.0, 10_000.0]
        );
    }

    #[test]
    fn an_empty_domain_still_maps() {
        assert!(Scale::linear((3.0, 3.0), (0.0, 1.0)).at(3.0).is_finite());
        assert!(Scale::log((3.0, 3.0), (0.0, 1.0)).at(3.0).is_finite());
    }
}
