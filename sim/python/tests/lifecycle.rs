//! Entities come, go and change hands: they stay in sight, references don't pile up.

mod common;

use common::{Mode, Zone};
use tessera_protocol::columns::RowError;
use tessera_protocol::ids::EntityId;

const UNIT: &str = r#"
    import sys
    KEPT = []
    class Unit(Entity):
        n: u32 = field(0)
        name: str = field("", max=32)
        brain: object = field(None)
        def tick(self, dt):
            self.n += 1
            self.brain = [self.n, {"path": [Vec3(1, 2, 3)] * 3}]
    class Watcher(Entity):
        views: u32 = field(0)
        def on_keep(self, sender, id): KEPT.append(get(id))
        def on_seen(self, sender, id):
            kept = KEPT[-1]
            assert kept == get(id) and kept is not get(id), "a view is of one tick"
            assert kept.n == 1 and get(id).n >= kept.n
        def on_count(self, sender): self.views = len(self.near(90.0, Unit))
        def on_gone(self, sender, id): assert get(id) is None
    def start(world):
        world.spawn(Watcher)
        for n in range(3): world.spawn(Unit, n=n, name=f"unit {n}", position=Vec3(n, 0, 0))
"#;

const WATCHER: EntityId = EntityId(1);

fn ask(zone: &mut Zone, name: &str, id: u32) {
    let args = match name {
        "count" => vec![],
        _ => vec![tessera_protocol::Value::Int(id.into())],
    };
    zone.post(tessera_python::Message {
        target: WATCHER,
        sender: EntityId::NONE,
        seq: 0,
        payload: tessera_python::Payload::new(name, &args),
    });
    zone.step();
    zone.assert_clean();
}

#[test]
fn an_entity_stays_in_sight_from_own_to_ghost_and_back() {
    let mode = Mode::new(UNIT);
    let mut zone = mode.zone();
    zone.run_start();
    ask(&mut zone, "keep", 3);
    let unit = zone.kind("Unit");
    let row = zone.row(3);
    zone.scripts.demote(EntityId(3));
    assert!(zone.row(3).is_empty(), "no longer own");
    ask(&mut zone, "seen", 3);
    zone.scripts
        .insert(unit, EntityId(3), &row)
        .expect("it comes back");
    ask(&mut zone, "seen", 3);
    assert_eq!(
        zone.field(3, "name"),
        format!("{:?}", tessera_protocol::ValueRef::Var(b"unit 1"))
    );
    zone.scripts.remove(EntityId(3));
    ask(&mut zone, "gone", 3);
    zone.scripts
        .ghost_row(unit, EntityId(3), &row)
        .expect("a ghost");
    ask(&mut zone, "seen", 3);
    zone.scripts.ghost_remove(EntityId(3));
    ask(&mut zone, "gone", 3);
    ask(&mut zone, "count", 0);
    assert_eq!(zone.field(1, "views"), "U32(2)");
}

#[test]
fn ghosts_show_what_their_deltas_say() {
    let mode = Mode::new(
        r#"
        class Unit(Entity):
            n: u32 = field(0)
            brain: object = field(None)
        class Watcher(Entity):
            text: str = field("", max=200)
            def tick(self, dt):
                self.text = " ".join(f"{u!r} {u.n} {u.position.x} {u.brain}" for u in self.near(90.0))
        def start(world):
            world.spawn(Watcher)
            world.spawn(Unit, brain=[1])
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    let (unit, mut row, mut table) = {
        let unit = zone.kind("Unit");
        let table = zone.scripts.tables()[unit.index()].clone();
        (unit, zone.row(2), table)
    };
    zone.scripts.remove(EntityId(2));
    row[..8].copy_from_slice(&4.0_f64.to_le_bytes());
    zone.scripts
        .ghost_row(unit, EntityId(9), &row)
        .expect("a ghost");
    let text = |zone: &Zone| {
        let field = zone.scripts.tables()[zone.kind("Watcher").index()].columns[5].get(0);
        let tessera_protocol::ValueRef::Var(text) = field else {
            panic!("a str")
        };
        String::from_utf8(text.to_vec()).expect("UTF-8")
    };
    zone.step();
    assert_eq!(text(&zone), "<Unit 9> 0 4.0 (1,)");
    // Field 5 is `n`: the same way as a zone would write it.
    let tessera_protocol::Column::U32(n) = &mut table.columns[5] else {
        panic!("a u32")
    };
    n[0] = 77;
    let mut delta = Vec::new();
    table.write_delta(0, 1 << 5, &mut delta);
    zone.scripts
        .ghost_delta(EntityId(9), &delta)
        .expect("it fits");
    zone.step();
    assert_eq!(text(&zone), "<Unit 9> 77 4.0 (1,)");
    zone.scripts
        .ghost_delta(EntityId(1234), &delta)
        .expect("unknown ghosts are ignored");
    assert!(zone.scripts.ghost_delta(EntityId(9), &[1, 2]).is_err());
    zone.assert_clean();
}

#[test]
fn rows_that_do_not_fit_change_nothing() {
    let mode = Mode::new(UNIT);
    let mut zone = mode.zone();
    zone.run_start();
    let (unit, row) = (zone.kind("Unit"), zone.row(2));
    let id = EntityId(50);
    assert_eq!(
        zone.scripts.insert(unit, EntityId(2), &row),
        Err(RowError::Duplicate(EntityId(2)))
    );
    assert!(zone.scripts.insert(unit, id, &row[..9]).is_err());
    assert!(zone.scripts.insert(unit, EntityId(0), &row).is_err());
    assert!(
        zone.scripts.ghost_row(unit, EntityId(2), &row).is_err(),
        "it is own"
    );
    assert!(zone.row(50).is_empty());
    zone.scripts.remove(id);
    zone.scripts.demote(id);
    zone.scripts.ghost_remove(id);
    zone.step();
    zone.assert_clean();
}
