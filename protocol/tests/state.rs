//! What clients hear of the state, and how soon.

mod common;

use std::f64::consts::PI;

use common::world::{AMMO, HEALTH, NAME, PLAYER, ROCK, Rng, TARGET, Thing, World, table};
use proptest::prelude::*;
use tessera_protocol::state::{DATAGRAM_LEN_MAX, EXPIRY_TICKS};
use tessera_protocol::{
    ClientId, ClientView, CommandAck, EntityId, FrameDecoder, FrameEncoder, Packed, StateConfig,
    StateError, StateHeader, Tick, ValueRef, base,
};

/// One client and the server's coding for it, with whatever link a test makes between them.
struct Pair {
    encoder: FrameEncoder,
    view: ClientView,
    decoder: FrameDecoder,
}

impl Pair {
    fn new(client: u16) -> Self {
        Self::with(client, StateConfig::default())
    }

    fn with(client: u16, config: StateConfig) -> Self {
        Self {
            encoder: FrameEncoder::new(&table(), config).expect("a good table"),
            view: ClientView::new(ClientId(client)),
            decoder: FrameDecoder::new(table()).expect("a good table"),
        }
    }

    /// What the server sends for this state of the world.
    fn pack(&mut self, world: &World, ack: CommandAck) -> (Vec<Vec<u8>>, Packed) {
        self.encoder.encode(&world.snapshot());
        let mut datagrams = Vec::new();
        let packed = self.encoder.pack(&mut self.view, ack, |datagram| {
            datagrams.push(datagram.to_vec())
        });
        (datagrams, packed)
    }

    /// A tick in which the link loses what `lost` says. The datagrams are never too long.
    fn tick(&mut self, world: &mut World, mut lost: impl FnMut() -> bool) {
        let (datagrams, _) = self.pack(world, CommandAck::default());
        for datagram in datagrams {
            assert!(datagram.len() <= DATAGRAM_LEN_MAX, "{}", datagram.len());
            if !lost() {
                self.decoder.handle(&datagram).expect("a good datagram");
            }
        }
        world.tick = world.tick.next();
    }

    fn sees(&self) -> Vec<u32> {
        self.decoder
            .entities()
            .map(|entity| entity.id().0)
            .collect()
    }
}

/// Whether the client knows a thing as it is, within the rounding.
fn assert_same(decoder: &FrameDecoder, id: u32, thing: &Thing, mine: bool) {
    let entity = decoder
        .get(EntityId(id))
        .unwrap_or_else(|| panic!("entity {id} is in sight"));
    assert_eq!(entity.kind().index(), thing.kind);
    for axis in 0..3 {
        let (got, want) = (
            entity.position()[axis],
            thing.position[axis].clamp(-64.0, 1064.0),
        );
        assert!(
            (got - want).abs() <= 1128.0 / 131_071.0 / 2.0 + 1e-9,
            "position {got} {want}"
        );
        let (got, want) = (
            entity.velocity()[axis],
            thing.velocity[axis].clamp(-128.0, 127.96875),
        );
        assert!(
            (got - want).abs() <= 1.0 / 64.0 + 1e-9,
            "velocity {got} {want}"
        );
    }
    for (got, want) in [(entity.yaw(), thing.yaw), (entity.pitch(), thing.pitch)] {
        let turn = f64::from(got - want).rem_euclid(2.0 * PI);
        assert!(
            turn.min(2.0 * PI - turn) <= PI / 4096.0 + 1e-6,
            "angle {got} {want}"
        );
    }
    assert_eq!(entity.field(base::OWNER), None, "nobody receives it");
    if thing.kind == PLAYER {
        let Some(ValueRef::F32(health)) = entity.field(HEALTH) else {
            panic!("everyone has it")
        };
        assert!((health - thing.health.clamp(0.0, 100.0)).abs() <= 50.0 / 255.0 + 1e-5);
        assert_eq!(
            entity.field(NAME),
            Some(ValueRef::Var(thing.name.as_bytes()))
        );
        assert_eq!(
            entity.field(AMMO),
            mine.then_some(ValueRef::U8(thing.ammo)),
            "owner only"
        );
        assert_eq!(entity.field(TARGET), None, "nobody receives it");
    }
}

fn thing() -> impl Strategy<Value = Thing> {
    let axis = || -100.0..1100.0_f64;
    let speed = || -150.0..150.0_f64;
    (
        (
            0..2_usize,
            [axis(), axis(), axis()],
            [speed(), speed(), speed()],
        ),
        (
            -PI as f32..PI as f32,
            -1.57..1.57_f32,
            prop::option::of(0..2_u16),
        ),
        (
            any::<bool>(),
            -10.0..110.0_f32,
            any::<u8>(),
            "[a-zé]{0,12}",
            any::<u32>(),
        ),
    )
        .prop_map(|((kind, position, velocity), (yaw, pitch, owner), rest)| {
            let (alive, health, ammo, name, target) = rest;
            let owner = owner.map(ClientId);
            Thing {
                kind,
                position,
                velocity,
                yaw,
                pitch,
                owner,
                alive,
                health,
                ammo,
                name,
                target,
            }
        })
}

proptest! {
    #[test]
    fn each_client_gets_its_fields_within_the_rounding(
        things in prop::collection::vec(thing(), 1..20),
    ) {
        let mut world = World::at(0);
        for thing in things {
            world.add(thing);
        }
        for client in 0..3 {
            let sight = StateConfig { sight_m: 1e6, forget_m: 1e6, ..StateConfig::default() };
            let mut pair = Pair::with(client, sight);
            pair.tick(&mut world.clone(), || false);
            for (&id, thing) in &world.things {
                assert_same(&pair.decoder, id, thing, thing.owner == Some(ClientId(client)));
            }
            let mut owned = world.things.iter().filter(|(_, t)| t.owner == Some(ClientId(client)));
            let own = owned.next().map_or(0, |(&id, _)| id);
            prop_assert_eq!(pair.decoder.newest().map(|header| header.own), Some(EntityId(own)));
        }
    }

    #[test]
    fn garbage_never_panics(
        garbage in prop::collection::vec(any::<u8>(), 0..200),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        seed in any::<u64>(),
    ) {
        let mut pair = Pair::new(0);
        let _ = pair.decoder.handle(&garbage);
        let (mut datagrams, _) = pair.pack(&crowd(&mut Rng(seed), 20), CommandAck::default());
        let datagram = &mut datagrams[0];
        let _ = pair.decoder.handle(&datagram[..cut.index(datagram.len())]);
        for (at, byte) in flips {
            let at = at.index(datagram.len());
            datagram[at] = byte;
        }
        let _ = pair.decoder.handle(datagram);
        for entity in pair.decoder.entities() {
            let _ = (entity.position(), entity.field(NAME), entity.seen());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn after_loss_and_reordering_the_client_knows_what_is_in_sight(seed in any::<u64>()) {
        let mut rng = Rng(seed);
        let (mut world, mut pair) = (crowd(&mut rng, 80), Pair::new(0));
        let mut held: Vec<Vec<u8>> = Vec::new();
        for _ in 0..200 {
            stir(&mut world, &mut rng);
            for datagram in pair.pack(&world, CommandAck::default()).0 {
                // A fifth is lost, a fifth comes up to ten datagrams late, some of it twice.
                match rng.below(5) {
                    0 => continue,
                    1 => held.push(datagram),
                    _ => { pair.decoder.handle(&datagram).expect("a good datagram"); }
                }
                if held.len() > 10 || rng.below(8) == 0 {
                    if let Some(late) = held.get(rng.below(held.len().max(1))) {
                        pair.decoder.handle(late).expect("a good datagram");
                    }
                    if held.len() > 10 {
                        held.remove(0);
                    }
                }
            }
            world.tick = world.tick.next();
        }
        // The world stands still and the link heals.
        for _ in 0..=EXPIRY_TICKS + 16 {
            pair.tick(&mut world, || false);
        }
        let from = world.things[&1].position;
        for (&id, thing) in &world.things {
            let distance = distance(from, thing.position);
            if distance < 399.0 || thing.kind == 2 {
                assert_same(&pair.decoder, id, thing, id == 1);
            } else if distance > 441.0 {
                prop_assert!(pair.decoder.get(EntityId(id)).is_none(), "{} is out of sight", id);
            }
        }
        for id in pair.sees() {
            prop_assert!(world.things.contains_key(&id), "{} is gone", id);
        }
    }
}

/// The match, the client's player in the middle, and others all over the map.
fn crowd(rng: &mut Rng, others: usize) -> World {
    let mut world = World::at(0);
    world.add(Thing::player(500.0, 500.0, Some(0)));
    world.add(Thing {
        kind: 2,
        ..Thing::rock(0.0, 0.0)
    });
    for n in 0..others {
        let (x, z) = (rng.unit() * 1000.0, rng.unit() * 1000.0);
        world.add(if n % 2 == 0 {
            Thing::player(x, z, None)
        } else {
            Thing::rock(x, z)
        });
    }
    world
}

/// Players move; some things vanish, others appear.
fn stir(world: &mut World, rng: &mut Rng) {
    for thing in world
        .things
        .values_mut()
        .filter(|thing| thing.kind == PLAYER)
    {
        thing.position[0] = (thing.position[0] + rng.unit() * 4.0 - 2.0).clamp(0.0, 1000.0);
        thing.velocity[0] = rng.unit() * 6.0;
        thing.health = rng.unit() as f32 * 100.0;
    }
    if rng.below(4) == 0 {
        let id = 3 + rng.below(120) as u32;
        world.things.remove(&id);
        world.add(Thing::rock(rng.unit() * 1000.0, rng.unit() * 1000.0));
    }
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    (0..3)
        .map(|axis| (a[axis] - b[axis]).powi(2))
        .sum::<f64>()
        .sqrt()
}

#[test]
fn a_golden_state_takes_exactly_so_many_bytes() {
    let mut world = World::at(1000);
    world.add(Thing::player(10.0, 20.0, Some(0)));
    world.add(Thing::player(11.0, 20.0, None));
    world.add(Thing::rock(12.0, 20.0));
    let mut pair = Pair::new(0);
    let ack = CommandAck {
        consumed: Some(Tick(998)),
        slack: Some(-2),
    };
    let (datagrams, packed) = pair.pack(&world, ack);
    // Header: tick 4, flags 1, consumed 4, slack 1, own 1; nobody gone 1. Each record: id 1,
    // kind 1, base fields 3 × 17 + 3 × 13 + 12 + 12 bits = 15 bytes in whole ones. A player: another
    // 1 + 8 bits and a name of 1 + 3 bytes, 20 bytes in all; its owner's ammo one more.
    let expected = 11 + 1 + (2 + 20 + 1) + (2 + 20) + (2 + 15);
    assert_eq!(
        packed,
        Packed {
            datagrams: 1,
            bytes: expected,
            records: 3,
            waiting: 0
        }
    );
    let header = pair.decoder.handle(&datagrams[0]);
    assert_eq!(
        header,
        Ok(StateHeader {
            tick: Tick(1000),
            ack,
            own: EntityId(1),
            last: true
        })
    );
    // A change here is a change of the wire, which needs a new WIRE_VERSION.
    let hex: String = datagrams[0]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        hex,
        "e803000007e6030000fe0100\
         030097211a3a84980080001000022000fe1f08220b031e\
         02000b221a3a84980080001000022000fe1f08220b03\
         02017f221a3a8498008000100002200002"
    );
}

#[test]
fn what_is_gone_is_told_through_seven_losses() {
    for losses in 0..8 {
        let (mut world, mut pair) = (World::at(0), Pair::new(0));
        world.add(Thing::player(10.0, 20.0, Some(0)));
        let loot = world.add(Thing::rock(12.0, 20.0));
        pair.tick(&mut world, || false);
        assert_eq!(pair.sees(), [1, 2]);
        world.things.remove(&loot.0);
        for _ in 0..losses {
            pair.tick(&mut world, || true);
        }
        pair.tick(&mut world, || false);
        assert_eq!(pair.sees(), [1]);
    }
}

#[test]
fn a_late_record_does_not_bring_back_what_is_gone() {
    let (mut world, mut pair) = (World::at(0), Pair::new(0));
    world.add(Thing::player(10.0, 20.0, Some(0)));
    let loot = world.add(Thing::rock(12.0, 20.0));
    let (late, _) = pair.pack(&world, CommandAck::default());
    world.tick = world.tick.next();
    world.things.remove(&loot.0);
    pair.tick(&mut world, || false);
    pair.decoder.handle(&late[0]).expect("a good datagram");
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
        pair.tick(&mut world, || false);
        assert_eq!(pair.sees(), sees, "at {x}");
    }
}

#[test]
fn without_a_word_of_it_an_entity_expires() {
    let (mut world, mut pair) = (World::at(u32::MAX - 100), Pair::new(0));
    world.add(Thing::player(10.0, 20.0, Some(0)));
    let loot = world.add(Thing::rock(12.0, 20.0));
    pair.tick(&mut world, || false);
    world.things.remove(&loot.0);
    // All words that it is gone are lost.
    for _ in 0..8 {
        pair.tick(&mut world, || true);
    }
    let start = world.tick;
    while pair.sees() != [1] {
        pair.tick(&mut world, || false);
        assert!(
            world.tick.wrapping_sub(start) <= EXPIRY_TICKS + 16,
            "it never expires"
        );
    }
    assert!(
        world.tick.wrapping_sub(start) >= EXPIRY_TICKS - 16,
        "it expires too soon"
    );
}

#[test]
fn old_datagrams_are_refused_and_the_wrap_is_not_old() {
    let (mut world, mut pair) = (World::at(u32::MAX - 1), Pair::new(0));
    world.add(Thing::player(10.0, 20.0, Some(0)));
    let (old, _) = pair.pack(&world, CommandAck::default());
    for _ in 0..EXPIRY_TICKS {
        pair.tick(&mut world, || false);
    }
    assert!(pair.decoder.handle(&old[0]).is_ok());
    pair.tick(&mut world, || false);
    let refused = pair.decoder.handle(&old[0]);
    assert_eq!(refused, Err(StateError::TooOld(Tick(u32::MAX - 1))));
}

#[test]
fn near_ones_are_told_more_often_and_nobody_is_forgotten() {
    // 1,200 players on a line make 27 kB, and all of them move all the time.
    let (mut world, mut pair) = (World::at(0), Pair::new(0));
    world.add(Thing::player(0.0, 0.0, Some(0)));
    for n in 0..1200 {
        world.add(Thing::player(f64::from(n) / 3.1, 0.0, None));
    }
    let mut told = vec![0; 1202];
    let mut oldest = 0;
    for tick in 0..600 {
        for thing in world.things.values_mut() {
            thing.position[2] = f64::from(tick) * 0.1;
        }
        let now = world.tick;
        pair.tick(&mut world, || false);
        for entity in pair.decoder.entities() {
            let age = now.wrapping_sub(entity.seen());
            told[entity.id().0 as usize] += i32::from(age == 0);
            if tick > 100 {
                oldest = oldest.max(age);
            }
        }
    }
    assert_eq!(told[1], 600, "the own player is told in every tick");
    let average =
        |ids: std::ops::Range<usize>| told[ids.clone()].iter().sum::<i32>() as usize / ids.len();
    let (near, far) = (average(2..102), average(1102..1202));
    assert!(near > 3 * far, "near {near}, far {far}");
    assert!(
        oldest < EXPIRY_TICKS / 2,
        "nobody in sight waits {oldest} ticks"
    );
    assert_eq!(pair.sees().len(), 1201);
}

#[test]
fn what_stands_still_is_told_rarely() {
    let (mut world, mut pair) = (World::at(0), Pair::new(1));
    for n in 0..20 {
        world.add(Thing::rock(f64::from(n), 0.0));
    }
    let mut records = Vec::new();
    for _ in 0..128 {
        records.push(pair.pack(&world, CommandAck::default()).1.records);
        world.tick = world.tick.next();
    }
    // Once when it appears, in case that is lost once more soon, then every 64 ticks.
    let told: Vec<_> = records
        .iter()
        .enumerate()
        .filter(|(_, records)| **records > 0)
        .collect();
    assert_eq!(
        told,
        [(0, &20), (1, &20), (2, &20), (3, &20), (4, &20), (68, &20)]
    );
}

#[test]
fn the_budget_of_datagrams_is_kept() {
    for datagrams_max in 1..4 {
        let config = StateConfig {
            datagrams_max,
            ..StateConfig::default()
        };
        let (world, mut pair) = (crowd(&mut Rng(1), 1000), Pair::with(0, config));
        let (datagrams, packed) = pair.pack(&world, CommandAck::default());
        assert_eq!(
            (datagrams.len(), packed.datagrams),
            (datagrams_max, datagrams_max)
        );
        assert!(packed.waiting > 0 && packed.bytes > (DATAGRAM_LEN_MAX - 40) * datagrams_max);
        for (n, datagram) in datagrams.iter().enumerate() {
            let header = pair.decoder.handle(datagram).expect("a good datagram");
            assert_eq!(header.last, n + 1 == datagrams_max);
        }
        assert_eq!(pair.sees().len(), packed.records);
    }
}

#[test]
fn faults_in_datagrams_have_names() {
    let header = [1, 0, 0, 0, 0, 0]; // tick 1, no flags, no own entity
    let check = |rest: &[u8], expect| {
        let mut pair = Pair::new(0);
        let result = pair.decoder.handle(&[&header, rest].concat());
        assert_eq!(result.map(|header| header.tick), expect, "{rest:?}");
    };
    let kind = |n| tessera_protocol::KindId(n);
    check(&[0], Ok(Tick(1)));
    check(&[], Err(StateError::Truncated));
    check(&[1], Err(StateError::Truncated));
    check(&[1, 0], Err(StateError::BadId));
    check(&[0, 0, ROCK as u8], Err(StateError::BadId));
    check(&[0, 0xff, 0xff, 0xff, 0xff, 0xff], Err(StateError::BadId));
    check(&[0, 2, 3], Err(StateError::BadKind(EntityId(1), kind(3))));
    check(
        &[0, 2, ROCK as u8, 0],
        Err(StateError::BadRecord(EntityId(1))),
    );
}
