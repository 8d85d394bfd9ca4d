//! Interpolation: what is shown moves as the entity did, evenly, and never back in time.

use std::time::Duration;

use glam::DVec3;
use proptest::prelude::*;
use tessera_client::{Interpolator, Pose, ServerClock};
use tessera_protocol::{CommandAck, Edition, EntityId, StateHeader, Tick};

const HZ: u32 = 64;
const ID: EntityId = EntityId(7);
/// Fastest that the entity moves, metres per second.
const SPEED: f64 = 7.0;

fn header(tick: u32) -> StateHeader {
    StateHeader {
        tick: Tick(tick),
        ack: CommandAck::default(),
        own: EntityId::NONE,
        epoch: 0,
        edition: Edition::default(),
    }
}

/// Runs around a circle, and rests for a while in each round.
fn truth(tick: f64) -> Pose {
    let (round, at) = ((tick / 256.0).floor(), (tick % 256.0).min(192.0));
    let angle = (round * 192.0 + at) / f64::from(HZ);
    let moving = tick % 256.0 < 192.0;
    let velocity = DVec3::new(-angle.sin(), 0.0, angle.cos()) * SPEED;
    Pose {
        position: DVec3::new(angle.cos(), 0.0, angle.sin()) * SPEED,
        velocity: if moving { velocity } else { DVec3::ZERO },
        yaw: 0.0,
        pitch: 0.0,
    }
}

/// What a client saw, at 240 frames a second.
struct Seen {
    clock: ServerClock,
    interpolator: Interpolator,
    /// Moments and positions shown.
    frames: Vec<(f64, DVec3)>,
}

/// Watches for 8 s. `delay` gives each state's way in ms, `None` where it is lost.
fn watch(mut delay: impl FnMut(u32) -> Option<f64>) -> Seen {
    let mut seen = Seen {
        clock: ServerClock::new(Tick(0), HZ),
        interpolator: Interpolator::new(HZ),
        frames: Vec::new(),
    };
    let mut arrivals: Vec<(f64, u32)> = (0..512)
        .filter_map(|tick| Some((f64::from(tick) / f64::from(HZ) + delay(tick)? / 1e3, tick)))
        .collect();
    arrivals.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut arrivals = arrivals.into_iter().peekable();
    let mut newest = None;
    for frame in 0..1920 {
        let now_s = f64::from(frame) / 240.0;
        while let Some((at, tick)) = arrivals.next_if(|(at, _)| *at <= now_s) {
            let now = Duration::from_secs_f64(at);
            seen.clock.handle_state(now, &header(tick));
            // Rest is told until it must have arrived, and then no more: nothing has changed.
            let rests = tick > 16 && truth(tick.into()) == truth(f64::from(tick - 16));
            if newest.is_none_or(|newest| tick > newest) {
                newest = Some(tick);
                if !rests {
                    seen.interpolator
                        .handle_pose(tick.into(), ID, truth(tick.into()));
                }
            }
        }
        let now = Duration::from_secs_f64(now_s);
        if let Some(view) = seen.interpolator.advance(now, &seen.clock)
            && let Some(pose) = seen.interpolator.pose(ID)
        {
            seen.frames.push((view, pose.position));
        }
    }
    seen
}

#[test]
fn on_an_even_way_the_past_is_shown_as_it_was_two_ticks_ago() {
    let seen = watch(|_| Some(40.0));
    let delay_ms = seen.interpolator.delay().as_secs_f64() * 1e3;
    assert!((31.0..33.0).contains(&delay_ms), "{delay_ms}");
    for (view, shown) in &seen.frames[240..] {
        // A chord is as near to the circle as the states are to each other.
        let error = shown.distance(truth(*view).position);
        assert!(error < 0.002, "{error} m at {view}");
    }
}

#[test]
fn the_delay_follows_the_jitter_up_to_a_limit() {
    let delay_ms = |jitter: u32| {
        let seen = watch(|tick| Some(20.0 + f64::from(tick * 7919 % (jitter + 1))));
        seen.interpolator.delay().as_secs_f64() * 1e3
    };
    let (even, uneven, wild) = (delay_ms(0), delay_ms(40), delay_ms(400));
    assert!(even < 33.0, "{even}");
    assert!((50.0..120.0).contains(&uneven), "{uneven}");
    assert!((149.0..151.0).contains(&wild), "{wild}");
}

/// The delay, in ticks, after 16 s beside somebody who is told of every `near` ticks, with somebody in sight
/// 200 m away who is told of every eighth tick.
fn delay_beside(near: u32) -> f64 {
    let mut clock = ServerClock::new(Tick(0), HZ);
    let mut interpolator = Interpolator::new(HZ);
    for tick in 0..1024 {
        let now = Duration::from_secs_f64(f64::from(tick) / f64::from(HZ) + 0.001);
        clock.handle_state(now, &header(tick));
        let walker = Pose {
            position: DVec3::new(f64::from(tick) / f64::from(HZ) * SPEED, 0.0, 0.0),
            velocity: DVec3::new(SPEED, 0.0, 0.0),
            ..truth(0.0)
        };
        interpolator.handle_viewpoint(Some(walker.position));
        if tick % near == 0 {
            interpolator.handle_pose(tick.into(), ID, walker);
        }
        if tick % 8 == 0 {
            let position = walker.position + DVec3::new(0.0, 0.0, 200.0);
            let far = Pose { position, ..walker };
            interpolator.handle_pose(tick.into(), EntityId(8), far);
        }
        interpolator.advance(now, &clock);
    }
    interpolator.delay().as_secs_f64() * f64::from(HZ)
}

#[test]
fn the_delay_follows_those_who_are_near() {
    // Two ticks, and what their words are farther apart than one.
    for (near, ticks) in [(1, 2.0), (2, 3.0), (4, 5.0)] {
        let delay = delay_beside(near);
        assert!(
            (ticks - 0.01..ticks + 0.5).contains(&delay),
            "{delay} ticks for {near}"
        );
    }
}

#[test]
fn only_who_kept_moving_was_waited_for() {
    let mut interpolator = Interpolator::new(HZ);
    let mut tell = |tick: f64, x: f64, speed: f64| {
        let pose = Pose {
            position: DVec3::new(x, 0.0, 0.0),
            velocity: DVec3::new(speed, 0.0, 0.0),
            ..truth(0.0)
        };
        interpolator.handle_pose(tick, ID, pose);
        interpolator.take_waited_ticks()
    };
    assert_eq!(tell(0.0, 0.0, 6.4), 0.0);
    assert_eq!(tell(8.0, 0.8, 6.4), 8.0, "it went on");
    assert_eq!(tell(108.0, 0.8, 6.4), 0.0, "it lay there");
    assert_eq!(tell(109.0, 0.9, 6.4), 1.0);
    assert_eq!(tell(119.0, 80.0, 6.4), 0.0, "it was put elsewhere");
    assert_eq!(tell(129.0, 80.1, 0.03), 0.0, "it nearly rests");
    assert_eq!(tell(229.0, 81.0, 6.4), 0.0, "it goes on again");
    assert_eq!(tell(239.0, 82.0, 0.0), 0.0, "it rests");
}

#[test]
fn an_entity_without_news_goes_on_for_a_tenth_of_a_second() {
    let mut seen = watch(|tick| (tick < 100).then_some(20.0));
    let last = truth(99.0);
    let end = last.position + last.velocity * 0.1;
    let shown = seen.frames.last().expect("frames").1;
    assert!(shown.distance(end) < 1e-6, "{shown} for {end}");
    // And back on the truth a moment after it is told.
    for tick in 500..540 {
        let now = Duration::from_secs_f64(f64::from(tick) / 64.0 + 0.02);
        seen.clock.handle_state(now, &header(tick));
        seen.interpolator
            .handle_pose(tick.into(), ID, truth(tick.into()));
        seen.interpolator.advance(now, &seen.clock);
    }
    let view = seen.interpolator.view_ticks().expect("shown");
    let shown = seen.interpolator.pose(ID).expect("shown").position;
    assert!(shown.distance(truth(view).position) < 0.01);
}

#[test]
fn the_clock_knows_the_way_and_where_the_server_is() {
    let mut clock = ServerClock::new(Tick(1000), HZ);
    let at = |ticks: f64| Duration::from_secs_f64(ticks / f64::from(HZ));
    // 3 ticks there, 2 back; the command of tick t is sent 4 ticks before it.
    for tick in 1010..1200u32 {
        let now = f64::from(tick);
        clock.handle_sent(at(now - 4.0), Tick(tick));
        let told = tick - 8;
        let mut state = header(told);
        state.ack = CommandAck {
            consumed: Some(Tick(told - 1)),
            slack: Some(1),
        };
        clock.handle_state(at(f64::from(told) + 2.0), &state);
    }
    let round_trip = clock.round_trip().expect("acknowledged").as_secs_f64() * f64::from(HZ);
    assert!((5.0..=6.1).contains(&round_trip), "{round_trip} ticks");
    let server = clock.server_ticks(at(1200.0)).expect("states arrived");
    assert!(
        (server - 200.0).abs() <= 1.1,
        "{server}: it is at tick 1200, 200 after the welcome"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_shown_is_continuous_and_time_never_goes_back(
        seed in any::<u64>(), jitter in 0.0..60.0f64, loss in 0.0..0.25f64,
    ) {
        let mut state = seed;
        let mut unit = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        let seen = watch(|_| (unit() >= loss).then(|| 30.0 + jitter * unit()));
        prop_assert!(seen.frames.len() > 1800);
        for (a, b) in seen.frames.iter().zip(&seen.frames[1..]) {
            prop_assert!(b.0 >= a.0, "from {} back to {}", a.0, b.0);
            // In a frame of 1/240 s somebody at 7 m/s gets 3 cm; smoothing adds its share.
            let step = a.1.distance(b.1);
            prop_assert!(step < 0.25, "{} m in a frame at {}", step, b.0);
        }
        // Where it is shown is where it was, but for what had to be guessed.
        let settled = &seen.frames[480..];
        let errors: f64 = settled.iter().map(|(view, at)| at.distance(truth(*view).position)).sum();
        prop_assert!(errors / (settled.len() as f64) < 0.1, "{}", errors / settled.len() as f64);
    }
}
