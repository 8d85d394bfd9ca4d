//! Messages and births come in an order that no partition changes.

mod common;

use common::{field, rows, simulation};
use tessera_protocol::ValueRef;
use tessera_protocol::ids::EntityId;
use tessera_sim::TickInputs;

#[test]
fn messages_arrive_by_sender_and_sequence_and_children_by_parent() {
    for (columns, rows_) in [(1, 1), (4, 1), (4, 4)] {
        let mut simulation = simulation("order", 5, columns, rows_);
        for tick in 1..=6 {
            let output = simulation
                .step(&TickInputs::default())
                .expect("no zone stops");
            let reader = rows(&simulation, &output.snapshot, "Reader")[0];
            let value = |name| reader.field(field(&simulation, "Reader", name));
            assert_eq!(value("in_order"), ValueRef::Bool(true), "tick {tick}");
            let senders = match tick {
                1 => 0,      // Nothing has been sent yet.
                2..=4 => 20, // The children are born in tick 3 and first speak in tick 4.
                _ => 40,
            };
            assert_eq!(value("count"), ValueRef::U32(3 * senders), "tick {tick}");
        }
        let snapshot = simulation.snapshot().clone();
        let senders = rows(&simulation, &snapshot, "Sender");
        assert_eq!(senders.len(), 40);
        let parent = field(&simulation, "Sender", "parent");
        for (child, at) in senders[20..].iter().zip(0..) {
            // Sender 2 is the first parent, and its child the first after the twenty.
            assert_eq!(child.id(), EntityId(22 + at));
            assert_eq!(child.field(parent), ValueRef::U32(2 + at));
        }
    }
}
