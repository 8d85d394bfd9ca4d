//! `GET /metrics`: everything since the server's start, for Prometheus, in the OpenMetrics text format.
//!
//! Units are seconds and bytes. Nothing here is ever reset: what `POST /report/reset` begins anew is the
//! report.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;
use tessera_sim::{ChannelReport, ZoneReport};

use super::health::State;
use super::supervision::Supervision;
use super::{Facts, Ops, ended};
use crate::clock;
use crate::memory;
use crate::net::{SendTally, Traffic};
use crate::tally::{Buckets, ZoneTally};
use crate::tick::Account;

mod help;
mod page;

use page::{BYTES, Label, NO_LABELS, Page, SECONDS, label};

/// The media type of the format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn metrics(Shared(ops): Shared<Arc<Ops>>) -> Response {
    let Some(account) = ops.asker.account().await else {
        return ended();
    };
    match ops.scrape(account, memory::resident_bytes().await).page() {
        Ok(page) => ([(header::CONTENT_TYPE, OPEN_METRICS)], page).into_response(),
        // Writing to a string fails only where a metric is described wrongly.
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// The counters that were told last. Those of a client that leaves go from one sum to another, and who
/// reads between the two would see less than before, which Prometheus takes for a restart.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<BTreeMap<&'static str, u64>>);

impl Told {
    /// The counters, none less than it was.
    fn at_least(&self, mut counters: BTreeMap<&'static str, u64>) -> BTreeMap<&'static str, u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, count) in &mut counters {
            *count = told.get(name).map_or(*count, |told| *told.max(count));
        }
        told.clone_from(&counters);
        counters
    }
}

/// What one answer is made of.
#[derive(Debug)]
struct Scrape {
    facts: Facts,
    state: State,
    tick: u32,
    clients: usize,
    uptime_s: f64,
    cpu_s: f64,
    rss_bytes: u64,
    account: Account,
    sent: SendTally,
    traffic: Traffic,
    /// The network's, by name.
    counters: BTreeMap<&'static str, u64>,
}

impl Ops {
    fn scrape(&self, account: Account, rss_bytes: u64) -> Scrape {
        let mut traffic = self.network.traffic();
        let mut counters = self.network.counters();
        counters.insert(BYTES_DOWN, traffic.bytes_down);
        counters.insert(BYTES_UP, traffic.bytes_up);
        let mut counters = self.told.at_least(counters);
        let mut take = |name| counters.remove(name).unwrap_or_default();
        traffic.bytes_down = take(BYTES_DOWN);
        traffic.bytes_up = take(BYTES_UP);
        Scrape {
            facts: self.facts.clone(),
            state: self.state(),
            tick: self.pulse.tick().0,
            clients: self.clients(),
            uptime_s: self.uptime_s(),
            cpu_s: clock::process_cpu_ns() as f64 / 1e9,
            rss_bytes,
            account,
            sent: self.network.sent_since_start(),
            traffic,
            counters,
        }
    }
}

const BYTES_DOWN: &str = "bytes_down";
const BYTES_UP: &str = "bytes_up";

impl Scrape {
    fn page(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("tessera");
        registry.register_collector(Box::new(self));
        let mut page = String::new();
        text::encode(&mut page, &registry)?;
        Ok(page)
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.process(&mut page)?;
        self.ticks(&mut page)?;
        self.zones(&mut page)?;
        self.supervision(&mut page)?;
        self.channels(&mut page)?;
        self.clients(&mut page)?;
        self.counters(&mut page)
    }
}

impl Scrape {
    fn process(&self, page: &mut Page<'_>) -> fmt::Result {
        let facts = [
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("commit", self.facts.commit.clone()),
            ("python", self.facts.python.clone()),
            ("mode", self.facts.mode.clone()),
            ("map", self.facts.map.clone()),
        ];
        page.info("server", "What runs", &facts)?;
        page.gauge("uptime", SECONDS, "Since the start", self.uptime_s)?;
        page.gauge(
            "ready",
            None,
            "1 while a new client would be let in",
            u32::from(self.state == State::Ready),
        )?;
        page.counters(
            "process_cpu",
            SECONDS,
            "Processor time, over all threads",
            [(NO_LABELS, self.cpu_s)],
        )?;
        page.gauge(
            "process_resident_memory",
            BYTES,
            "Memory that is resident, of the server and of the processes that zones run in; pages that \
             they share count once",
            self.rss_bytes,
        )
    }

    fn ticks(&self, page: &mut Page<'_>) -> fmt::Result {
        let tally = &self.account.tally;
        let budget_s = 1.0 / f64::from(self.facts.tick_hz);
        page.gauge("tick_number", None, "The newest tick", self.tick)?;
        page.gauge(
            "tick_budget",
            SECONDS,
            "From one tick to the next",
            budget_s,
        )?;
        page.counters("ticks", None, "Ticks run", [(NO_LABELS, tally.ticks)])?;
        page.counters(
            "ticks_missed",
            None,
            "Ticks that ended after the next was due, and ticks that were left out",
            [("late", tally.late), ("skipped", tally.skipped)]
                .map(|(reason, count)| ([("reason", reason.to_owned())], count)),
        )?;
        page.histograms(
            "tick_duration",
            "From when a tick was due to its end",
            [(NO_LABELS, &tally.duration)],
        )?;
        page.histograms(
            "tick_start_jitter",
            "From when a tick was due to its start",
            [(NO_LABELS, &tally.start_jitter)],
        )?;
        let stages = [
            ("commands", &tally.commands),
            ("zones", &tally.zones_stage),
            ("barrier", &tally.barrier),
            ("snapshot", &tally.snapshot),
            ("network", &self.sent.duration),
            ("network_interest", &self.sent.interest),
            ("network_encode", &self.sent.encode),
        ];
        page.histograms(
            "stage_duration",
            "The parts of a tick; the network's run beside the next tick",
            stages.map(|(stage, buckets)| ([("stage", stage.to_owned())], buckets)),
        )?;
        page.histograms(
            "state_age",
            "From when a tick was due until its state was on the way to all clients",
            [(NO_LABELS, &self.sent.state_age)],
        )
    }

    fn zones(&self, page: &mut Page<'_>) -> fmt::Result {
        let zones = self.account.tally.zones.iter().enumerate();
        let stages = zones.flat_map(|(at, zone)| {
            let stage = |stage: &str| [("zone", at.to_string()), ("stage", stage.to_owned())];
            stages_of(zone).map(|(name, buckets)| (stage(name), buckets))
        });
        page.histograms(
            "zone_stage_cpu",
            "Processor time of a zone's thread for a tick",
            stages,
        )?;
        let gauges: [(&str, &str, OfZone); 2] = [
            ("zone_entities", "Entities that it runs", |zone| {
                zone.entities
            }),
            (
                "zone_entities_max",
                "The most entities that it ran in one tick",
                |zone| zone.entities_max,
            ),
        ];
        for (name, help, of) in gauges {
            page.gauges(name, None, help, self.each_zone(of))?;
        }
        let counters: [(&str, &str, OfZone); 4] = [
            ("zone_handoffs_in", "Entities that came", |zone| {
                zone.handoffs_in
            }),
            ("zone_handoffs_out", "Entities that went", |zone| {
                zone.handoffs_out
            }),
            (
                "zone_messages_sent",
                "Messages that its entities sent, wherever to",
                |zone| zone.messages_sent,
            ),
            ("zone_hook_errors", "Hooks that raised", |zone| {
                zone.hooks.failures
            }),
        ];
        for (name, help, of) in counters {
            page.counters(name, None, help, self.each_zone(of))?;
        }
        let totals = &self.account.totals;
        page.counters(
            "messages_undeliverable",
            None,
            "Messages to entities that had ended",
            [(NO_LABELS, totals.undeliverable)],
        )?;
        page.counters(
            "commands_without_entity",
            None,
            "Commands of clients that own no entity",
            [(NO_LABELS, totals.commands_without_entity)],
        )?;
        let Some(forks) = totals.forks else {
            return Ok(());
        };
        page.counters(
            "zone_processes",
            None,
            "Processes that were started for zones, by how: as a fork of one that has loaded the mode, or \
             as a program of its own, which takes ten times as long",
            [
                ([label("start", "fork")], forks.forks),
                ([label("start", "program")], forks.programs),
            ],
        )?;
        page.counters(
            "fork_servers_lost",
            None,
            "Processes that others were forked from and that ended though nobody wanted that",
            [(NO_LABELS, forks.ends)],
        )
    }

    fn each_zone(&self, of: fn(&ZoneReport) -> u64) -> impl Iterator<Item = ([Label; 1], u64)> {
        let zones = self.account.totals.zones.iter();
        zones.map(move |zone| ([label("zone", zone.zone.0)], of(zone)))
    }

    /// Only what is measured: a metric without samples would say that there is nothing to see.
    fn supervision(&self, page: &mut Page<'_>) -> fmt::Result {
        let zones = self.account.totals.zones.iter();
        let zones: Vec<_> = zones
            .map(|zone| (label("zone", zone.zone.0), Supervision::of(zone)))
            .collect();
        let each = |of: fn(&Supervision) -> Option<u64>| -> Vec<_> {
            let zones = zones.iter();
            zones
                .filter_map(|(zone, seen)| Some(([zone.clone()], of(seen)?)))
                .collect()
        };
        let restarts: Vec<_> = zones
            .iter()
            .flat_map(|(zone, seen)| {
                let reasons = seen.restarts.iter().flatten();
                reasons.map(|(reason, count)| ([zone.clone(), ("reason", reason.clone())], *count))
            })
            .collect();
        if !restarts.is_empty() {
            page.counters("zone_restarts", None, "Interpreters started anew", restarts)?;
        }
        let counters: [(&str, &str, OfSupervision); 3] = [
            (
                "zone_budget_overruns",
                "Hooks that took longer than their budget",
                |seen| seen.budget_overruns,
            ),
            (
                "zone_preemptions",
                "Hooks that were ended for taking too long",
                |seen| seen.preemptions,
            ),
            (
                "zone_memory_denied",
                "Allocations denied by the zone's limit",
                |seen| seen.memory_denied,
            ),
        ];
        for (name, help, of) in counters {
            let samples = each(of);
            if !samples.is_empty() {
                page.counters(name, None, help, samples)?;
            }
        }
        let gauges: [(&str, &str, OfSupervision); 3] = [
            ("zone_memory", "Allocated by its interpreter", |seen| {
                seen.memory_bytes
            }),
            ("zone_memory_peak", "The most that it had", |seen| {
                seen.memory_peak_bytes
            }),
            ("zone_memory_limit", "The most that it may have", |seen| {
                seen.memory_limit_bytes
            }),
        ];
        for (name, help, of) in gauges {
            let samples = each(of);
            if !samples.is_empty() {
                page.gauges(name, BYTES, help, samples)?;
            }
        }
        Ok(())
    }

    fn channels(&self, page: &mut Page<'_>) -> fmt::Result {
        let each = |of: fn(&ChannelReport) -> u64| {
            let zones = self.account.totals.zones.iter();
            zones.flat_map(move |zone| {
                let channels = zone.channels.iter();
                channels.map(move |channel| {
                    let labels = [label("zone", zone.zone.0), label("to", channel.to.0)];
                    (labels, of(channel))
                })
            })
        };
        page.counters(
            "channel_messages",
            None,
            "Records and messages carried to another zone",
            each(|channel| channel.messages),
        )?;
        page.counters(
            "channel",
            BYTES,
            "Carried to another zone",
            each(|channel| channel.bytes),
        )?;
        page.counters(
            "channel_refused",
            None,
            "Messages refused since a tick's batch was full",
            each(|channel| channel.refused),
        )?;
        page.gauges(
            "channel_depth_max",
            None,
            "The most that waited at once: one tick's worth",
            each(|channel| channel.depth_max),
        )
    }

    fn clients(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            "clients",
            None,
            "Clients in the match, those included who may come back",
            self.clients as u64,
        )?;
        page.gauge(
            "clients_max",
            None,
            "Slots for clients",
            u32::from(self.facts.clients_max),
        )?;
        page.gauges(
            "connections_open",
            None,
            "Clients that are connected",
            [
                ("player", self.traffic.players),
                ("spectator", self.traffic.spectators),
            ]
            .map(|(role, count)| ([("role", role.to_owned())], count as u64)),
        )?;
        let directions = [
            ("down", self.traffic.bytes_down),
            ("up", self.traffic.bytes_up),
        ];
        page.counters(
            "network",
            BYTES,
            "UDP payload to (down) and from (up) all clients",
            directions
                .map(|(direction, bytes)| ([("direction", direction.to_owned())], bytes as f64)),
        )?;
        page.counters(
            "full_snapshots",
            None,
            "Times that a client was told everything anew",
            self.sent
                .full_snapshots()
                .map(|(reason, count)| ([("reason", reason.to_owned())], count)),
        )
    }

    /// All of the network's own: the refusals by reason, each other as a metric of its own.
    fn counters(&self, page: &mut Page<'_>) -> fmt::Result {
        let refused = self.counters.iter().filter_map(|(name, count)| {
            let reason = name.strip_prefix(REFUSED)?;
            Some(([("reason", reason.to_owned())], *count))
        });
        page.counters(
            "joins_refused",
            None,
            "Hellos that the door refused",
            refused,
        )?;
        for (name, count) in &self.counters {
            if !name.starts_with(REFUSED) {
                page.counters(name, None, help::of(name), [(NO_LABELS, *count)])?;
            }
        }
        Ok(())
    }
}

/// How the names of counters begin that are one counter with a reason.
const REFUSED: &str = "refused_";

fn stages_of(zone: &ZoneTally) -> [(&'static str, &Buckets); 5] {
    [
        ("script", &zone.script),
        ("gather", &zone.gather),
        ("exchange", &zone.exchange),
        ("snapshot", &zone.snapshot),
        ("gc", &zone.gc),
    ]
}

type OfZone = fn(&ZoneReport) -> u64;
type OfSupervision = fn(&Supervision) -> Option<u64>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_never_go_back() {
        let told = Told::default();
        let of = |joined, left| BTreeMap::from([("joined", joined), ("left", left)]);
        assert_eq!(told.at_least(of(5, 1)), of(5, 1));
        assert_eq!(told.at_least(of(3, 2)), of(5, 2));
        assert_eq!(told.at_least(of(6, 2)), of(6, 2));
    }

    #[test]
    fn every_counter_of_the_network_is_explained() {
        let counters = crate::net::Counters::default().with(std::iter::empty());
        for name in counters.keys().filter(|name| !name.starts_with(REFUSED)) {
            assert!(!help::of(name).is_empty(), "no help for {name}");
        }
    }
}
