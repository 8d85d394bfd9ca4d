//! The field table in the handshake.

use flatbuffers::{FlatBufferBuilder, WIPOffset};

use crate::fields::{
    Audience, Field, FieldTable, FieldType, Hitbox, Kind, Projectile, Quantization, WalkRules,
    Walker,
};
use crate::generated::fields as fb;

impl FieldTable {
    /// The table as in the handshake, alone: what [`FieldTable::from_bytes`] reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let table = write_table(&mut builder, self);
        builder.finish_minimal(table);
        builder.finished_data().to_vec()
    }

    /// Reads what [`FieldTable::to_bytes`] wrote; `None` where the bytes are anything else, or no mode
    /// could have declared the table.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let table = flatbuffers::root::<fb::FieldTable<'_>>(bytes).ok()?;
        let table = read_table(table)?;
        table.check().is_ok().then_some(table)
    }
}

/// Writes a table.
pub(super) fn write_table<'b>(
    builder: &mut FlatBufferBuilder<'b>,
    table: &FieldTable,
) -> WIPOffset<fb::FieldTable<'b>> {
    let kinds: Vec<_> = table
        .kinds
        .iter()
        .map(|kind| write_kind(builder, kind))
        .collect();
    let kinds = Some(builder.create_vector(&kinds));
    fb::FieldTable::create(builder, &fb::FieldTableArgs { kinds })
}

fn write_kind<'b>(builder: &mut FlatBufferBuilder<'b>, kind: &Kind) -> WIPOffset<fb::Kind<'b>> {
    let fields: Vec<_> = kind
        .fields
        .iter()
        .map(|field| write_field(builder, field))
        .collect();
    let hitbox = kind.hitbox.map(
        |Hitbox {
             radius,
             height,
             when,
         }| {
            fb::Hitbox::create(
                builder,
                &fb::HitboxArgs {
                    radius,
                    height,
                    when,
                },
            )
        },
    );
    let projectile = kind.projectile.map(|Projectile { gravity }| {
        fb::Projectile::create(builder, &fb::ProjectileArgs { gravity })
    });
    let walker = kind
        .walker
        .as_ref()
        .map(|walker| write_walker(builder, walker));
    let args = fb::KindArgs {
        name: Some(builder.create_string(&kind.name)),
        fields: Some(builder.create_vector(&fields)),
        hitbox,
        projectile,
        is_match: kind.is_match,
        walker,
    };
    fb::Kind::create(builder, &args)
}

fn write_walker<'b>(
    builder: &mut FlatBufferBuilder<'b>,
    walker: &Walker,
) -> WIPOffset<fb::Walker<'b>> {
    let WalkRules {
        radius,
        height,
        crouched_height,
        step,
        walk_speed,
        sprint_speed,
        crouch_speed,
        jump_speed,
        gravity,
        ground_acceleration,
        air_acceleration,
        glide_speed,
        glide_sink,
    } = walker.rules;
    let rules = fb::WalkRules::new(
        radius,
        height,
        crouched_height,
        step,
        walk_speed,
        sprint_speed,
        crouch_speed,
        jump_speed,
        gravity,
        ground_acceleration,
        air_acceleration,
        glide_speed,
        glide_sink,
    );
    let args = fb::WalkerArgs {
        rules: Some(&rules),
        grounded: walker.grounded,
        crouched: walker.crouched,
        gliding: walker.gliding,
        when: walker.when,
    };
    fb::Walker::create(builder, &args)
}

fn write_field<'b>(builder: &mut FlatBufferBuilder<'b>, field: &Field) -> WIPOffset<fb::Field<'b>> {
    let (type_, max_len) = match field.ty {
        FieldType::Bool => (fb::Type::Bool, 0),
        FieldType::U8 => (fb::Type::U8, 0),
        FieldType::U16 => (fb::Type::U16, 0),
        FieldType::U32 => (fb::Type::U32, 0),
        FieldType::I32 => (fb::Type::I32, 0),
        FieldType::F32 => (fb::Type::F32, 0),
        FieldType::F64 => (fb::Type::F64, 0),
        FieldType::Vec3 => (fb::Type::Vec3, 0),
        FieldType::Entity => (fb::Type::Entity, 0),
        FieldType::Str { max } => (fb::Type::Str, max),
        FieldType::Bytes { max } => (fb::Type::Bytes, max),
        FieldType::Object => (fb::Type::Object, 0),
    };
    let (rounding, min, max, bits) = match field.quantization {
        Quantization::Exact => (fb::Rounding::Exact, 0.0, 0.0, 0),
        Quantization::Range { min, max, bits } => (fb::Rounding::Range, min, max, bits),
        Quantization::Angle { bits } => (fb::Rounding::Angle, 0.0, 0.0, bits),
    };
    let audience = match field.audience {
        Audience::Everyone => fb::Audience::Everyone,
        Audience::Owner => fb::Audience::Owner,
        Audience::Nobody => fb::Audience::Nobody,
    };
    let name = Some(builder.create_string(&field.name));
    let args = fb::FieldArgs {
        name,
        type_,
        max_len,
        rounding,
        min,
        max,
        bits,
        audience,
    };
    fb::Field::create(builder, &args)
}

/// Reads a table; `None` where it says something that this build doesn't know. Whether it makes
/// sense is for [`FieldTable::check`] to say.
pub(super) fn read_table(table: fb::FieldTable<'_>) -> Option<FieldTable> {
    let kinds = table.kinds().iter().map(read_kind).collect::<Option<_>>()?;
    Some(FieldTable { kinds })
}

fn read_kind(kind: fb::Kind<'_>) -> Option<Kind> {
    Some(Kind {
        name: kind.name().to_owned(),
        fields: kind
            .fields()
            .iter()
            .map(read_field)
            .collect::<Option<_>>()?,
        hitbox: kind.hitbox().map(|hitbox| Hitbox {
            radius: hitbox.radius(),
            height: hitbox.height(),
            when: hitbox.when(),
        }),
        projectile: kind.projectile().map(|p| Projectile {
            gravity: p.gravity(),
        }),
        walker: kind.walker().map(read_walker),
        is_match: kind.is_match(),
    })
}

fn read_walker(walker: fb::Walker<'_>) -> Walker {
    let rules = walker.rules();
    Walker {
        rules: WalkRules {
            radius: rules.radius(),
            height: rules.height(),
            crouched_height: rules.crouched_height(),
            step: rules.step(),
            walk_speed: rules.walk_speed(),
            sprint_speed: rules.sprint_speed(),
            crouch_speed: rules.crouch_speed(),
            jump_speed: rules.jump_speed(),
            gravity: rules.gravity(),
            ground_acceleration: rules.ground_acceleration(),
            air_acceleration: rules.air_acceleration(),
            glide_speed: rules.glide_speed(),
            glide_sink: rules.glide_sink(),
        },
        grounded: walker.grounded(),
        crouched: walker.crouched(),
        gliding: walker.gliding(),
        when: walker.when(),
    }
}

fn read_field(field: fb::Field<'_>) -> Option<Field> {
    let ty = match field.type_() {
        fb::Type::Bool => FieldType::Bool,
        fb::Type::U8 => FieldType::U8,
        fb::Type::U16 => FieldType::U16,
        fb::Type::U32 => FieldType::U32,
        fb::Type::I32 => FieldType::I32,
        fb::Type::F32 => FieldType::F32,
        fb::Type::F64 => FieldType::F64,
        fb::Type::Vec3 => FieldType::Vec3,
        fb::Type::Entity => FieldType::Entity,
        fb::Type::Str => FieldType::Str {
            max: field.max_len(),
        },
        fb::Type::Bytes => FieldType::Bytes {
            max: field.max_len(),
        },
        fb::Type::Object => FieldType::Object,
        _ => return None,
    };
    let quantization = match field.rounding() {
        fb::Rounding::Exact => Quantization::Exact,
        fb::Rounding::Range => Quantization::Range {
            min: field.min(),
            max: field.max(),
            bits: field.bits(),
        },
        fb::Rounding::Angle => Quantization::Angle { bits: field.bits() },
        _ => return None,
    };
    let audience = match field.audience() {
        fb::Audience::Everyone => Audience::Everyone,
        fb::Audience::Owner => Audience::Owner,
        fb::Audience::Nobody => Audience::Nobody,
        _ => return None,
    };
    Some(Field {
        name: field.name().to_owned(),
        ty,
        quantization,
        audience,
    })
}
