//! Rows become slots and slots become rows, without a bit of difference.

mod common;

use common::{Mode, Zone};
use proptest::prelude::*;
use tessera_protocol::ids::{EntityId, KindId};
use tessera_protocol::{FieldType, Kind};

/// All types of fields but `object`, whose values the clone's own tests vary.
const ALL: &str = r#"
    class All(Entity):
        a: bool = field(False)
        b: u8 = field(0)
        c: u16 = field(0)
        d: u32 = field(0)
        e: i32 = field(0)
        f: f32 = field(0.0)
        g: f64 = field(0.0)
        h: Vec3 = field(Vec3())
        i: ref = field(0)
        j: str = field("", max=40)
        k: bytes = field(b"", max=40)
        def tick(self, dt):
            # New objects of equal value, and for entity 1 those of entity 2.
            o = get(2) if self.id == 1 else self
            self.position = Vec3(*o.position)
            self.velocity = Vec3(o.velocity.x, o.velocity.y, o.velocity.z)
            self.yaw = float(repr(o.yaw))
            self.pitch = -(-o.pitch)
            self.owner = int(str(o.owner))
            self.a = not (not o.a)
            self.b = int(str(o.b))
            self.c = int(str(o.c))
            self.d = int(str(o.d))
            self.e = int(str(o.e))
            self.f = float(repr(o.f))
            self.g = float(repr(o.g))
            self.h = Vec3(*o.h)
            self.i = int(str(o.i))
            self.j = "".join(list(o.j))
            self.k = bytes(list(o.k))
    def start(world): pass
"#;

fn finite32() -> impl Strategy<Value = f32> {
    any::<u32>()
        .prop_map(f32::from_bits)
        .prop_filter("finite", |number| number.is_finite())
}

fn finite64() -> impl Strategy<Value = f64> {
    any::<u64>()
        .prop_map(f64::from_bits)
        .prop_filter("finite", |number| number.is_finite())
}

/// A random row of a field, as bytes.
fn field(ty: FieldType) -> BoxedStrategy<Vec<u8>> {
    let sized = |bytes: Vec<u8>| [&(bytes.len() as u32).to_le_bytes()[..], &bytes].concat();
    match ty {
        FieldType::Bool => any::<bool>().prop_map(|v| vec![u8::from(v)]).boxed(),
        FieldType::U8 => any::<u8>().prop_map(|v| vec![v]).boxed(),
        FieldType::U16 => any::<u16>().prop_map(|v| v.to_le_bytes().to_vec()).boxed(),
        FieldType::U32 | FieldType::I32 | FieldType::Entity => {
            any::<u32>().prop_map(|v| v.to_le_bytes().to_vec()).boxed()
        }
        FieldType::F32 => finite32().prop_map(|v| v.to_le_bytes().to_vec()).boxed(),
        FieldType::F64 => finite64().prop_map(|v| v.to_le_bytes().to_vec()).boxed(),
        FieldType::Vec3 => [finite64(), finite64(), finite64()]
            .prop_map(|v| v.map(f64::to_le_bytes).concat())
            .boxed(),
        FieldType::Str { .. } => "\\PC{0,10}"
            .prop_map(move |text| sized(text.into_bytes()))
            .boxed(),
        FieldType::Bytes { .. } => prop::collection::vec(any::<u8>(), 0..40)
            .prop_map(sized)
            .boxed(),
        FieldType::Object => unreachable!("not declared"),
    }
}

fn row(kind: &Kind) -> impl Strategy<Value = Vec<u8>> + use<> {
    let fields: Vec<_> = kind
        .fields
        .iter()
        .map(|declared| field(declared.ty))
        .collect();
    fields.prop_map(|fields| fields.concat())
}

/// What one tick of two entities with these rows leaves.
fn tick(zone: &mut Zone, rows: [&[u8]; 2]) {
    for (id, row) in (1..).zip(rows) {
        zone.scripts.remove(EntityId(id));
        zone.scripts
            .insert(KindId(0), EntityId(id), row)
            .expect("the row is one of the kind");
    }
    zone.step();
    zone.assert_clean();
}

#[test]
fn any_row_survives_slots_and_gather() {
    let mode = Mode::new(ALL);
    let mut zone = mode.zone();
    let kind = zone.scripts.field_table().kinds[0].clone();
    let mut runner = proptest::test_runner::TestRunner::default();
    let zone = std::cell::RefCell::new(&mut zone);
    runner
        .run(&(row(&kind), row(&kind)), |(one, two)| {
            let mut zone = zone.borrow_mut();
            tick(&mut zone, [&one, &two]);
            prop_assert_eq!(zone.row(2), &two[..], "values that were written anew");
            prop_assert_eq!(zone.row(1), &two[..], "values of another entity");
            let differ = one != two;
            let changed: Vec<_> = zone
                .scripts
                .changed()
                .iter()
                .map(|(id, _, _)| id.0)
                .collect();
            prop_assert_eq!(changed, if differ { vec![1] } else { vec![] });
            // What is stored is what the next tick starts from: another copy changes nothing.
            zone.step();
            zone.assert_clean();
            prop_assert!(zone.scripts.changed().is_empty());
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn the_mask_names_the_fields_that_changed() {
    let mode = Mode::new(
        r#"
        class Thing(Entity):
            a: f32 = field(1.0)
            b: f32 = field(2.0)
            c: str = field("x", max=4)
            def tick(self, dt):
                if tick() == 0: self.a = 1.5
                if tick() == 1: self.b, self.c = 2.0, "xy"[:1]
                if tick() == 2: self.position = Vec3(1, 0, 0); self.c = "y"
                if tick() == 3: self.a += 1e-9
        def start(world): world.spawn(Thing)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    for mask in [1 << 5, 0, 1 | 1 << 7, 0] {
        zone.step();
        let changed: Vec<_> = zone
            .scripts
            .changed()
            .iter()
            .map(|(_, _, mask)| *mask)
            .collect();
        assert_eq!(changed, if mask == 0 { vec![] } else { vec![mask] });
    }
    zone.assert_clean();
}

#[test]
fn singles_are_rounded_where_the_script_sees_it() {
    let mode = Mode::new(
        r#"
        class Thing(Entity):
            a: f32 = field(0.0)
            def tick(self, dt):
                if tick() == 0: self.a = 0.1
                else: assert self.a == 0.10000000149011612 and get(self.id).a == self.a
        def start(world): world.spawn(Thing)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    zone.step();
    zone.assert_clean();
}

#[test]
fn objects_start_each_tick_as_clones_of_what_was_stored() {
    let mode = Mode::new(
        r#"
        kept = []
        class Thing(Entity):
            brain: object = field({"path": [1, 2]})
            def tick(self, dt):
                view = get(self.id)
                assert repr(view.brain) == "mappingproxy({'path': (1, 2)})", view.brain
                assert self.brain == {"path": [1, 2]}, self.brain
                if tick() == 0: kept.append(self.brain["path"])  # an alias of the state
                elif tick() == 1: kept[0].append(3)              # which has been cut by now
                elif tick() == 2:
                    self.brain["path"].append(9)
                    raise ValueError("back at S_t")
                elif tick() == 3: self.brain["path"] = [1, 2]
        def start(world): world.spawn(Thing)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    let stored = zone.field(1, "brain");
    for _ in 0..5 {
        zone.step();
        assert_eq!(zone.field(1, "brain"), stored);
        assert!(zone.scripts.changed().is_empty());
    }
    assert_eq!(zone.errors(), ["ValueError: back at S_t"]);
}

#[test]
fn immutable_objects_keep_their_identity() {
    let mode = Mode::new(
        r#"
        kept = []
        class Frozen(Entity):
            plan: object = field((1, "two", Vec3(3, 3, 3)))
            def tick(self, dt):
                assert self.plan is get(self.id).plan
                if kept: assert self.plan is kept[-1]
                if tick() == 2: self.plan = (1, "2", (b"3", None))
                kept.append(self.plan)
        def start(world): world.spawn(Frozen)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    for tick in 0..5 {
        zone.step();
        assert_eq!(zone.scripts.changed().len(), usize::from(tick == 2));
    }
    zone.assert_clean();
}
