//! The promise: a zone is invisible to the rules of the game.

mod common;

use common::simulation;
use proptest::prelude::*;
use tessera_protocol::command::Command;
use tessera_protocol::ids::ClientId;
use tessera_sim::TickInputs;

const TICKS: u32 = 96;
const GRIDS: [(usize, usize); 5] = [(2, 1), (2, 2), (3, 3), (4, 4), (1, 5)];

/// Players come, steer and go: the same for every partition.
fn inputs(tick: u32) -> TickInputs {
    let mut inputs = TickInputs::default();
    if tick % 16 == 3 {
        let client = ClientId((tick / 16) as u16);
        inputs.joins.push((client, format!("player {}", client.0)));
    }
    if tick == 80 {
        inputs.leaves.push(ClientId(1));
    }
    for client in 0..6 {
        let angle = (tick + 7 * u32::from(client)) as f32 * 0.05;
        let command = Command {
            move_x: angle.sin(),
            move_z: angle.cos(),
            yaw: angle % 3.0,
            ..Command::default()
        };
        inputs.commands.push((ClientId(client), command));
    }
    inputs
}

/// What a match leaves behind, tick by tick.
#[derive(Debug, PartialEq)]
struct Trace {
    hashes: Vec<u64>,
    events: Vec<String>,
}

fn play(seed: u64, columns: usize, rows: usize) -> (Trace, u64, u64) {
    let mut simulation = simulation("swarm", seed, columns, rows);
    let mut trace = Trace {
        hashes: vec![simulation.snapshot().state_hash()],
        events: Vec::new(),
    };
    for tick in 0..TICKS {
        let output = simulation.step(&inputs(tick)).expect("no zone stops");
        trace.hashes.push(output.snapshot.state_hash());
        trace
            .events
            .extend(output.events.iter().map(|event| format!("{event:?}")));
    }
    let report = simulation.report();
    let refused: u64 = report
        .zones
        .iter()
        .flat_map(|zone| &zone.channels)
        .map(|channel| channel.refused)
        .sum();
    assert_eq!(refused, 0);
    assert!(
        report.hook_errors() > 0,
        "the swarm's hooks fail now and then"
    );
    assert!(report.messages() > 500, "the swarm talks");
    (trace, report.handoffs(), report.messages())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 4, ..ProptestConfig::default() })]

    #[test]
    fn a_match_is_the_same_under_every_partition(seed in any::<u64>()) {
        let (whole, no_handoffs, messages) = play(seed, 1, 1);
        prop_assert_eq!(no_handoffs, 0);
        prop_assert!(!whole.events.is_empty(), "somebody died");
        for (columns, rows) in GRIDS {
            let (cut, handoffs, cut_messages) = play(seed, columns, rows);
            prop_assert!(handoffs > 0);
            prop_assert_eq!(cut_messages, messages);
            let first = whole.hashes.iter().zip(&cut.hashes).position(|(a, b)| a != b);
            prop_assert_eq!(first, None, "{}×{} differs from one zone at that tick", columns, rows);
            prop_assert_eq!(&cut, &whole);
        }
    }
}

#[test]
fn seeds_and_ticks_change_the_hash() {
    let (first, ..) = play(1, 2, 2);
    let (second, ..) = play(2, 2, 2);
    assert_ne!(first.hashes[0], second.hashes[0]);
    let mut unique = first.hashes.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), first.hashes.len());
}
