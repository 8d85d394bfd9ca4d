//! Entities that come and go leave nothing behind. Alone in its process, since CPython counts the
//! memory blocks of all interpreters together.

mod common;

use common::{Mode, Zone};
use tessera_protocol::ids::{EntityId, KindId};

const UNIT: &str = r#"
    import sys
    class Unit(Entity):
        n: u32 = field(0)
        name: str = field("", max=32)
        brain: object = field(None)
        def tick(self, dt):
            self.n += 1
            self.brain = [self.n, {"path": [Vec3(1, 2, 3)] * 3}]
    class Watcher(Entity):
        views: u32 = field(0)
        def tick(self, dt): self.views = len(self.near(90.0, Unit)) + len(find(Unit))
    def start(world):
        world.spawn(Watcher)
        for n in range(3): world.spawn(Unit, n=n, name=f"unit {n}", position=Vec3(n, 0, 0))
"#;

#[test]
fn a_thousand_comings_and_goings_leave_no_object_behind() {
    let mode = Mode::new(&format!(
        "{}\n{}",
        common::dedent(UNIT),
        common::dedent(
            r#"
            import gc
            class Census(Entity):
                count: u32 = field(0)
                blocks: u32 = field(0)
                def on_census(self, sender):
                    gc.collect()
                    self.count = sum(isinstance(one, Unit) for one in gc.get_objects.__wrapped__())
                    self.blocks = sys.getallocatedblocks.__wrapped__()
            "#
        )
    ));
    let mut zone = mode.zone();
    zone.run_start();
    let (unit, census) = (zone.kind("Unit"), zone.kind("Census"));
    let mut row = zone.row(2);
    zone.step();
    row.clear();
    row.extend(zone.row(2)); // with a brain of lists and dicts
    let mut empty = Vec::new();
    base_row(&mut empty);
    empty.extend([0; 8]);
    zone.scripts
        .insert(census, EntityId(10_000), &empty)
        .expect("the census");
    let count = |zone: &mut Zone| {
        zone.post(tessera_python::Message {
            target: EntityId(10_000),
            sender: EntityId::NONE,
            seq: 0,
            payload: tessera_python::Payload::new("census", &[]),
        });
        zone.step();
        zone.assert_clean();
        (zone.field(10_000, "count"), zone.field(10_000, "blocks"))
    };
    let cycle = |zone: &mut Zone, id: EntityId, kind: KindId| {
        zone.scripts.insert(kind, id, &row).expect("born");
        zone.begin();
        zone.scripts.run_hooks(&Vec::new(), &[], &[]);
        zone.scripts.gather();
        zone.scripts.demote(id);
        zone.scripts.insert(kind, id, &row).expect("back");
        zone.scripts.demote(id);
        zone.scripts.ghost_remove(id);
    };
    for n in 0..20 {
        cycle(&mut zone, EntityId(100 + n), unit);
    }
    count(&mut zone);
    let before = count(&mut zone);
    for n in 0..1000 {
        cycle(&mut zone, EntityId(200 + n), unit);
    }
    count(&mut zone);
    let after = count(&mut zone);
    assert_eq!(before.0, after.0, "units");
    let blocks = |text: &str| -> i64 {
        text.trim_start_matches("U32(")
            .trim_end_matches(')')
            .parse()
            .expect("a number")
    };
    let grown = blocks(&after.1) - blocks(&before.1);
    assert!(grown.abs() < 100, "{grown} blocks in 1,000 lives");
}

/// The base fields, all zero.
fn base_row(row: &mut Vec<u8>) {
    row.extend([0; 24 + 24 + 4 + 4 + 2]);
}
