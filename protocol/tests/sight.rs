//! Whom clients hear of, and how soon.

mod common;

use std::collections::BTreeMap;
use std::f64::consts::PI;

use common::pair::{HZ, Pair};
use common::world::{Rng, Thing, World};
use tessera_protocol::StateConfig;
use tessera_protocol::state::STALE_TICKS_MAX;

#[test]
fn what_is_gone_is_told_until_that_has_arrived() {
    for losses in [0, 1, 7, 40] {
        let (mut world, mut pair) = (World::at(u32::MAX - 20), Pair::new(0));
        world.add(Thing::player(10.0, 20.0, Some(0)));
        let loot = world.add(Thing::rock(12.0, 20.0));
        pair.tick(&mut world, true);
        assert_eq!(pair.sees(), [1, 2]);
        world.things.remove(&loot.0);
        for _ in 0..losses {
            pair.tick(&mut world, false);
        }
        pair.tick(&mut world, true);
        assert_eq!(pair.sees(), [1]);
        let header = pair.pack(&world).0.len();
        pair.tick(&mut world, true);
        assert_eq!(pair.pack(&world).0.len(), header, "and not any more");
    }
}

/// A player is put somewhere else, with its hundred companions out of sight, on a long way to the server.
#[test]
fn a_crowd_is_gone_before_anything_is_acknowledged() {
    let (mut world, mut pair) = (World::at(0), Pair::new(0));
    let me = world.add(Thing::player(0.0, 0.0, Some(0)));
    for n in 0..100 {
        world.add(Thing::rock(10.0 + f64::from(n), 20.0));
    }
    while pair.sees().len() < 101 {
        pair.tick(&mut world, true);
    }
    world.things.get_mut(&me.0).expect("it lives").position[0] = 1000.0;
    for tick in 0..7 {
        assert!(pair.sees().len() > 1, "it takes {tick} ticks");
        let (datagram, _) = pair.pack(&world);
        pair.decoder.handle(&datagram).expect("a good datagram");
        world.tick = world.tick.next();
    }
    assert_eq!(pair.sees(), [1]);
}

/// The client's path doesn't take a state in the very tick in which one dies and another is born.
#[test]
fn who_is_left_out_of_a_frame_hears_of_it_in_the_next() {
    let (mut world, mut pair) = (World::at(0), Pair::new(0));
    world.add(Thing::player(10.0, 20.0, Some(0)));
    let dying = world.add(Thing::rock(12.0, 20.0));
    // No turn to look at everything is near: those are every eighth.
    for _ in 0..10 {
        pair.tick(&mut world, true);
    }
    world.things.remove(&dying.0);
    let newborn = world.add(Thing::rock(13.0, 20.0));
    pair.encoder.encode(&world.snapshot());
    pair.encoder.pass_over(&mut pair.view);
    world.tick = world.tick.next();
    pair.tick(&mut world, true);
    assert_eq!(pair.sees(), [1, newborn.0]);
}

#[test]
fn a_late_record_does_not_bring_back_what_is_gone() {
    let (mut world, mut pair) = (World::at(0), Pair::new(0));
    world.add(Thing::player(10.0, 20.0, Some(0)));
    let loot = world.add(Thing::rock(12.0, 20.0));
    let (late, _) = pair.pack(&world);
    world.tick = world.tick.next();
    world.things.remove(&loot.0);
    pair.tick(&mut world, true);
    pair.decoder.handle(&late).expect("a good datagram");
    assert_eq!(pair.sees(), [1]);
}

#[test]
fn who_comes_back_into_sight_is_seen_again() {
    let (mut world, mut pair) = (World::at(0), Pair::new(0));
    let me = world.add(Thing::player(0.0, 0.0, Some(0)));
    world.add(Thing::rock(500.0, 0.0));
    for (x, sees) in [
        (0.0, &[1][..]),
        (90.0, &[1]), // 410 m: too far to appear
        (110.0, &[1, 2]),
        (90.0, &[1, 2]), // but near enough to stay
        (50.0, &[1]),
        (110.0, &[1, 2]),
        (110.0, &[1, 2]),
    ] {
        world.things.get_mut(&me.0).expect("there").position[0] = x;
        pair.tick(&mut world, true);
        assert_eq!(pair.sees(), sees, "at {x}");
    }
}

#[test]
fn nobody_in_a_crowd_starves() {
    // A hundred players within 30 m, all of them moving, over 30 kB a second.
    let rate = 30_000;
    let mut pair = Pair::with(0, StateConfig::default(), rate);
    let (mut world, mut rng) = (World::at(0), Rng(5));
    world.add(Thing::player(0.0, 0.0, Some(0)));
    for _ in 0..99 {
        world.add(Thing::player(
            rng.unit() * 60.0 - 30.0,
            rng.unit() * 60.0 - 30.0,
            None,
        ));
    }
    let (mut bytes, mut stalest, mut own) = (0, 0, 0);
    for tick in 0..640 {
        for (&id, thing) in &mut world.things {
            let angle = f64::from(tick) * 0.05 + f64::from(id);
            thing.velocity = [angle.cos() * 5.0, 0.0, angle.sin() * 5.0];
            thing.yaw = (angle % (2.0 * PI) - PI) as f32;
            for axis in [0, 2] {
                thing.position[axis] += thing.velocity[axis] / f64::from(HZ);
            }
        }
        let now = world.tick;
        let packed = pair.tick(&mut world, true);
        if tick >= 128 {
            bytes += packed.bytes + 31; // what QUIC adds
            for entity in pair.decoder.entities() {
                stalest = stalest.max(now.wrapping_sub(entity.seen()));
                own += i32::from(entity.id().0 == 1 && entity.seen() == now);
            }
        }
    }
    assert_eq!(own, 512, "the own player is told in every tick");
    assert!(stalest <= STALE_TICKS_MAX, "nobody waits {stalest} ticks");
    assert!(
        bytes as u32 / 8 <= rate + 100,
        "{} bytes a second",
        bytes / 8
    );
}

/// Far more stirs than there is bandwidth for, and a path that carries little: everybody has a turn.
#[test]
fn nobody_starves_where_there_is_no_room() {
    for (others, rate) in [(150, 4096), (500, 4096)] {
        let mut pair = Pair::with(0, StateConfig::default(), rate);
        let (mut world, mut rng) = (World::at(0), Rng(5));
        world.add(Thing::player(0.0, 0.0, Some(0)));
        for _ in 0..others {
            let mut place = || rng.unit() * 400.0 - 200.0;
            let (x, z) = (place(), place());
            world.add(Thing::player(x, z, None));
        }
        let (mut told, mut stalest) = (0, 0);
        const TICKS: i32 = 3200;
        for tick in 0..TICKS {
            for (&id, thing) in &mut world.things {
                let angle = f64::from(tick) * 0.05 + f64::from(id);
                thing.position[0] += angle.cos() * 0.05;
                thing.yaw = (angle % (2.0 * PI) - PI) as f32;
            }
            let now = world.tick;
            told += pair.tick(&mut world, true).records as i32 - 1;
            if tick >= TICKS / 2 {
                assert_eq!(pair.sees().len(), others + 1, "all have been told of");
                let seen = pair.decoder.entities().map(|entity| entity.seen());
                let waits = seen.map(|seen| now.wrapping_sub(seen)).max();
                stalest = stalest.max(waits.expect("they are in sight"));
            }
        }
        // Were it in turn, that long. An eighth more, since who waits that much longer goes before; and
        // those that are due at the same time have not all the same length.
        let turn = others as i32 * TICKS / told;
        assert!(
            stalest <= turn + turn / 4 + STALE_TICKS_MAX,
            "{others} others, {rate} B/s: {stalest} ticks where a turn is {turn}"
        );
    }
}

/// Datagrams and acknowledgements take two to four ticks, overtake each other, and one in twenty is lost.
#[test]
fn nobody_starves_where_datagrams_are_lost() {
    const WAY_TICKS_MAX: i32 = 4;
    // A loss is noticed when a datagram three ticks younger has arrived, and told back.
    const NOTICED_TICKS: i32 = 2 * WAY_TICKS_MAX + 3;
    let mut pair = Pair::with(0, StateConfig::default(), 30_000);
    let (mut world, mut rng) = (World::at(0), Rng(11));
    world.add(Thing::player(500.0, 500.0, Some(0)));
    for _ in 0..60 {
        let mut place = || 500.0 + rng.unit() * 540.0 - 270.0;
        let (x, z) = (place(), place());
        world.add(Thing::player(x, z, None));
    }
    let (mut down, mut up) = (BTreeMap::new(), BTreeMap::new());
    let mut stalest = 0;
    for tick in 0..6000 {
        for (&id, thing) in &mut world.things {
            let angle = f64::from(tick) * 0.05 + f64::from(id);
            thing.velocity = [angle.cos() * 5.0, 0.0, angle.sin() * 5.0];
            for axis in [0, 2] {
                thing.position[axis] += thing.velocity[axis] / f64::from(HZ);
            }
        }
        let mut way = || {
            let arrives = tick + 2 + (rng.unit() * f64::from(WAY_TICKS_MAX - 1)) as i32;
            (rng.unit() >= 0.05).then_some((arrives, tick))
        };
        let (there, back) = (way(), way());
        while up.first_key_value().is_some_and(|((at, _), _)| *at <= tick) {
            let (_, ack) = up.pop_first().expect("there is one");
            pair.view.handle_ack(ack);
        }
        let (datagram, _) = pair.pack(&world);
        there.map(|at| down.insert(at, datagram));
        while down
            .first_key_value()
            .is_some_and(|((at, _), _)| *at <= tick)
        {
            let (_, datagram) = down.pop_first().expect("there is one");
            // One whose baseline is missing is as if it had been lost.
            let _ = pair.decoder.handle(&datagram);
        }
        back.map(|at| up.insert(at, pair.decoder.ack()));
        if tick >= 128 {
            let seen = pair.decoder.entities().map(|entity| entity.seen());
            let stale = seen.map(|seen| world.tick.wrapping_sub(seen)).max();
            stalest = stalest.max(stale.expect("they are in sight"));
        }
        world.tick = world.tick.next();
    }
    // Two losses in a row are the worst of these six thousand ticks.
    let bound = STALE_TICKS_MAX + 2 * NOTICED_TICKS;
    assert!(
        stalest <= bound,
        "somebody waits {stalest} ticks, not {bound}"
    );
    assert!(stalest > STALE_TICKS_MAX, "losses cost something");
}

#[test]
fn near_ones_are_told_more_often() {
    let (mut world, mut pair) = (World::at(0), Pair::new(0));
    world.add(Thing::player(0.0, 0.0, Some(0)));
    for x in [10.0, 100.0, 200.0, 390.0] {
        world.add(Thing::player(x, 0.0, None));
    }
    let mut told = [0; 6];
    for tick in 0..640 {
        for thing in world.things.values_mut() {
            thing.position[2] = f64::from(tick % 7) * 0.3;
        }
        let now = world.tick;
        pair.tick(&mut world, true);
        for entity in pair.decoder.entities() {
            told[entity.id().0 as usize] += i32::from(entity.seen() == now);
        }
    }
    // Every tick up to 30 m, every second up to 80 m, every fourth up to 160 m, then every eighth.
    assert_eq!(told[1..3], [640, 640]);
    let every = told.map(|told| (640.0 / f64::from(told)).round());
    assert_eq!(every[3..], [4.0, 8.0, 8.0], "{told:?}");
}

#[test]
fn what_stands_still_is_told_once() {
    let (mut world, mut pair) = (World::at(0), Pair::new(0));
    world.add(Thing::player(0.0, 0.0, Some(0)));
    for n in 0..20 {
        world.add(Thing::rock(f64::from(n), 0.0));
    }
    let mut records: Vec<usize> = (0..128)
        .map(|_| pair.tick(&mut world, true).records)
        .collect();
    assert_eq!(records.remove(0), 21);
    assert!(
        records.iter().all(|n| *n == 1),
        "only the own player: {records:?}"
    );
}
