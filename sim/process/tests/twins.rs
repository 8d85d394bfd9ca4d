//! A zone in a process and one on a thread, told the same, come to the same.

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{Clock, push, scripts, start};
use proptest::prelude::*;
use tessera_process::{ProcessZone, SnapshotSlots};
use tessera_protocol::command::Command;
use tessera_protocol::ids::{EntityId, KindId};
use tessera_protocol::value::Value;
use tessera_python::{HitboxHistory, Message, Outbox, Payload, ScriptZone};

fn folder(mode: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(mode)
}

/// What an outbox says, in a form that can be compared.
fn shown(outbox: &Outbox) -> String {
    let messages: Vec<_> = outbox
        .messages
        .iter()
        .map(|m| (m.target, m.sender, m.seq, m.payload.digest()))
        .collect();
    let Outbox {
        spawns,
        despawns,
        events,
        ..
    } = outbox;
    format!("{messages:?} {spawns:?} {despawns:?} {events:?}")
}

struct Twins {
    thread: ScriptZone,
    process: ProcessZone,
    hitboxes: Arc<HitboxHistory>,
    clocks: [Clock; 2],
    slots: SnapshotSlots,
    /// Entities that are ghosts now.
    ghosts: Vec<(KindId, EntityId, Vec<u8>)>,
}

impl Twins {
    fn start(mode: &Path) -> Self {
        let config = scripts(mode);
        let slots = SnapshotSlots::new().expect("shared memory");
        let process = start(&config, &slots).unwrap_or_else(|error| panic!("{error}"));
        let thread = ScriptZone::start(&config).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(process.field_table(), thread.field_table());
        for kind in (0..thread.field_table().kinds.len()).map(|kind| KindId(kind as u8)) {
            for message in ["join", "leave", "restart", "despawn", "report", "nothing"] {
                assert_eq!(process.hears(kind, message), thread.hears(kind, message));
            }
        }
        let mut twins = Self {
            thread,
            process,
            hitboxes: Arc::new(HitboxHistory::new(config.tick_hz)),
            clocks: Default::default(),
            slots,
            ghosts: Vec::new(),
        };
        twins.thread.run_start().expect("it starts");
        twins.process.run_start().expect("it starts");
        twins.settle();
        twins
    }

    fn settle(&mut self) {
        let [thread, process] = &mut self.clocks;
        let one = thread.settle(&mut self.thread);
        let other = process.settle(&mut self.process);
        assert_eq!(shown(&one), shown(&other));
        assert!(self.thread.tables() == self.process.tables());
    }

    /// A message of the engine to whoever is the match.
    fn post(&mut self, name: &str, args: &[Value]) {
        let kinds = &self.thread.field_table().kinds;
        let Some(kind) = kinds.iter().position(|kind| kind.is_match) else {
            return;
        };
        let Some(&target) = self.thread.tables()[kind].ids.first() else {
            return;
        };
        for clock in &mut self.clocks {
            clock.inbox.push(Message {
                target,
                sender: EntityId::NONE,
                seq: clock.inbox.len() as u32,
                payload: Payload::new(name, args),
            });
            clock.sort();
        }
    }

    fn step(&mut self, commands: &[(EntityId, Command)], resting: &[EntityId]) {
        let snapshot = self.clocks[0].snapshot(self.thread.tables());
        push(&mut self.hitboxes, &self.thread, &snapshot);
        let tick = snapshot.tick();
        self.process.begin_tick(tick, &snapshot);
        self.thread
            .begin_tick(tick, snapshot, self.hitboxes.clone());
        let [thread, process] = &self.clocks;
        self.thread.run_hooks(&thread.inbox, commands, resting);
        let ran = self.process.run_hooks(&process.inbox, commands, resting);
        ran.expect("the process lives");
        self.thread.gather();
        self.process.gather().expect("the process lives");
        assert_eq!(self.thread.changed(), self.process.changed());
        assert_eq!(self.thread.failed(), self.process.failed());
        let (one, other) = (self.thread.stats(), self.process.stats());
        assert_eq!(
            (one.calls, one.failures, one.unhandled, &one.errors),
            (other.calls, other.failures, other.unhandled, &other.errors)
        );
        self.settle();
        self.thread.collect_garbage(tick);
        self.process.collect_garbage(tick);
        for clock in &mut self.clocks {
            clock.tick = tick.next();
        }
    }

    /// An own entity, if there is any.
    fn own(&self, which: prop::sample::Index) -> Option<(KindId, EntityId, Vec<u8>)> {
        let tables = self.thread.tables();
        let ids: Vec<_> = tables
            .iter()
            .enumerate()
            .flat_map(|(kind, table)| table.ids.iter().map(move |id| (KindId(kind as u8), *id)))
            .collect();
        let &(kind, id) = (!ids.is_empty()).then(|| &ids[which.index(ids.len())])?;
        let table = &tables[kind.index()];
        let mut row = Vec::new();
        table.write_row(table.row_of(id)?, &mut row);
        Some((kind, id, row))
    }

    fn ghost(&mut self, which: prop::sample::Index) -> Option<(KindId, EntityId, Vec<u8>)> {
        let count = self.ghosts.len();
        (count > 0).then(|| self.ghosts.remove(which.index(count)))
    }

    fn carry_out(&mut self, act: &Act) {
        match act {
            Act::Step(commands) => {
                let own: Vec<_> = self.thread.tables().iter().flat_map(|t| &t.ids).collect();
                let mut commands: Vec<_> = commands
                    .iter()
                    .filter(|_| !own.is_empty())
                    .map(|(which, command)| (*own[which.index(own.len())], *command))
                    .collect();
                commands.sort_by_key(|(id, _)| *id);
                commands.dedup_by_key(|(id, _)| *id);
                let resting: Vec<_> = commands.iter().map(|(id, _)| *id).step_by(3).collect();
                self.step(&commands, &resting);
            }
            Act::Join(client) => {
                let name = Value::Str(format!("client {client}"));
                self.post("join", &[Value::Int((*client).into()), name]);
            }
            Act::Demote(which) => {
                if let Some((kind, id, row)) = self.own(*which) {
                    self.thread.demote(id);
                    self.process.demote(id);
                    self.ghosts.push((kind, id, row));
                }
            }
            Act::Insert(which) => {
                if let Some((kind, id, row)) = self.ghost(*which) {
                    assert_eq!(
                        self.thread.insert(kind, id, &row),
                        self.process.insert(kind, id, &row)
                    );
                }
            }
            Act::GhostAgain(which) => {
                if let Some((kind, id, row)) = self.ghost(*which) {
                    assert_eq!(
                        self.thread.ghost_row(kind, id, &row),
                        self.process.ghost_row(kind, id, &row)
                    );
                    self.ghosts.push((kind, id, row));
                }
            }
            Act::GhostMoves(which, x) => {
                if let Some((kind, id, mut row)) = self.ghost(*which) {
                    row[..8].copy_from_slice(&x.to_le_bytes());
                    let delta = [&1_u64.to_le_bytes(), &row[..24]].concat();
                    self.thread.ghost_delta(id, &delta).expect("it fits");
                    self.process.ghost_delta(id, &delta);
                    self.ghosts.push((kind, id, row));
                }
            }
            Act::GhostGoes(which) => {
                if let Some((_, id, _)) = self.ghost(*which) {
                    self.thread.ghost_remove(id);
                    self.process.ghost_remove(id);
                }
            }
            Act::WrongRow(which) => {
                if let Some((kind, id, row)) = self.own(*which) {
                    let other = EntityId(id.0 + 100_000);
                    for (id, row) in [(id, &row[..]), (other, &row[..row.len() - 1])] {
                        let refused = self.thread.insert(kind, id, row);
                        assert!(refused.is_err());
                        assert_eq!(refused, self.process.insert(kind, id, row));
                    }
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Act {
    Step(Vec<(prop::sample::Index, Command)>),
    Join(u16),
    Demote(prop::sample::Index),
    Insert(prop::sample::Index),
    GhostAgain(prop::sample::Index),
    GhostMoves(prop::sample::Index, f64),
    GhostGoes(prop::sample::Index),
    WrongRow(prop::sample::Index),
}

fn command() -> impl Strategy<Value = Command> {
    (
        -1.0..1.0f32,
        -1.0..1.0f32,
        -3.0..3.0f32,
        -1.0..1.0f32,
        0..64u16,
        0..4u8,
        0..2000u16,
    )
        .prop_map(
            |(move_x, move_z, yaw, pitch, buttons, slot, view)| Command {
                move_x,
                move_z,
                yaw,
                pitch,
                buttons,
                slot,
                view,
                ..Command::default()
            },
        )
}

fn act() -> impl Strategy<Value = Act> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => prop::collection::vec((index(), command()), 0..8).prop_map(Act::Step),
        1 => (0..100u16).prop_map(Act::Join),
        1 => index().prop_map(Act::Demote),
        1 => index().prop_map(Act::Insert),
        1 => index().prop_map(Act::GhostAgain),
        1 => (index(), 0.0..1000.0f64).prop_map(|(which, x)| Act::GhostMoves(which, x)),
        1 => index().prop_map(Act::GhostGoes),
        1 => index().prop_map(Act::WrongRow),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn the_swarm_comes_to_the_same(acts in prop::collection::vec(act(), 40..120)) {
        let mut twins = Twins::start(&folder("sim/tests/modes/swarm"));
        for act in &acts {
            twins.carry_out(act);
        }
    }
}

#[test]
fn every_mode_comes_to_the_same() {
    let modes = [
        ("sim/tests/modes/crossing", 80),
        ("sim/tests/modes/gallery", 120),
        ("sim/tests/modes/order", 80),
        ("assets/modes/minimal", 80),
        ("assets/modes/royale", 150),
    ];
    for (mode, ticks) in modes {
        let mut twins = Twins::start(&folder(mode));
        for client in 1..=10 {
            let name = Value::Str(format!("client {client}"));
            twins.post("join", &[Value::Int(client), name]);
        }
        for tick in 0..ticks {
            let owned = twins.thread.tables().iter().flat_map(|table| &table.ids);
            let mut ids: Vec<_> = owned.copied().filter(|id| id.0 % 3 == 0).collect();
            ids.sort_unstable();
            let command = |id: EntityId| Command {
                move_x: ((id.0 * 7 + tick) % 9) as f32 / 8.0,
                yaw: ((id.0 + tick) % 6) as f32 - 3.0,
                buttons: (tick % 64) as u16,
                view: (tick * 16) as u16,
                ..Command::default()
            };
            let commands: Vec<_> = ids.iter().map(|id| (*id, command(*id))).collect();
            twins.step(&commands, &[]);
        }
        assert!(!twins.thread.tables().iter().all(|table| table.is_empty()));
    }
}

#[test]
fn a_process_that_starts_late_knows_the_past() {
    // Shots of the gallery go back in time.
    let mut twins = Twins::start(&folder("sim/tests/modes/gallery"));
    for _ in 0..40 {
        twins.step(&[], &[]);
    }
    let config = scripts(&folder("sim/tests/modes/gallery"));
    twins.process = start(&config, &twins.slots).expect("another process");
    let mut fresh = ScriptZone::start(&config).expect("another zone");
    for (kind, table) in twins.thread.tables().iter().enumerate() {
        for (row, id) in table.ids.iter().enumerate() {
            let mut bytes = Vec::new();
            table.write_row(row, &mut bytes);
            let kind = KindId(kind as u8);
            twins.process.insert(kind, *id, &bytes).expect("it fits");
            fresh.insert(kind, *id, &bytes).expect("it fits");
        }
    }
    twins.thread = fresh;
    for _ in 0..40 {
        twins.step(&[], &[]);
    }
}
