//! Fields that every kind begins with, in this order.

use super::{Audience, Field, FieldType, Quantization};

/// `Vec3`, metres; for a character its feet.
pub const POSITION: usize = 0;
/// `Vec3`, metres per second.
pub const VELOCITY: usize = 1;
/// `F32`, radians about +y in [-π, π), 0 looks along -z.
pub const YAW: usize = 2;
/// `F32`, radians above the horizon in [-π/2, π/2].
pub const PITCH: usize = 3;
/// `U16`, the client that steers it: its slot + 1, or 0. Nobody receives it: a client is told
/// which entity is its own.
pub const OWNER: usize = 4;
/// Number of base fields.
pub const COUNT: usize = 5;

/// Steps of positions on the wire, metres.
pub const POSITION_STEP_M: f64 = 0.002;

/// The base fields for a map whose side is `map_size` metres.
pub fn fields(map_size: f64) -> [Field; COUNT] {
    // Fliers and debris may leave the map a bit.
    let margin = 64.0;
    let steps = (map_size + 2.0 * margin) / POSITION_STEP_M;
    let bits = steps.log2().ceil().clamp(1.0, 32.0);
    let everyone = |name: &str, ty, quantization| Field {
        name: name.to_owned(),
        ty,
        quantization,
        audience: Audience::Everyone,
    };
    let position = Quantization::Range {
        min: -margin,
        max: (bits.exp2() - 1.0).mul_add(POSITION_STEP_M, -margin),
        bits: bits as u8,
    };
    // Steps of 1/32 m/s, and zero is one of them: what lies still is told to lie still.
    let velocity = Quantization::Range {
        min: -128.0,
        max: 128.0 - 1.0 / 32.0,
        bits: 13,
    };
    [
        everyone("position", FieldType::Vec3, position),
        everyone("velocity", FieldType::Vec3, velocity),
        everyone("yaw", FieldType::F32, Quantization::Angle { bits: 12 }),
        everyone("pitch", FieldType::F32, Quantization::Angle { bits: 12 }),
        Field {
            name: "owner".to_owned(),
            ty: FieldType::U16,
            quantization: Quantization::Exact,
            audience: Audience::Nobody,
        },
    ]
}
