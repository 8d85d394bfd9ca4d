//! The royale's own rules: items, the circle, kills, places, and rounds that follow each other.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{configuration, field, rows};
use tessera_protocol::ValueRef;
use tessera_protocol::ids::EntityId;
use tessera_protocol::snapshot::RowRef;
use tessera_protocol::value::Value;
use tessera_python::{Event, OptionValue};
use tessera_sim::{Grid, SimConfig, Simulation, TickInputs};
use tessera_world::World;

const SEED: u64 = 7;
/// Columns and rows.
const GRIDS: [(usize, usize); 3] = [(1, 1), (2, 2), (3, 3)];
/// Items are looked for once in so many ticks; in which, the player's id decides.
const PICKUP_PERIOD: u32 = 4;
/// More than it takes to ask, to be given, and to ask again.
const PICKED_UP: u32 = 4 * PICKUP_PERIOD;
/// Bites of the circle.
const CIRCLE_PERIOD: u32 = 32;

const RIFLE: u8 = 1;
const AMMO: u8 = 4;
const ARMOUR: u8 = 7;
const MEDKIT: u8 = 8;
/// In the kill feed.
const BY_PISTOL: i64 = 0;
const BY_CIRCLE: i64 = 4;

/// Takes the place of the royale's own start: what a test adds places players and items.
const STAGE: &str = "
from tessera import FIRE, Vec3
from .arsenal import RIFLE, RIFLE_AMMO, ARMOUR, MEDKIT
from .loot import Loot
from .match import Royale
from .player import Player
from .rules import FIGHT

def game(world, **fields):
    world.spawn(Royale, position=Vec3(500.0, 0.0, 500.0), loot_laid=0xFFFF, **fields)

def player(world, x, z, **fields):
    world.spawn(Player, position=Vec3(x, 0.0, z), alive=True, game=1, **fields)

def item(world, item, amount, x, z):
    world.spawn(Loot, position=Vec3(x, 0.0, z), item=item, amount=amount)
";

fn royale() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/modes/royale")
}

/// The royale's rules on flat ground, with players and items where `start` puts them.
fn stage(start: &str, grid: (usize, usize)) -> Simulation {
    stage_with(start, grid, ("respawn", OptionValue::Bool(false)))
}

fn stage_with(
    start: &str,
    (columns, rows): (usize, usize),
    (option, value): (&str, OptionValue),
) -> Simulation {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mode = folder.path().join("staged");
    std::fs::create_dir(&mode).expect("a fresh folder");
    for file in std::fs::read_dir(royale()).expect("the royale") {
        let file = file.expect("the royale").path();
        if file.is_file() {
            let copy = mode.join(file.file_name().expect("a file has a name"));
            std::fs::copy(&file, copy).expect("a copy");
        }
    }
    let init = format!("{STAGE}\ndef start(world):\n{start}");
    std::fs::write(mode.join("__init__.py"), init).expect("a fresh file");
    // Who has no client counts as a bot: with more of these than there are, bots would come.
    let players = start.matches(" player(").count() as i64;
    let config = SimConfig {
        mode,
        options: BTreeMap::from([
            ("fill_bots".into(), OptionValue::Int(players)),
            ("warmup_seconds".into(), OptionValue::Int(600)),
            (option.into(), value),
        ]),
        ..configuration("", SEED, columns, rows)
    };
    Simulation::start(config).unwrap_or_else(|error| panic!("{error}"))
}

/// Plays so many ticks, and gives what clients were told.
fn play(simulation: &mut Simulation, ticks: u32) -> Vec<Event> {
    let mut events = Vec::new();
    for _ in 0..ticks {
        let output = simulation
            .step(&TickInputs::default())
            .expect("no zone stops");
        events.extend(output.events);
    }
    assert_eq!(simulation.report().hook_errors(), 0);
    events
}

/// The arguments of all events of this name.
fn told<'a>(events: &'a [Event], name: &str) -> Vec<&'a [Value]> {
    let named = events.iter().filter(|event| event.name == name);
    named.map(|event| &*event.args).collect()
}

/// A number, or a truth value, of the player or item in a row.
fn number(simulation: &Simulation, kind: &str, row: &RowRef<'_>, name: &str) -> f64 {
    match row.field(field(simulation, kind, name)) {
        ValueRef::Bool(value) => f64::from(u8::from(value)),
        ValueRef::U8(value) => value.into(),
        ValueRef::U16(value) => value.into(),
        ValueRef::U32(value) => value.into(),
        ValueRef::F32(value) => value.into(),
        other => panic!("{name} is {other:?}"),
    }
}

/// A number of each player, by ascending id.
fn numbers(simulation: &Simulation, name: &str) -> Vec<f64> {
    let players = rows(simulation, simulation.snapshot(), "Player");
    let numbers = players
        .iter()
        .map(|row| number(simulation, "Player", row, name));
    numbers.collect()
}

/// What a player has of what the tests lay out.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
struct Bag {
    has_rifle: bool,
    loaded: u8,
    rounds: u8,
    medkits: u8,
    armour: f64,
}

fn bags(simulation: &Simulation) -> Vec<Bag> {
    let bag = |row: &RowRef<'_>| {
        let rifle = |name| match row.field(field(simulation, "Player", name)) {
            ValueRef::Var(bytes) => bytes[usize::from(RIFLE)],
            other => panic!("{name} is {other:?}"),
        };
        let number = |name| number(simulation, "Player", row, name);
        Bag {
            has_rifle: number("owned") as u8 >> RIFLE & 1 == 1,
            loaded: rifle("magazines"),
            rounds: rifle("reserves"),
            medkits: number("medkits") as u8,
            armour: number("armour"),
        }
    };
    let players = rows(simulation, simulation.snapshot(), "Player");
    players.iter().map(bag).collect()
}

/// Items on the ground around an x, with their amounts.
fn ground(simulation: &Simulation, x: f64) -> Vec<(u8, u8)> {
    let items = rows(simulation, simulation.snapshot(), "Loot");
    let around = items
        .iter()
        .filter(|row| (row.position()[0] - x).abs() < 5.0);
    let number = |row, name| number(simulation, "Loot", row, name) as u8;
    around
        .map(|row| (number(row, "item"), number(row, "amount")))
        .collect()
}

#[test]
fn of_two_who_reach_an_item_in_one_tick_the_first_by_id_gets_it_under_every_partition() {
    // On either side of a border, and each side's turn to be first.
    for (first, second) in [(499.5, 500.5), (500.5, 499.5)] {
        for grid in GRIDS {
            // Players 2 and 6: a period apart, they look in the same ticks.
            let start = format!(
                "    game(world)
    player(world, {first}, 300.0)
    item(world, RIFLE, 30, 500.0, 300.0)
    item(world, MEDKIT, 1, 500.0, 300.0)
    item(world, RIFLE_AMMO, 60, 500.0, 300.0)
    player(world, {second}, 300.0)\n"
            );
            let mut simulation = stage(&start, grid);
            let asked = (0..PICKED_UP).any(|_| {
                play(&mut simulation, 1);
                simulation.report().messages() > 0
            });
            assert!(asked, "somebody asks for what it stands on");
            assert_eq!(simulation.report().messages(), 6, "both ask for all three");
            play(&mut simulation, PICKED_UP);
            let winner = Bag {
                has_rifle: true,
                loaded: 30,
                rounds: 60,
                medkits: 1,
                ..Bag::default()
            };
            assert_eq!(bags(&simulation), [winner, Bag::default()], "{grid:?}");
            assert_eq!(ground(&simulation, 500.0), []);
        }
    }
}

#[test]
fn two_share_what_is_too_much_for_one() {
    for grid in GRIDS {
        let start = "    game(world)
    player(world, 499.5, 300.0, medkits=1, owned=3)
    item(world, MEDKIT, 3, 500.0, 300.0)
    item(world, RIFLE, 20, 500.0, 300.0)
    item(world, RIFLE_AMMO, 60, 500.0, 300.0)
    player(world, 500.5, 300.0, medkits=1)\n";
        let mut simulation = stage(start, grid);
        play(&mut simulation, PICKED_UP);
        // Of the rifle one needs the rounds only, and the other gets it without.
        let first = Bag {
            has_rifle: true,
            rounds: 80,
            medkits: 3,
            ..Bag::default()
        };
        let second = Bag {
            has_rifle: true,
            medkits: 2,
            ..Bag::default()
        };
        assert_eq!(bags(&simulation), [first, second], "{grid:?}");
        assert_eq!(ground(&simulation, 500.0), []);
    }
}

/// The x of a test's cases: out of each other's reach.
fn place(case: u32) -> f64 {
    100.0 + 20.0 * f64::from(case)
}

/// Somebody with something, on items: what it has afterwards, and what still lies there.
type PickUp = (&'static str, &'static [(u8, u8)], Bag, &'static [(u8, u8)]);

#[test]
fn what_does_not_fit_stays_on_the_ground() {
    let kits = |medkits| Bag {
        medkits,
        ..Bag::default()
    };
    let rounds = |rounds| Bag {
        rounds,
        ..Bag::default()
    };
    let rifle = |loaded, rounds| Bag {
        has_rifle: true,
        loaded,
        rounds,
        ..Bag::default()
    };
    let armour = |armour| Bag {
        armour,
        ..Bag::default()
    };
    let nearly = "reserves=bytes((0, 170, 0, 0))";
    let half = "reserves=bytes((0, 100, 0, 0))";
    let armed = "owned=3, reserves=bytes((0, 170, 0, 0))";
    let cases: [PickUp; 9] = [
        ("medkits=2", &[(MEDKIT, 1); 3], kits(3), &[(MEDKIT, 1); 2]),
        ("medkits=1", &[(MEDKIT, 3)], kits(3), &[(MEDKIT, 1)]),
        ("medkits=3", &[(MEDKIT, 1)], kits(3), &[(MEDKIT, 1)]),
        (
            "armour=80.5",
            &[(ARMOUR, 50)],
            armour(99.5),
            &[(ARMOUR, 31)],
        ),
        (nearly, &[(AMMO, 60)], rounds(180), &[(AMMO, 50)]),
        (half, &[(AMMO, 60); 2], rounds(180), &[(AMMO, 40)]),
        // Of a second weapon of a kind the rounds are taken, and the weapon is left.
        ("", &[(RIFLE, 30); 2], rifle(30, 30), &[(RIFLE, 0)]),
        (armed, &[(RIFLE, 30)], rifle(0, 180), &[(RIFLE, 20)]),
        ("", &[(RIFLE, 0)], rifle(0, 0), &[]),
    ];
    let mut start = "    game(world)\n".to_owned();
    for (case, (has, items, ..)) in (0..).zip(&cases) {
        let x = place(case);
        start += &format!("    player(world, {x}, 300.0, {has})\n");
        for (item, amount) in *items {
            start += &format!("    item(world, {item}, {amount}, {x}, 300.0)\n");
        }
    }
    let mut simulation = stage(&start, (2, 2));
    play(&mut simulation, PICKED_UP);
    for ((case, (has, items, bag, left)), found) in (0..).zip(&cases).zip(bags(&simulation)) {
        let found = (found, ground(&simulation, place(case)));
        assert_eq!(found, (*bag, left.to_vec()), "with {has:?} on {items:?}");
    }
}

#[test]
fn who_is_shot_on_the_way_to_an_item_leaves_it_behind() {
    // Each victim looks for items in another tick; one has asked when it is hit.
    let victims = 0..PICKUP_PERIOD;
    let mut start = "    game(world)\n".to_owned();
    for x in victims.clone().map(place) {
        start += &format!("    player(world, {x}, 300.0, health=1.0)\n");
    }
    for x in victims.clone().map(place) {
        start += &format!("    player(world, {x}, 302.0, buttons=FIRE)\n");
        start += &format!("    item(world, MEDKIT, 1, {x}, 300.0)\n");
    }
    let mut simulation = stage(&start, (2, 2));
    let events = play(&mut simulation, PICKED_UP);
    assert_eq!(told(&events, "kill").len(), PICKUP_PERIOD as usize);
    for victim in victims {
        assert_eq!(ground(&simulation, place(victim)), [(MEDKIT, 1)]);
    }
    // Ids go up to what was there at the start; beyond is what was dropped.
    let newest = rows(&simulation, simulation.snapshot(), "Loot")[3].id();
    assert!(newest > EntityId(1 + 3 * PICKUP_PERIOD), "{newest:?}");
}

#[test]
fn what_is_left_over_goes_in_a_fight_without_end_and_what_nobody_touched_stays() {
    let start = "    game(world)
    player(world, 300.0, 300.0, medkits=2)
    item(world, MEDKIT, 2, 300.0, 300.0)
    item(world, MEDKIT, 2, 400.0, 300.0)\n";
    let mut simulation = stage_with(start, (2, 2), ("respawn", OptionValue::Bool(true)));
    play(&mut simulation, PICKED_UP);
    assert_eq!(ground(&simulation, 300.0), [(MEDKIT, 1)]);
    // It has 45 seconds, and is looked for once in a second.
    play(&mut simulation, 46 * 64);
    assert_eq!(ground(&simulation, 300.0), []);
    assert_eq!(ground(&simulation, 400.0), [(MEDKIT, 2)]);
}

/// A round in which Ada shoots Bob, and Cid is outside the circle. They are 2, 3 and 4.
const ROUND: &str = "    game(world, state=FIGHT, round=1, entrants=3, alive=3, damage=10.0,
        circle_x=500.0, circle_z=500.0, radius=50.0, phase_ends=100_000,
        next_x=500.0, next_z=500.0, next_radius=50.0)
    player(world, 500.0, 502.0, name='Ada', buttons=FIRE)
    player(world, 500.0, 500.0, name='Bob', health=30.0)
    player(world, 700.0, 500.0, name='Cid', health=20.0)\n";

#[test]
fn the_circle_hurts_who_is_outside() {
    let mut simulation = stage(&ROUND.replace("FIRE", "0"), (2, 2));
    for bites in 1..=3u8 {
        play(&mut simulation, CIRCLE_PERIOD);
        let left = 20.0 - 5.0 * f64::from(bites);
        assert_eq!(numbers(&simulation, "health"), [100.0, 30.0, left]);
    }
}

#[test]
fn kills_are_told_places_given_and_the_next_round_begins() {
    let id = Value::Int;
    let text = |text: &str| Value::Str(text.to_owned());
    for grid in GRIDS {
        let mut simulation = stage(ROUND, grid);
        let events = play(&mut simulation, 5 * CIRCLE_PERIOD);
        let [bob, cid] = told(&events, "kill")[..] else {
            panic!("two died: {events:?}");
        };
        // Her pistol is level with his head.
        let by_ada = [id(2), text("Ada"), id(BY_PISTOL), Value::Bool(true)];
        assert_eq!(bob, [&[id(3), text("Bob")], &by_ada[..], &[id(2)]].concat());
        let by_circle = [id(0), text(""), id(BY_CIRCLE), Value::Bool(false)];
        assert_eq!(
            cid,
            [&[id(4), text("Cid")], &by_circle[..], &[id(1)]].concat()
        );
        assert_eq!(told(&events, "winner"), [[id(2), text("Ada"), id(1)]]);
        assert_eq!(numbers(&simulation, "place"), [1.0, 3.0, 2.0]);
        assert_eq!(numbers(&simulation, "kills"), [1.0, 0.0, 0.0]);
        assert_eq!(numbers(&simulation, "alive"), [1.0, 0.0, 0.0]);

        // Ten seconds later.
        let events = play(&mut simulation, 640);
        assert_eq!(told(&events, "round"), [[id(2), id(3)]]);
        assert_eq!(numbers(&simulation, "alive"), [1.0; 3]);
        assert_eq!(numbers(&simulation, "health"), [100.0; 3]);
        assert_eq!(numbers(&simulation, "place"), [0.0; 3]);
    }
}

/// Bots in a round of half a minute on the island, until the second round has begun.
struct Match {
    hashes: Vec<u64>,
    /// Of the circle, in each tick of the first round.
    radii: Vec<f64>,
    events: Vec<Event>,
    /// Of the bots, at the first round's end.
    places: Vec<f64>,
    handoffs: u64,
}

const BOTS: i64 = 12;

fn play_match(world: &Arc<World>, (columns, rows_): (usize, usize)) -> Match {
    const TICKS_MAX: u32 = 64 * 60;
    let config = SimConfig {
        mode: royale(),
        world: world.clone(),
        grid: Grid::even(columns, rows_, world.size()).expect("a small grid"),
        options: BTreeMap::from([
            ("fill_bots".into(), OptionValue::Int(BOTS)),
            ("round_seconds".into(), OptionValue::Int(30)),
            ("warmup_seconds".into(), OptionValue::Int(0)),
        ]),
        ..configuration("", SEED, columns, rows_)
    };
    let mut simulation = Simulation::start(config).unwrap_or_else(|error| panic!("{error}"));
    let mut played = Match {
        hashes: Vec::new(),
        radii: Vec::new(),
        events: Vec::new(),
        places: Vec::new(),
        handoffs: 0,
    };
    for _ in 0..TICKS_MAX {
        played.events.extend(play(&mut simulation, 1));
        let snapshot = simulation.snapshot();
        played.hashes.push(snapshot.state_hash());
        if told(&played.events, "round").len() == 2 {
            played.handoffs = simulation.report().handoffs();
            return played;
        }
        let bots = rows(&simulation, snapshot, "Bot");
        let places = bots
            .iter()
            .map(|bot| number(&simulation, "Bot", bot, "place"));
        played.places = places.collect();
        let game = &rows(&simulation, snapshot, "Royale")[0];
        if number(&simulation, "Royale", game, "state") == 1.0 {
            let radius = number(&simulation, "Royale", game, "radius");
            played.radii.push(radius);
        }
    }
    panic!("no second round after {TICKS_MAX} ticks");
}

#[test]
fn a_whole_round_of_bots_is_the_same_under_every_partition() {
    println!("seed {SEED}");
    let island = royale().join("../../maps/island.toml");
    let world = Arc::new(World::load(island).expect("the island"));
    let whole = play_match(&world, (1, 1));

    assert!(whole.radii.windows(2).all(|pair| pair[1] <= pair[0]));
    assert!(
        whole.radii.last() < whole.radii.first(),
        "the circle closes"
    );
    assert_eq!(told(&whole.events, "winner").len(), 1);
    let shot = |kill: &&[Value]| matches!(kill[4], Value::Int(weapon) if weapon < BY_CIRCLE);
    assert!(told(&whole.events, "kill").iter().any(shot), "they fight");
    let mut places = whole.places.clone();
    places.sort_by(f64::total_cmp);
    let expected: Vec<f64> = (1..=BOTS).map(|place| place as f64).collect();
    assert_eq!(places, expected, "one place each");

    for grid in GRIDS.into_iter().filter(|grid| *grid != (1, 1)) {
        let cut = play_match(&world, grid);
        assert!(cut.handoffs > 0, "{grid:?}");
        let first = whole
            .hashes
            .iter()
            .zip(&cut.hashes)
            .position(|(a, b)| a != b);
        assert_eq!(first, None, "{grid:?} differs from one zone at that tick");
        assert_eq!(cut.hashes.len(), whole.hashes.len());
        assert_eq!(cut.events, whole.events, "{grid:?}");
    }
}
