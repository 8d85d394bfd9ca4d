//! What is said of a run: verdicts, and what they leave out.

use super::format;
use super::schema::Percentiles;

/// One target and what the run made of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What is measured.
    pub name: &'static str,
    /// The measured value, for people.
    pub value: String,
    /// The limit, for people.
    pub limit: String,
    /// Measured value as a share of the limit; 1 is at the limit. May exceed 1.
    pub share: f64,
    /// Whether the target is met.
    pub met: bool,
    /// What the number means, in half a sentence.
    pub meaning: &'static str,
}

/// A target that this run can't be judged by, though runs of its sort have it.
#[derive(Clone, Debug, PartialEq)]
pub struct Unjudged {
    /// What would be measured.
    pub name: &'static str,
    /// Why it isn't judged.
    pub why: String,
}

/// What is said of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// All targets that the run can be judged by, in the order in which one wants to read them.
    pub verdicts: Vec<Verdict>,
    /// Those that it can't be judged by.
    pub unjudged: Vec<Unjudged>,
}

impl Judgement {
    /// How many targets are met.
    pub fn met(&self) -> usize {
        self.verdicts.iter().filter(|verdict| verdict.met).count()
    }

    /// Whether all that are judged are met.
    pub fn is_good(&self) -> bool {
        self.met() == self.verdicts.len()
    }

    /// How many are met, of how many, in half a sentence.
    pub fn outcome(&self) -> String {
        let (met, all) = (self.met(), self.verdicts.len());
        match self.unjudged.len() {
            0 => format!("{met} of {all} targets met"),
            unjudged => format!("{met} of {all} targets met, {unjudged} more not judged"),
        }
    }

    /// Which targets aren't judged, a line for each reason.
    pub fn unjudged_in_words(&self) -> Vec<String> {
        let reasons = self.unjudged.chunk_by(|a, b| a.why == b.why);
        let line = |of: &[Unjudged]| {
            let names: Vec<_> = of.iter().map(|unjudged| unjudged.name).collect();
            format!("not judged: {} ({})", names.join("; "), of[0].why)
        };
        reasons.map(line).collect()
    }

    /// Adds a target that is judged.
    pub(super) fn judge(&mut self, verdict: Verdict) {
        self.verdicts.push(verdict);
    }

    /// Adds one that can't be.
    pub(super) fn leave_out(&mut self, name: &'static str, why: &str) {
        let why = why.to_owned();
        self.unjudged.push(Unjudged { name, why });
    }
}

/// The verdict on one number of a distribution of times in µs; it is missed where there is none.
pub(super) fn time_at_most(
    name: &'static str,
    (of, value): (&Percentiles, f64),
    limit: f64,
    meaning: &'static str,
) -> Verdict {
    let verdict = at_most(name, value, limit, format::micros, meaning);
    if of.is_empty() {
        let value = format::NONE.to_owned();
        let met = false;
        return Verdict {
            value,
            met,
            ..verdict
        };
    }
    verdict
}

/// The verdict on a value that must not exceed a limit; `show` writes both.
pub(super) fn at_most(
    name: &'static str,
    value: f64,
    limit: f64,
    show: impl Fn(f64) -> String,
    meaning: &'static str,
) -> Verdict {
    // A limit of zero has no share: it is met entirely or not at all.
    let share = if limit > 0.0 {
        value / limit
    } else if value > 0.0 {
        f64::INFINITY
    } else {
        0.0
    };
    let limit_text = if limit > 0.0 {
        format!("≤ {}", show(limit))
    } else {
        show(limit)
    };
    Verdict {
        name,
        value: show(value),
        limit: limit_text,
        share,
        met: value <= limit,
        meaning,
    }
}
