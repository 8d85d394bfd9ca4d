//! A made-up run: every part of the report filled, from a fixed seed.

use std::collections::BTreeMap;

use loadtest::args::Scenario;
use loadtest::report::Report;
use loadtest::report::detail::{
    ChaosDetail, ClientRow, ClientSecond, Conditions, Deeds, Detail, HookErrors, Second, Ticks,
};
use loadtest::report::schema::{
    Baseline, ChannelReport, ChaosReport, ClientsReport, HostileReport, LinkCounts, NetworkReport,
    Percentiles, ReportJson, Run, SCHEMA, ServerReport, Stages, TickReport, WireReport, ZoneReport,
};

/// A small generator; the numbers only have to look like a run.
struct Noise(u64);

impl Noise {
    fn unit(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Right-skewed like latencies: `median` times a long tail.
    fn latency(&mut self, median: f64) -> f64 {
        let normal: f64 = (0..6).map(|_| self.unit()).sum::<f64>() - 3.0;
        let tail = if self.unit() < 0.004 {
            1.0 + 2.5 * self.unit()
        } else {
            1.0
        };
        median * (normal * 0.25).exp() * tail
    }

    fn percentiles(&mut self, median: f64) -> Percentiles {
        let mut values: Vec<f64> = (0..2_000).map(|_| self.latency(median)).collect();
        percentiles(&mut values)
    }
}

fn percentiles(values: &mut [f64]) -> Percentiles {
    values.sort_by(f64::total_cmp);
    let at = |q: f64| values[((values.len() - 1) as f64 * q) as usize];
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    Percentiles {
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: at(1.0),
        mean,
    }
}

fn buckets(values: &[f64]) -> Vec<(f64, u64)> {
    let mut counts = BTreeMap::new();
    for value in values {
        *counts
            .entry((value.ln() * 40.0).round() as i64)
            .or_insert(0) += 1;
    }
    counts
        .into_iter()
        .map(|(k, n)| ((k as f64 / 40.0).exp(), n))
        .collect()
}

fn counts(values: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let named = values.iter().map(|(name, n)| ((*name).to_owned(), *n));
    named.collect()
}

/// A run of 60 s with 100 players in 4 zones that goes well.
pub(crate) fn run() -> Report {
    run_of(4, 60, 2_900.0)
}

/// A run with this many zones and seconds and about this median tick.
pub(crate) fn run_of(zones: u32, seconds: usize, tick_us: f64) -> Report {
    let mut noise = Noise(7);
    let (hz, players) = (64usize, 100usize);
    let durations: Vec<f64> = (0..hz * seconds)
        .map(|i| {
            let wave = 1.0 + 0.22 * (i as f64 / 700.0).sin() + if i % 64 == 0 { 0.25 } else { 0.0 };
            noise.latency(tick_us * wave)
        })
        .collect();
    let jitters: Vec<f64> = durations.iter().map(|_| noise.latency(58.0)).collect();
    let ages: Vec<f64> = (0..60_000).map(|_| noise.latency(6_100.0)).collect();
    let acks: Vec<f64> = (0..60_000).map(|_| noise.latency(31_000.0)).collect();
    let corrections: Vec<f64> = (0..20_000).map(|_| noise.latency(6_000.0)).collect();
    let pasts: Vec<f64> = (0..20_000).map(|_| noise.latency(42_000.0)).collect();

    let stage = |noise: &mut Noise| Stages {
        commands: noise.latency(60.0),
        zones: noise.latency(2_300.0),
        barrier: noise.latency(260.0),
        snapshot: noise.latency(130.0),
        network: noise.latency(1_500.0),
    };
    let second = |t: usize, noise: &mut Noise| {
        let p = percentiles(&mut durations[t * hz..(t + 1) * hz].to_vec());
        Second {
            t_s: t as f64,
            ticks: hz as u64,
            missed: durations[t * hz..(t + 1) * hz]
                .iter()
                .filter(|d| **d > 15_625.0)
                .count() as u64,
            p50_us: p.p50,
            p95_us: p.p90,
            max_us: p.max,
            stages_mean_us: stage(noise),
        }
    };
    let detail = Detail {
        ticks: Ticks {
            first_tick: 192,
            duration_us: durations.iter().map(|d| *d as u32).collect(),
            start_jitter_us: jitters.iter().map(|d| *d as u32).collect(),
            skips: Vec::new(),
        },
        seconds: (0..seconds).map(|t| second(t, &mut noise)).collect(),
        duration: buckets(&durations),
        jitter: buckets(&jitters),
        snapshot_age: buckets(&ages),
        input_ack: buckets(&acks),
        correction: buckets(&corrections),
        interpolation: buckets(&pasts),
        client_seconds: (0..seconds)
            .map(|t| ClientSecond {
                t_s: t as f64,
                age_p50_us: noise.latency(6_000.0),
                age_p99_us: noise.latency(11_000.0),
                ack_p50_us: noise.latency(30_000.0),
                ack_p99_us: noise.latency(42_000.0),
                bytes_down: noise.latency(1.2e6) as u64,
                bytes_up: noise.latency(0.8e6) as u64,
                connected: players,
            })
            .collect(),
        clients: (0..players)
            .map(|i| ClientRow {
                name: format!("bot {i:03}"),
                snapshot_age_us: noise.percentiles(6_000.0),
                input_ack_us: noise.percentiles(31_000.0),
                bytes_down_per_s: noise.latency(12_000.0),
                bytes_up_per_s: noise.latency(8_000.0),
                states: 3_822,
                commands: 3_840,
                unacknowledged: (noise.unit() * 4.0) as u64,
                settled: 3_838,
                missed: u64::from(i % 4 == 0),
                dropped: (i == 41).then(|| "timed out".to_owned()),
            })
            .collect(),
        counters: [
            ("garbage_datagrams", 0),
            ("commands_late", 312),
            ("states_sent", 384_000),
        ]
        .into_iter()
        .map(|(name, n)| (name.to_owned(), n))
        .collect(),
        hook_errors: vec![HookErrors {
            hook: "Player.on_hit".into(),
            line: "royale/player.py:120 <&>".into(),
            count: 3,
        }],
        chaos: Some(ChaosDetail {
            planned: counts(&[
                ("endless_loop", 132),
                ("huge_regex", 122),
                ("raise_in_tick", 770),
            ]),
            restarts: counts(&[("gone", 0), ("stuck", 122)]),
            exhausted: 0,
            preemptions: 262,
            coasted: 71_000,
            rests: 262,
            memory_denied: 128,
            late_ticks: 40,
            rss_mib_before: 84.2,
        }),
        deeds: Deeds {
            metres: 21_400.0,
            firing: 31_000,
            jumping: 9_000,
            events: 4_100,
            alive: 61,
        },
        conditions: Conditions {
            command: "cargo run --release -p loadtest -- --players 100 --zones 4".into(),
            started: "2026-11-23T02:40:00Z".into(),
            system: "Linux 6.1".into(),
            memory_gib: 24.0,
            bots_cpu_s: 31.2,
            bots_nice: 5,
            stolen_cpu_s: 0.3,
            work_us: noise.percentiles(100.0),
            load_before: 0.42,
            local_server: true,
        },
    };
    let zone = |zone: u32, noise: &mut Noise| ZoneReport {
        zone,
        entities_max: 80 + u64::from(zone) * 13,
        script_us: noise.percentiles(1_900.0),
        gather_us: noise.percentiles(24.0),
        exchange_us: noise.percentiles(90.0),
        gc_us: noise.percentiles(45.0),
        memory_bytes: 6 << 20,
        memory_peak_bytes: 7 << 20,
        restarts: 0,
        handoffs_in: 310,
        handoffs_out: 305,
        channels: (0..zones)
            .filter(|to| *to != zone)
            .map(|to| ChannelReport {
                to,
                messages: 48_000,
                bytes: noise.latency(if (to ^ zone) == 3 {
                    90_000.0
                } else {
                    2_400_000.0
                }) as u64,
                depth_max: 41,
                refused: u64::from(zone == 2 && to == 3) * 17,
            })
            .collect(),
    };
    let stages = Stages {
        commands: noise.percentiles(60.0),
        zones: noise.percentiles(2_300.0),
        barrier: noise.percentiles(260.0),
        snapshot: noise.percentiles(130.0),
        network: noise.percentiles(1_500.0),
    };
    let missed = durations.iter().filter(|d| **d > 15_625.0).count() as u64;
    let json = ReportJson {
        schema: SCHEMA,
        run: Run {
            commit: "728f358+".into(),
            cpu: "AMD EPYC".into(),
            cores: 2,
            python: "3.13.5".into(),
            players,
            zones: zones as usize,
            tick_hz: hz as u32,
            duration_s: seconds as f64,
            seed: 7,
            scenario: Scenario::Hostile,
            mode: "royale".into(),
            map: "karst".into(),
        },
        tick: TickReport {
            run: (hz * seconds) as u64,
            missed,
            duration_us: percentiles(&mut durations.clone()),
            start_jitter_us: percentiles(&mut jitters.clone()),
            stages_us: stages,
        },
        zones: (0..zones).map(|z| zone(z, &mut noise)).collect(),
        clients: ClientsReport {
            joined: players,
            dropped: 1,
            snapshot_age_us: percentiles(&mut ages.clone()),
            input_ack_us: percentiles(&mut acks.clone()),
            bytes_down_per_s: noise.percentiles(12_000.0),
            bytes_up_per_s: noise.percentiles(8_000.0),
            playing: players,
            commands_sent: 384_000,
            commands_settled: 383_800,
            commands_applied: 383_775,
            correction_cm: percentiles(&mut corrections.clone()).scaled(1e-4),
            interpolation_ms: percentiles(&mut pasts.clone()).scaled(1e-3),
            staleness_ticks_max: 9,
        },
        wire: Some(WireReport {
            interest_us: noise.percentiles(140.0),
            encode_us: noise.percentiles(420.0),
            state_us: noise.percentiles(560.0),
            full_snapshots: counts(&[("first", 100), ("baseline_too_old", 7)]),
            rewritten: 310,
            bits_per_entity: noise.percentiles(38.0),
        }),
        network: Some(NetworkReport {
            rtt_ms: 40.0,
            jitter_ms: 8.0,
            loss_percent: 2.0,
            reorder_percent: 1.0,
            rate_kbit: 2_000.0,
            up: LinkCounts {
                forwarded: 385_000,
                lost: 7_850,
                reordered: 3_700,
                queue_drops: 0,
            },
            down: LinkCounts {
                forwarded: 371_000,
                lost: 7_600,
                reordered: 3_600,
                queue_drops: 12_400,
            },
            late_us: noise.percentiles(80.0),
        }),
        hostile: Some(HostileReport {
            baseline: Baseline {
                duration_s: 20.0,
                tick_duration_us: noise.percentiles(tick_us),
                snapshot_age_us: noise.percentiles(6_000.0),
                rss_mib: 140.1,
            },
            thrown: counts(&[
                ("datagrams: random bytes", 7_530),
                ("hellos: twice", 44),
                ("commands: not finite", 3_830),
                ("handshakes: begun and abandoned", 960),
            ]),
            ended: counts(&[("garbage on the control stream", 176), ("bad name", 132)]),
            let_in: counts(&[]),
            counted: counts(&[("datagrams_bad", 9_120), ("commands_not_finite", 3_827)]),
        }),
        chaos: Some(ChaosReport {
            faults: counts(&[
                ("endless_loop", 131),
                ("huge_regex", 122),
                ("raise_in_tick", 760),
            ]),
            aftermath: 118,
            dropped: 1,
            lost: 0,
            doubled: 0,
            restart_ticks: Percentiles {
                p50: 1.0,
                p90: 1.0,
                p99: 2.0,
                p999: 3.0,
                max: 3.0,
                mean: 1.1,
            },
            others_late_ticks_max: 0.6,
            rss_growth: 0.012,
        }),
        server: ServerReport {
            cpu_s: 52.4,
            rss_mib_max: 143.2,
            rss_mib_start: 141.9,
            rss_mib_end: 142.6,
        },
    };
    Report { json, detail }
}
