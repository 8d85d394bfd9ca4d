//! How old states were when they arrived.
//!
//! An age is an arrival minus the moment the tick was due, and when a tick was due is known only afterwards: a server that
//! was stopped for a while skips slots of its schedule, and from then on every tick is due later than its number says. So
//! the bots only note arrivals, and the ages are settled at the end with what the server tells about its schedule.

use tessera_protocol::Tick;

use super::fleet::Outcome;
use crate::measure::Distribution;
use crate::server::Timetable;

/// The first datagram of a state that was newer than all before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The state's tick.
    pub tick: Tick,
    /// When it came, in µs since the window began; enough for an hour.
    pub at_us: u32,
}

/// Works out the ages of all arrivals and puts them into the outcome: all together, by the bot, by the second.
pub fn settle(outcome: &mut Outcome, timetable: &Timetable) {
    let began_ns = outcome.began_ns;
    let mut seconds = vec![Distribution::new(2); outcome.totals.seconds.len()];
    let mut own = Distribution::new(3);
    for (client, arrivals) in outcome.clients.iter_mut().zip(&outcome.arrivals) {
        own.clear();
        for arrival in arrivals {
            let due_us = (timetable.due_ns(arrival.tick) - began_ns) / 1_000;
            let age_us = i64::from(arrival.at_us) - due_us;
            own.record(age_us);
            outcome.totals.age.record(age_us);
            if let Some(second) = seconds.get_mut(arrival.at_us as usize / 1_000_000) {
                second.record(age_us);
            }
        }
        client.snapshot_age_us = own.percentiles();
    }
    for (row, ages) in outcome.totals.seconds.iter_mut().zip(&seconds) {
        let ages = ages.percentiles();
        (row.age_p50_us, row.age_p99_us) = (ages.p50, ages.p99);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bot::meter::Totals;
    use crate::report::detail::ClientRow;
    use crate::server::Clock;

    #[test]
    fn ages_come_from_the_schedule_with_its_gaps() {
        let mut totals = Totals::default();
        totals.end_second((0, 0), 1);
        totals.end_second((0, 0), 1);
        // At 10 Hz: tick 3 is due at 300 ms; two slots are skipped before tick 12, which is due at 1,400 ms.
        let timetable = Timetable::new(
            Clock {
                tick: 13,
                due_ns: 1_500_000_000,
            },
            10,
            vec![(12, 2)],
        );
        let arrival = |tick, ms: u32| Arrival {
            tick: Tick(tick),
            at_us: ms * 1_000,
        };
        let mut outcome = Outcome {
            began_ns: 0,
            joined: 1,
            dropped: 0,
            clients: vec![ClientRow::default()],
            arrivals: vec![vec![
                arrival(3, 304),
                arrival(11, 1_106),
                arrival(12, 1_405),
            ]],
            totals,
            deeds: Default::default(),
            counters: Default::default(),
        };
        settle(&mut outcome, &timetable);
        let near =
            |got: f64, want: f64| assert!((got - want).abs() <= want / 50.0, "{got} for {want}");
        near(outcome.clients[0].snapshot_age_us.mean, 5_000.0);
        near(outcome.clients[0].snapshot_age_us.max, 6_000.0);
        near(outcome.totals.seconds[0].age_p50_us, 4_000.0);
        near(outcome.totals.seconds[1].age_p99_us, 6_000.0);
        assert_eq!(outcome.totals.age.count(), 3);
    }
}
