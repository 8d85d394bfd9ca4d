//! What clients know of the state, over any link.

mod common;

use std::f64::consts::PI;

use common::pair::{HZ, Pair, UNLIMITED};
use common::world::{AMMO, HEALTH, NAME, PLAYER, ROCK, Rng, TARGET, Thing, World, table};
use proptest::prelude::*;
use tessera_protocol::{
    ClientId, ClientView, CommandAck, Edition, EntityId, FrameDecoder, FullReason, KindId, Packed,
    StateAck, StateConfig, StateError, StateHeader, Tick, ValueRef, base,
};

/// Whether the client knows a thing as it is, within the rounding.
fn assert_same(decoder: &FrameDecoder, id: u32, thing: &Thing, mine: bool) {
    let entity = decoder
        .get(EntityId(id))
        .unwrap_or_else(|| panic!("entity {id} is in sight"));
    assert_eq!(entity.kind().index(), thing.kind);
    for axis in 0..3 {
        let (got, want) = (
            entity.position()[axis],
            thing.position[axis].clamp(-64.0, 2033.15),
        );
        assert!(
            (got - want).abs() <= base::POSITION_STEP_M / 2.0 + 1e-9,
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
        mut states in prop::collection::vec(prop::collection::vec(thing(), 12), 1..6),
        acked in any::<u64>(),
    ) {
        // Who is of which kind and whose stays as it is; everything else changes. Without a player a
        // client sees nothing, so each has one.
        let mut first = states[0].clone();
        for (thing, client) in first.iter_mut().zip(0..3) {
            (thing.kind, thing.owner) = (PLAYER, Some(ClientId(client)));
        }
        for state in &mut states {
            for (thing, first) in state.iter_mut().zip(&first) {
                (thing.kind, thing.owner) = (first.kind, first.owner);
            }
        }
        for client in 0..3 {
            let sight = StateConfig { sight_m: 1e6, forget_m: 1e6 };
            let mut pair = Pair::with(client, sight, UNLIMITED);
            let mut world = World::at(0);
            first.iter().for_each(|thing| { world.add(thing.clone()); });
            for (n, state) in states.iter().enumerate() {
                for (thing, new) in world.things.values_mut().zip(state) {
                    *thing = new.clone();
                }
                let datagram = pair.pack(&world).0;
                pair.decoder.handle(&datagram).expect("a good datagram");
                if acked >> n & 1 == 1 {
                    pair.view.handle_ack(pair.decoder.ack());
                }
                world.tick = world.tick.offset(17); // long enough for whoever is far away
            }
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
        (seed, newest, mask) in (any::<u64>(), any::<u32>(), any::<u32>()),
        (epoch, lost) in (0..2_u8, any::<bool>()),
    ) {
        let mut rng = Rng(seed);
        let mut pair = Pair::new(0);
        let _ = pair.decoder.handle(&garbage);
        let mut world = crowd(&mut rng, 20);
        for _ in 0..3 {
            stir(&mut world, &mut rng);
            let mut datagram = pair.pack(&world).0;
            let _ = pair.decoder.handle(&datagram[..cut.index(datagram.len())]);
            let mut flipped = datagram.clone();
            for (at, byte) in &flips {
                let at = at.index(datagram.len());
                flipped[at] = *byte;
            }
            let _ = pair.decoder.handle(&flipped);
            let _ = pair.decoder.handle(&datagram);
            for entity in pair.decoder.entities() {
                let _ = (entity.position(), entity.field(NAME), entity.seen());
            }
            // A client may claim anything about what it has.
            let tick = world.tick.0.wrapping_add(newest % 80).wrapping_sub(40);
            for newest in [Some(Tick(newest)), Some(Tick(tick)), None] {
                pair.view.handle_ack(StateAck { epoch, newest, mask, lost });
            }
            world.tick = world.tick.next();
            datagram.clear();
        }
    }
}

/// A link that loses, delays and reorders; and a client at its end.
struct Link {
    rng: Rng,
    /// Ticks that a datagram is under way at least, and by how many more at most.
    delay: usize,
    jitter: usize,
    /// One in so many is lost.
    loss: usize,
    down: Vec<(Tick, Vec<u8>)>,
    up: Vec<(Tick, StateAck)>,
}

impl Link {
    fn drawn(seed: u64) -> Self {
        let mut rng = Rng(seed);
        Self {
            delay: rng.below(12),
            jitter: 1 + rng.below(6),
            loss: 3 + rng.below(40),
            rng,
            down: Vec::new(),
            up: Vec::new(),
        }
    }

    /// When something sent at `now` arrives, if it does.
    fn arrival(&mut self, now: Tick) -> Option<Tick> {
        let ticks = self.delay + self.rng.below(self.jitter);
        (self.rng.below(self.loss) > 0).then(|| now.offset(ticks as i32))
    }

    fn tick(&mut self, pair: &mut Pair, world: &mut World) -> Packed {
        let (datagram, packed) = pair.pack(world);
        if let Some(at) = self.arrival(world.tick) {
            self.down.push((at, datagram));
        }
        let due = |at: Tick| !at.is_newer_than(world.tick);
        for (_, datagram) in self.down.extract_if(.., |(at, _)| due(*at)) {
            // A late one may be of no use any more; never is one garbage.
            match pair.decoder.handle(&datagram) {
                Ok(_) | Err(StateError::TooOld(_) | StateError::NoBaseline(..)) => {}
                Err(other) => panic!("{other}"),
            }
        }
        if let Some(at) = self.arrival(world.tick) {
            self.up.push((at, pair.decoder.ack()));
        }
        for (_, ack) in self.up.extract_if(.., |(at, _)| due(*at)) {
            pair.view.handle_ack(ack);
        }
        world.tick = world.tick.next();
        packed
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn over_any_link_the_client_knows_what_is_in_sight(seed in any::<u64>()) {
        let mut link = Link::drawn(seed);
        let mut rng = Rng(!seed);
        let rate = 20_000 + rng.below(100_000) as u32;
        let (mut world, mut pair) = (
            crowd(&mut rng, 80),
            Pair::with(0, StateConfig::default(), rate),
        );
        let mut full = Vec::new();
        for _ in 0..300 {
            stir(&mut world, &mut rng);
            full.extend(link.tick(&mut pair, &mut world).full);
        }
        // Loss and reordering alone are no reason to begin anew.
        prop_assert_eq!(full, [FullReason::Joined]);
        // The world stands still, and after a while everything has arrived.
        for _ in 0..200 {
            link.tick(&mut pair, &mut world);
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
fn golden_states_take_exactly_so_many_bits() {
    let mut world = World::at(1000);
    world.add(Thing::player(10.0, 20.0, Some(0)));
    world.add(Thing::player(11.0, 20.0, None));
    world.add(Thing::rock(12.0, 20.0));
    let mut pair = Pair::new(0);
    pair.encoder.encode(&world.snapshot());
    pair.encoder.look(&mut pair.view);
    let ack = CommandAck {
        consumed: Some(Tick(998)),
        slack: Some(-2),
    };
    let mut datagram = Vec::new();
    let packed = pair.encoder.pack(&mut pair.view, ack, |sent| {
        datagram.extend_from_slice(sent);
    });
    // Base fields: 3 × 20 + 3 × 13 + 12 + 12 bits. A player: another 1 + 8 bits and a name of 1 + 3
    // bytes; its owner's ammo 8 more. Before each record: id 3, whole 1, kind 6, private 1 bits, and of
    // the own one's private piece whole 1.
    let base = 3 * 20 + 3 * 13 + 12 + 12;
    let player = base + 1 + 8 + 8 * 4;
    assert_eq!(
        packed.record_bits,
        3 * 11 + (player + 1 + 8) + player + base
    );
    // Header: tick 4, epoch 1, flags 1, consumed 1, slack 1, own 1 bytes. Nobody gone 1, count 6 bits.
    assert_eq!(packed.bytes, 9 + (1 + 6 + packed.record_bits).div_ceil(8));
    assert_eq!((packed.records, packed.waiting), (3, 0));
    let header = StateHeader {
        tick: Tick(1000),
        epoch: 0,
        edition: Edition::default(),
        ack,
        own: EntityId(1),
    };
    assert_eq!(pair.decoder.handle(&datagram), Ok(header));
    // A change here is a change of the wire, which needs a new WIRE_VERSION.
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    assert_eq!(hex(&datagram), GOLDEN_WHOLE);

    // The other player goes on as it did, ours turns by five steps; the rock lies still.
    pair.view.handle_ack(pair.decoder.ack());
    for (id, x) in [(1, 10.0), (2, 11.0)] {
        let thing = world.things.get_mut(&id).expect("there");
        thing.velocity[0] = 4.0;
        thing.position[0] = x;
    }
    world.tick = world.tick.next();
    pair.tick(&mut world, true);
    for thing in world.things.values_mut().take(2) {
        thing.position[0] += 4.0 / 64.0;
    }
    world.things.get_mut(&1).expect("there").yaw += 5.0 * (2.0 * PI / 4096.0) as f32;
    let (datagram, packed) = pair.pack(&world);
    // Each: id 3, delta 1, age 3, private 1, four bits of a mask and one for the others. Ours: a private
    // piece that starts from one 1, age 3, mask 1; yaw 6 bits. The positions are where they are expected.
    assert_eq!((packed.records, packed.waiting), (2, 0));
    assert_eq!(packed.record_bits, 2 * 13 + 5 + 6);
    assert_eq!(hex(&datagram), GOLDEN_DELTA);
    pair.decoder.handle(&datagram).expect("a good datagram");
    for (id, thing) in &world.things {
        assert_same(&pair.decoder, *id, thing, *id == 1);
    }
    pair.view.handle_ack(pair.decoder.ack());

    // The rock is taken, the other one dies and is called otherwise, both stop, and ours has shot.
    world.things.remove(&3);
    world.tick = world.tick.next();
    for thing in world.things.values_mut() {
        thing.velocity[0] = 0.0;
    }
    let other = world.things.get_mut(&2).expect("there");
    (other.alive, other.name, other.ammo) = (false, "Bo".into(), 0);
    world.things.get_mut(&1).expect("there").ammo -= 1;
    let (datagram, packed) = pair.pack(&world);
    assert_eq!((packed.records, packed.waiting), (2, 0));
    assert_eq!(hex(&datagram), GOLDEN_GONE);
    pair.decoder.handle(&datagram).expect("a good datagram");
    assert_eq!(pair.sees(), [1, 2]);
    for (id, thing) in &world.things {
        assert_same(&pair.decoder, *id, thing, *id == 1);
    }
}

const GOLDEN_WHOLE: &str = "e8030000000302fe018f00428404803e80200500080001200002e0ff8120b2308f00\
     f04902401f40900200048000100001f0ff4010595804e02801a00f2048010002400008800008";
const GOLDEN_DELTA: &str = "ea0300000000018bcc21950c00";
const GOLDEN_GONE: &str = "eb0300000000012a149933b088000f222e63168b08f0204240e80d";

#[test]
fn old_datagrams_are_refused_and_the_wrap_is_not_old() {
    let (mut world, mut pair) = (World::at(u32::MAX - 1), Pair::new(0));
    world.add(Thing::player(10.0, 20.0, Some(0)));
    let (old, _) = pair.pack(&world);
    world.tick = world.tick.next();
    for _ in 0..32 {
        pair.tick(&mut world, true);
    }
    assert!(pair.decoder.handle(&old).is_ok());
    let refused = Err(StateError::TooOld(Tick(u32::MAX - 1)));
    assert_eq!(pair.decoder.handle(&old), refused, "a second time");
    pair.tick(&mut world, true);
    assert_eq!(pair.decoder.handle(&old), refused, "too late");
}

#[test]
fn a_client_that_lacks_a_baseline_asks_and_is_told_everything_anew() {
    let (mut world, mut pair) = (World::at(0), Pair::new(0));
    world.add(Thing::player(0.0, 0.0, Some(0)));
    world.add(Thing::player(5.0, 0.0, None));
    assert_eq!(pair.tick(&mut world, true).full, Some(FullReason::Joined));
    // The client's memory fails.
    pair.decoder = FrameDecoder::new(table(), HZ).expect("a good table");
    let datagram = pair.pack(&world).0;
    world.tick = world.tick.next();
    let error = pair.decoder.handle(&datagram);
    assert_eq!(error, Err(StateError::Unknown(EntityId(1))));
    let ack = StateAck {
        newest: Some(Tick(0)),
        ..pair.decoder.ack()
    };
    assert!(ack.lost);
    pair.view.handle_ack(ack);
    let packed = pair.tick(&mut world, true);
    assert_eq!((packed.full, packed.records), (Some(FullReason::Asked), 2));
    assert_eq!(pair.sees(), [1, 2]);
    assert!(!pair.decoder.ack().lost, "and asks no more");
    // What was said before is void.
    pair.view.handle_ack(ack);
    assert_eq!(pair.tick(&mut world, true).full, None);
}

#[test]
fn a_client_that_acknowledges_nothing_is_told_everything_anew() {
    let (mut world, mut pair) = (World::at(0), Pair::new(0));
    world.add(Thing::player(0.0, 0.0, Some(0)));
    let loot = world.add(Thing::rock(5.0, 0.0));
    pair.tick(&mut world, true);
    world.things.remove(&loot.0);
    let full: Vec<_> = (0..66)
        .filter_map(|_| pair.tick(&mut world, false).full)
        .collect();
    assert_eq!(full, [FullReason::Silent]);
    pair.tick(&mut world, true);
    assert_eq!(pair.sees(), [1], "what was gone meanwhile is gone");
}

#[test]
fn who_gets_a_player_of_its_own_gets_its_private_fields() {
    let (mut world, mut pair) = (World::at(0), Pair::new(0));
    world.add(Thing::player(0.0, 0.0, Some(0)));
    let other = world.add(Thing::player(5.0, 0.0, None));
    pair.tick(&mut world, true);
    let ammo = |pair: &Pair| pair.decoder.get(other).map(|it| it.field(AMMO).is_some());
    assert_eq!(ammo(&pair), Some(false));
    world.things.get_mut(&other.0).expect("there").owner = Some(ClientId(0));
    pair.tick(&mut world, true);
    assert_eq!(ammo(&pair), Some(true));
    world.things.get_mut(&other.0).expect("there").ammo = 7;
    pair.tick(&mut world, true);
    let entity = pair.decoder.get(other).expect("in sight");
    assert_eq!(entity.field(AMMO), Some(ValueRef::U8(7)));
}

#[test]
fn who_watches_sees_what_another_sees_but_for_private_fields() {
    let (mut world, mut pair) = (World::at(0), Pair::new(0));
    let watched = world.add(Thing::player(0.0, 0.0, Some(0)));
    world.add(Thing::player(5.0, 0.0, None));
    pair.view = ClientView::watching(ClientId(0), UNLIMITED);
    for _ in 0..3 {
        pair.tick(&mut world, true);
        world.things.get_mut(&watched.0).expect("there").ammo += 1;
        assert_eq!(pair.sees(), [1, 2]);
        let own = pair.decoder.own().expect("it sees whom it watches");
        assert_eq!((own.id(), own.field(AMMO)), (watched, None));
    }
}

#[test]
fn faults_in_datagrams_have_names() {
    // Tick 1, epoch 0, no flags, no own entity; then bits from the low end.
    let header = [1, 0, 0, 0, 0, 0, 0];
    let check = |rest: &[u8], expect| {
        let mut pair = Pair::new(0);
        let result = pair.decoder.handle(&[&header, rest].concat());
        assert_eq!(result.map(|header| header.tick), expect, "{rest:?}");
    };
    // Nobody gone: 1. No record: 1 and five zeros. One record: 1, then 1 in five bits.
    let (none, one) = (0b000_0011, 0b000_0111);
    check(&[none], Ok(Tick(1)));
    check(&[], Err(StateError::Truncated));
    check(&[1], Err(StateError::Truncated));
    // A record of the first id, 1 and two zeros, whole 0, kind 3 in six bits, not private 0.
    let record = |kind: u32| (one as u32 | 0b001 << 7 | kind << 11).to_le_bytes();
    check(&record(3), Err(StateError::BadKind(EntityId(1), KindId(3))));
    check(
        &record(ROCK as u32),
        Err(StateError::BadRecord(EntityId(1))),
    );
    // The same as a delta: an entity that was never told.
    let delta = (one as u32 | 0b1001 << 7 | 0b001 << 11).to_le_bytes();
    check(&delta, Err(StateError::Unknown(EntityId(1))));
}
