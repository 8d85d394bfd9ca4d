//! Nobody is lost or doubled at a border.

mod common;

use common::{field, rows, simulation};
use tessera_protocol::ValueRef;
use tessera_protocol::ids::EntityId;
use tessera_sim::TickInputs;

#[test]
fn a_hundred_thousand_crossings_lose_and_double_nobody() {
    const CROSSINGS: u64 = 100_000;
    let mut simulation = simulation("crossing", 11, 4, 4);
    let everyone: Vec<EntityId> = (2..=201).map(EntityId).collect();
    let age = field(&simulation, "Mover", "age");
    let mut ticks = 0u32;
    loop {
        let output = simulation
            .step(&TickInputs::default())
            .expect("no zone stops");
        ticks += 1;
        let movers = rows(&simulation, &output.snapshot, "Mover");
        let ids: Vec<EntityId> = movers.iter().map(|row| row.id()).collect();
        assert_eq!(ids, everyone, "after tick {ticks}");
        for row in &movers {
            // A tick that ran twice, or not at all, would show here.
            assert_eq!(row.field(age), ValueRef::U32(ticks), "{:?}", row.id());
        }
        if ticks.is_multiple_of(50) {
            let report = simulation.report();
            let came: u64 = report.zones.iter().map(|zone| zone.handoffs_in).sum();
            let entities: u64 = report.zones.iter().map(|zone| zone.entities).sum();
            // Those of the last tick are still on their way, and nobody runs them meanwhile.
            assert_eq!(report.handoffs() - came, 201 - entities);
            if report.handoffs() >= CROSSINGS {
                break;
            }
        }
    }
    assert_eq!(simulation.entities(), 201);
}
