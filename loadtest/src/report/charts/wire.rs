//! What the state costs on its way to the clients.

use super::ranges::ranges;
use crate::report::format;
use crate::report::schema::WireReport;

/// Choosing and coding, per tick.
pub fn encode_ranges(wire: &WireReport) -> String {
    let rows = [
        ("interest".to_owned(), wire.interest_us, "c2"),
        ("encoding".to_owned(), wire.encode_us, "c5"),
        ("both".to_owned(), wire.state_us, "c1"),
    ];
    let label = "Interest and encoding per tick, all clients";
    ranges(label, 40.0, &rows, format::micros)
}

/// How many bits one entity takes.
pub fn entity_bits(wire: &WireReport) -> String {
    let rows = [("entity".to_owned(), wire.bits_per_entity, "c4")];
    ranges("Bits of an entity in a datagram", 40.0, &rows, |bits| {
        format!("{} bit", format::significant(bits))
    })
}
