//! Writes metrics with their descriptions and samples.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::tally::{BOUNDS_NS, Buckets};

pub(super) const SECONDS: Option<&Unit> = Some(&Unit::Seconds);
pub(super) const BYTES: Option<&Unit> = Some(&Unit::Bytes);

/// Name and value.
pub(super) type Label = (&'static str, String);

pub(super) const NO_LABELS: [Label; 0] = [];

pub(super) fn label(name: &'static str, value: impl ToString) -> Label {
    (name, value.to_string())
}

/// The page that is being written.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

impl Page<'_> {
    pub(super) fn gauge<V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        value: V,
    ) -> fmt::Result {
        self.gauges(name, unit, help, [(NO_LABELS, value)])
    }

    pub(super) fn gauges<const N: usize, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        samples: impl IntoIterator<Item = ([Label; N], V)>,
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for (labels, value) in samples {
            match N {
                0 => metric.encode_gauge(&value)?,
                _ => metric.encode_family(&labels)?.encode_gauge(&value)?,
            }
        }
        Ok(())
    }

    pub(super) fn counters<const N: usize, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        samples: impl IntoIterator<Item = ([Label; N], V)>,
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, unit, MetricType::Counter)?;
        for (labels, value) in samples {
            match N {
                0 => metric.encode_counter::<[Label; 0], _, f64>(&value, None)?,
                _ => metric
                    .encode_family(&labels)?
                    .encode_counter::<[Label; 0], _, f64>(&value, None)?,
            }
        }
        Ok(())
    }

    /// In seconds.
    pub(super) fn histograms<'b, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = ([Label; N], &'b Buckets)>,
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, SECONDS, MetricType::Histogram)?;
        let bounds = BOUNDS_NS.map(|ns| ns as f64 / 1e9);
        for (labels, buckets) in samples {
            let bounds = bounds.into_iter().chain([f64::INFINITY]);
            let counts: Vec<_> = bounds.zip(buckets.counts).collect();
            let sum_s = buckets.sum_ns as f64 / 1e9;
            let count = buckets.counts.iter().sum();
            match N {
                0 => metric.encode_histogram::<[Label; 0]>(sum_s, count, &counts, None)?,
                _ => metric
                    .encode_family(&labels)?
                    .encode_histogram::<[Label; 0]>(sum_s, count, &counts, None)?,
            }
        }
        Ok(())
    }

    pub(super) fn info<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: &[Label; N],
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Info)?;
        metric.encode_info(labels)
    }
}
