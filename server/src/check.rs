//! `tessera check`: a mode's declarations as the engine understands them.

use std::fmt;
use std::sync::Arc;

use tessera_protocol::{Audience, Field, FieldTable, FieldType, Kind, Quantization};
use tessera_sim::Simulation;

use crate::assets::Assets;
use crate::config::Config;
use crate::error::Error;
use crate::setup;

/// What a mode declares, printed as a table.
#[derive(Debug)]
pub struct Declarations {
    mode: String,
    table: Arc<FieldTable>,
}

/// Loads the mode into an interpreter, as a zone would: of this process, or of one of its own.
///
/// # Errors
/// Where the mode or the map is not there, or the mode does not load: the file and line at fault; a system
/// that lacks what process zones need.
pub fn run(config: &Config, assets: &Assets) -> Result<Declarations, Error> {
    let table = Simulation::check(&setup::simulation(config, assets)?)?;
    Ok(Declarations {
        mode: config.mode.clone(),
        table,
    })
}

impl fmt::Display for Declarations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.table.kinds.len();
        let plural = if kinds == 1 { "kind" } else { "kinds" };
        let hash = self.table.hash();
        writeln!(
            f,
            "{}: {kinds} {plural}, declarations {hash:016x}",
            self.mode
        )?;
        for kind in &self.table.kinds {
            write_kind(f, kind)?;
        }
        Ok(())
    }
}

fn write_kind(f: &mut fmt::Formatter<'_>, kind: &Kind) -> fmt::Result {
    write!(f, "\n{}", kind.name)?;
    if kind.is_match {
        write!(f, ", hears of clients joining and leaving")?;
    }
    if let Some(hitbox) = &kind.hitbox {
        write!(
            f,
            ", hit in a capsule {} m high, radius {} m",
            hitbox.height, hitbox.radius
        )?;
        if let Some(when) = hitbox.when {
            write!(f, ", while {}", kind.fields[usize::from(when)].name)?;
        }
    }
    if let Some(projectile) = &kind.projectile {
        write!(
            f,
            ", moved by the engine, gravity {} m/s²",
            projectile.gravity
        )?;
    }
    if let Some(walker) = &kind.walker {
        let rules = &walker.rules;
        write!(
            f,
            ", walks at {} m/s, predicted by its client",
            rules.walk_speed
        )?;
    }
    let rows: Vec<[String; 5]> = kind.fields.iter().map(describe).collect();
    let heads = ["field", "type", "to", "wire bits", "on the wire"].map(str::to_owned);
    let width = |column: usize| {
        let cells = rows
            .iter()
            .chain([&heads])
            .map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: [usize; 5] = std::array::from_fn(width);
    writeln!(f)?;
    for row in [&heads].into_iter().chain(&rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("  {cell:<width$}"));
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

fn describe(field: &Field) -> [String; 5] {
    let (bits, how) = match field.audience {
        Audience::Nobody => ("-".to_owned(), String::new()),
        _ => on_the_wire(field),
    };
    [
        field.name.clone(),
        field.ty.to_string(),
        field.audience.to_string(),
        bits,
        how,
    ]
}

/// Bits of a field in a state datagram, and how it is rounded.
fn on_the_wire(field: &Field) -> (String, String) {
    let components = if field.ty == FieldType::Vec3 { 3 } else { 1 };
    match field.quantization {
        Quantization::Range { min, max, bits } => {
            let step = (max - min) / (2f64.powi(i32::from(bits)) - 1.0);
            let how = format!("{min} to {max} in steps of {step:.3}");
            ((components * u32::from(bits)).to_string(), how)
        }
        Quantization::Angle { bits } => {
            let step = 360.0 / 2f64.powi(i32::from(bits));
            (bits.to_string(), format!("angle in steps of {step:.3}°"))
        }
        Quantization::Exact => {
            let bits = match field.ty {
                FieldType::Bool => "1",
                FieldType::U8 => "8 to 16",
                FieldType::U16 => "8 to 24",
                FieldType::U32 | FieldType::I32 | FieldType::Entity => "8 to 40",
                FieldType::F32 => "32",
                FieldType::F64 => "64",
                FieldType::Vec3 => "192",
                FieldType::Str { .. } | FieldType::Bytes { .. } => "8 + its bytes",
                FieldType::Object => "-",
            };
            (bits.to_owned(), "exact".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_protocol::{Hitbox, base};

    #[test]
    fn the_table_tells_kinds_fields_bits_and_audience() {
        let mut fields = base::fields(1000.0).to_vec();
        fields.push(Field {
            name: "health".into(),
            ty: FieldType::F32,
            quantization: Quantization::Range {
                min: 0.0,
                max: 100.0,
                bits: 8,
            },
            audience: Audience::Owner,
        });
        let kind = Kind {
            name: "Player".into(),
            fields,
            hitbox: Some(Hitbox {
                radius: 0.4,
                height: 1.8,
                when: None,
            }),
            projectile: None,
            walker: None,
            is_match: false,
        };
        let declarations = Declarations {
            mode: "royale".into(),
            table: Arc::new(FieldTable { kinds: vec![kind] }),
        };
        let text = declarations.to_string();
        let line = |name: &str| {
            let line = text
                .lines()
                .find(|line| line.trim_start().starts_with(name));
            let words = line.expect(name).split_whitespace();
            words.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            line("Player"),
            "Player, hit in a capsule 1.8 m high, radius 0.4 m"
        );
        assert_eq!(
            line("position"),
            "position vec3 everyone 60 -64 to 2033.15 in steps of 0.002"
        );
        assert_eq!(
            line("health"),
            "health f32 owner 8 0 to 100 in steps of 0.392"
        );
        assert_eq!(line("owner"), "owner u16 nobody -");
        assert!(text.starts_with("royale: 1 kind, declarations "), "{text}");
    }
}
