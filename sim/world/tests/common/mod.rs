//! What the tests of this crate share.
#![allow(dead_code, unreachable_pub)] // each test file uses its part

use std::path::PathBuf;
use std::sync::OnceLock;

use glam::DVec3;
use tessera_world::{BoxKind, Character, Solid, World};

pub const PLAYER: Character = Character {
    radius: 0.4,
    height: 1.8,
    step: 0.4,
};
pub const GRAVITY: f64 = 9.81;

/// The map that the royale is played on, loaded once for all tests of a file.
pub fn island() -> &'static World {
    static ISLAND: OnceLock<World> = OnceLock::new();
    ISLAND.get_or_init(|| {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../assets/maps/island.toml");
        World::load(path).unwrap_or_else(|error| panic!("{error}"))
    })
}

/// A box that stands on the ground of a flat map.
pub fn standing_box(x: f64, z: f64, half: [f64; 3], yaw: f64) -> Solid {
    Solid::new(
        BoxKind::Crate,
        DVec3::new(x, half[1], z),
        DVec3::from(half),
        yaw,
    )
}

/// Numbers from a seed: splitmix64 (Steele, Lea and Flood, 2014).
pub struct Dice(pub u64);

impl Dice {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * ((self.bits() >> 11) as f64 / (1u64 << 53) as f64)
    }

    pub fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[(self.bits() % from.len() as u64) as usize]
    }
}

/// A map's file with a valid value for every key, on a 32 m square, for tests to spoil.
pub const SMALL_MAP: &str = r#"format = 1
name = "small"
size = 32.0
terrain = { heights = "small.heights", cell = 4.0, base = -2.0, step = 0.001 }
spawn_points = [
  [10.0, 12.5],
]
loot_points = [[20.0, 20.0], [21.0, 8.0]]
boxes = [
  { kind = "wall", at = [16.0, 1.5, 16.0], half = [4.0, 1.5, 0.15], yaw = 0.5 },
  { kind = "crate", at = [5.0, 0.5, 5.0], half = [0.5, 0.5, 0.5], yaw = 0.0 },
]
"#;

/// Heights for `SMALL_MAP`: a plane that rises by half a metre per sample along x.
pub fn small_heights() -> Vec<u8> {
    let mut bytes = b"TSHEIGHT".to_vec();
    bytes.extend(9u32.to_le_bytes());
    for index in 0..81u16 {
        bytes.extend((2000 + index % 9 * 500).to_le_bytes());
    }
    bytes
}
