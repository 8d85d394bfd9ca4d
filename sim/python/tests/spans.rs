//! What each call of a hook took, for whoever wants to know.

mod common;

use std::cell::Cell;

use common::Mode;
use tessera_protocol::Value;
use tessera_protocol::ids::EntityId;
use tessera_python::{HookId, HookSpan, Message, Payload};

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// A nanosecond later each time.
fn clock() -> u64 {
    NOW.replace(NOW.get() + 1)
}

#[test]
fn a_span_a_call_under_its_name() {
    let mode = Mode::new(
        r#"
        class Bot(Entity):
            def tick(self, dt):
                if tick() == 2: 1 / 0
            def on_hit(self, sender, damage): pass
        class Boss(Bot):
            def tick(self, dt): pass
        def start(world):
            world.spawn(Boss)
            world.spawn(Bot)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    let mut spans: Vec<HookSpan> = Vec::new();
    zone.step();
    zone.scripts.take_spans(&mut spans);
    assert!(spans.is_empty(), "nobody has asked");
    zone.scripts.trace(Some(clock));
    zone.post(Message {
        target: EntityId(2),
        sender: EntityId::NONE,
        seq: 0,
        payload: Payload::new("hit", &[Value::Int(1)]),
    });
    zone.step();
    zone.step();
    zone.scripts.trace(None);
    zone.step();
    zone.scripts.take_spans(&mut spans);
    let told: Vec<_> = spans
        .iter()
        .map(|span| {
            let name = zone.scripts.hook_name(span.hook);
            (name, span.entity.0, span.start_ns, span.end_ns)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("Boss.tick", 1, 0, 1),
            ("Bot.on_hit", 2, 2, 3),
            ("Bot.tick", 2, 4, 5),
            ("Boss.tick", 1, 6, 7),
            ("Bot.tick", 2, 8, 9),
        ]
    );
    assert!(spans.iter().all(|span| {
        let kind = &zone.scripts.field_table().kinds[span.kind.index()].name;
        zone.scripts.hook_name(span.hook).starts_with(&**kind)
    }));
    zone.scripts.take_spans(&mut spans);
    assert!(spans.is_empty(), "they are told once");
    assert_eq!(zone.scripts.hook_name(HookId(999)), "scripts between hooks");
}
