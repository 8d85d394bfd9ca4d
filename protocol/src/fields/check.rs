//! Whether a declaration can be stored and sent.

use super::{
    Audience, FIELDS_MAX, Field, FieldTable, FieldType, KINDS_MAX, Kind, Quantization, base,
};

/// Most bytes that the fields of one entity may take on the wire, at their longest: a record has to
/// fit a datagram.
pub const RECORD_LEN_MAX: usize = 700;

/// What is wrong with a declaration.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum TableError {
    /// Too many kinds.
    #[error("{0} kinds are declared, at most {KINDS_MAX} are possible")]
    Kinds(usize),
    /// Too many fields.
    #[error(
        "{kind}: {fields} fields are declared, at most {FIELDS_MAX} are possible, base fields included"
    )]
    Fields {
        /// Name of the kind.
        kind: String,
        /// How many.
        fields: usize,
    },
    /// The base fields are not the first ones, or have other types.
    #[error("{kind}: the first {} fields are not the base fields", base::COUNT)]
    Base {
        /// Name of the kind.
        kind: String,
    },
    /// Two fields or two kinds are called the same.
    #[error("{0} is declared twice")]
    Twice(String),
    /// A field can't be rounded like this.
    #[error("{kind}.{field}: {problem}")]
    Field {
        /// Name of the kind.
        kind: String,
        /// Name of the field.
        field: String,
        /// What is wrong, and what is permitted.
        problem: &'static str,
    },
    /// The hitbox depends on a field that is no `Bool`.
    #[error("{kind}: its hitbox depends on field {field}, which is not a bool of this kind")]
    Hitbox {
        /// Name of the kind.
        kind: String,
        /// Index of the field.
        field: u16,
    },
    /// It can't walk like this.
    #[error("{kind}: its walker {problem}")]
    Walker {
        /// Name of the kind.
        kind: String,
        /// What is wrong, and what is permitted.
        problem: String,
    },
    /// A record may not fit a datagram.
    #[error(
        "{kind}: its fields take up to {len} bytes on the wire, at most {RECORD_LEN_MAX} are possible: \
         shorten a str or bytes field, or send it to nobody"
    )]
    Record {
        /// Name of the kind.
        kind: String,
        /// Bytes at the longest.
        len: usize,
    },
}

impl FieldTable {
    /// Whether everything that is declared can be stored and sent.
    ///
    /// # Errors
    /// Names the first kind and field that can't, and what would be permitted.
    pub fn check(&self) -> Result<(), TableError> {
        if self.kinds.len() > KINDS_MAX {
            return Err(TableError::Kinds(self.kinds.len()));
        }
        for (index, kind) in self.kinds.iter().enumerate() {
            if self.kinds[..index]
                .iter()
                .any(|other| other.name == kind.name)
            {
                return Err(TableError::Twice(kind.name.clone()));
            }
            kind.check()?;
        }
        Ok(())
    }
}

impl Kind {
    /// Whether everything that it declares can be stored and sent.
    ///
    /// # Errors
    /// Names the first field that can't, and what would be permitted.
    pub fn check(&self) -> Result<(), TableError> {
        let kind = || self.name.clone();
        if self.fields.len() > FIELDS_MAX {
            return Err(TableError::Fields {
                kind: kind(),
                fields: self.fields.len(),
            });
        }
        let types = base::fields(0.0).map(|field| field.ty);
        if !self
            .fields
            .iter()
            .map(|field| field.ty)
            .take(base::COUNT)
            .eq(types)
        {
            return Err(TableError::Base { kind: kind() });
        }
        for (index, field) in self.fields.iter().enumerate() {
            if self.fields[..index]
                .iter()
                .any(|other| other.name == field.name)
            {
                return Err(TableError::Twice(format!("{}.{}", self.name, field.name)));
            }
            field.check().map_err(|problem| TableError::Field {
                kind: kind(),
                field: field.name.clone(),
                problem,
            })?;
        }
        if let Some(field) = self.hitbox.and_then(|hitbox| hitbox.when)
            && self
                .fields
                .get(usize::from(field))
                .is_none_or(|f| f.ty != FieldType::Bool)
        {
            return Err(TableError::Hitbox {
                kind: kind(),
                field,
            });
        }
        if let Some(problem) = self.walker_fault() {
            return Err(TableError::Walker {
                kind: kind(),
                problem,
            });
        }
        let sent = self
            .fields
            .iter()
            .filter(|field| field.audience != Audience::Nobody);
        let bits: usize = sent.map(Field::wire_bits_max).sum();
        match bits.div_ceil(8) {
            len if len > RECORD_LEN_MAX => Err(TableError::Record { kind: kind(), len }),
            _ => Ok(()),
        }
    }
}

impl Kind {
    /// Why a client couldn't predict its walk.
    fn walker_fault(&self) -> Option<String> {
        let walker = self.walker.as_ref()?;
        if let Some((name, permitted)) = walker.rules.fault() {
            return Some(format!("needs a {name} {permitted}"));
        }
        let told = |index: u16| {
            let field = self.fields.get(usize::from(index));
            field.is_some_and(|f| f.ty == FieldType::Bool && f.audience != Audience::Nobody)
        };
        let untold = walker.fields().find(|index| !told(*index))?;
        Some(format!(
            "depends on field {untold}, which is not a bool of this kind that its owner is told"
        ))
    }
}

impl Field {
    fn check(&self) -> Result<(), &'static str> {
        use FieldType::{Bool, Bytes, Entity, Object, Str, Vec3};
        let number = !matches!(self.ty, Bool | Entity | Str { .. } | Bytes { .. } | Object);
        match self.quantization {
            _ if self.ty == Object && self.audience != Audience::Nobody => {
                Err("an object field can be sent to nobody only")
            }
            Quantization::Exact => Ok(()),
            _ if !number => Err("only numbers and vectors can be rounded on the wire"),
            Quantization::Angle { .. } if self.ty == Vec3 => Err("a vector is not an angle"),
            Quantization::Range { bits, .. } | Quantization::Angle { bits }
                if !(1..=32).contains(&bits) =>
            {
                Err("bits must be 1 to 32")
            }
            Quantization::Range { min, max, .. } if !(min < max && (max - min).is_finite()) => {
                Err("the range must have a finite min below a finite max")
            }
            _ => Ok(()),
        }
    }

    /// Most bits that the field takes on the wire.
    fn wire_bits_max(&self) -> usize {
        let axes = if self.ty == FieldType::Vec3 { 3 } else { 1 };
        match self.quantization {
            Quantization::Range { bits, .. } | Quantization::Angle { bits } => {
                axes * usize::from(bits)
            }
            Quantization::Exact => match self.ty {
                FieldType::Bool => 1,
                FieldType::U8 => 8,
                FieldType::U16 => 24, // varints
                FieldType::U32 | FieldType::I32 | FieldType::Entity => 40,
                FieldType::F32 => 32,
                FieldType::F64 | FieldType::Vec3 => axes * 64,
                FieldType::Str { max } | FieldType::Bytes { max } => 24 + 8 * usize::from(max),
                FieldType::Object => 0,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said about a table of one kind `Thing`, whose field `it` is this.
    fn complaint(ty: FieldType, quantization: Quantization, audience: Audience) -> String {
        let mut fields = base::fields(1000.0).to_vec();
        fields.push(Field {
            name: "it".to_owned(),
            ty,
            quantization,
            audience,
        });
        let kind = Kind {
            name: "Thing".to_owned(),
            fields,
            hitbox: None,
            projectile: None,
            walker: None,
            is_match: false,
        };
        let table = FieldTable { kinds: vec![kind] };
        table
            .check()
            .map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn complaints_name_the_field() {
        use Audience::{Everyone, Nobody};
        use FieldType::{Bytes, F32, Object, Str, Vec3};
        use Quantization::{Angle, Exact, Range};
        for (ty, quantization, audience, expect) in [
            (F32, Exact, Everyone, ""),
            (Object, Exact, Nobody, ""),
            (
                Object,
                Exact,
                Everyone,
                "Thing.it: an object field can be sent to nobody only",
            ),
            (
                F32,
                Angle { bits: 33 },
                Everyone,
                "Thing.it: bits must be 1 to 32",
            ),
            (
                F32,
                Range {
                    min: 0.0,
                    max: 1.0,
                    bits: 0,
                },
                Everyone,
                "Thing.it: bits must be 1 to 32",
            ),
            (
                F32,
                Range {
                    min: 1.0,
                    max: f64::NAN,
                    bits: 8,
                },
                Everyone,
                "Thing.it: the range must have a finite min below a finite max",
            ),
            (
                Str { max: 4 },
                Angle { bits: 3 },
                Everyone,
                "Thing.it: only numbers and vectors can be rounded on the wire",
            ),
            (
                Vec3,
                Angle { bits: 3 },
                Everyone,
                "Thing.it: a vector is not an angle",
            ),
            (Bytes { max: 9000 }, Exact, Nobody, ""),
            (
                Bytes { max: 9000 },
                Exact,
                Everyone,
                "Thing: its fields take up to 9019 bytes on the wire, at most 700 are possible: \
                 shorten a str or bytes field, or send it to nobody",
            ),
        ] {
            assert_eq!(complaint(ty, quantization, audience), expect);
        }
    }

    #[test]
    fn names_and_base_fields_are_checked() {
        let kind = |name: &str, fields: &[Field]| Kind {
            name: name.to_owned(),
            fields: fields.to_vec(),
            hitbox: None,
            projectile: None,
            walker: None,
            is_match: false,
        };
        let good = base::fields(1000.0);
        let check = |kinds: Vec<Kind>| FieldTable { kinds }.check();
        assert_eq!(check(vec![kind("A", &good), kind("B", &good)]), Ok(()));
        let twice = check(vec![kind("A", &good), kind("A", &good)]);
        assert_eq!(twice, Err(TableError::Twice("A".to_owned())));
        let short = check(vec![kind("A", &good[..4])]);
        assert_eq!(
            short,
            Err(TableError::Base {
                kind: "A".to_owned()
            })
        );
        let again: Vec<Field> = good.iter().chain(&good[..1]).cloned().collect();
        let twice = check(vec![kind("A", &again)]);
        assert_eq!(twice, Err(TableError::Twice("A.position".to_owned())));
        let mut hit = kind("A", &good);
        hit.hitbox = Some(crate::Hitbox {
            radius: 1.0,
            height: 2.0,
            when: Some(4),
        });
        let no_bool = TableError::Hitbox {
            kind: "A".to_owned(),
            field: 4,
        };
        assert_eq!(check(vec![hit]), Err(no_bool));
    }

    #[test]
    fn a_client_can_predict_what_walks() {
        let flag = |audience| Field {
            name: "grounded".to_owned(),
            ty: FieldType::Bool,
            quantization: Quantization::Exact,
            audience,
        };
        let check = |audience, radius| {
            let mut rules = crate::WalkRules::from_values([1.0; 13]);
            rules.radius = radius;
            let fields = base::fields(1000.0).into_iter().chain([flag(audience)]);
            let kind = Kind {
                name: "A".to_owned(),
                fields: fields.collect(),
                hitbox: None,
                projectile: None,
                walker: Some(crate::Walker {
                    rules,
                    grounded: base::COUNT as u16,
                    crouched: None,
                    gliding: None,
                    when: None,
                }),
                is_match: false,
            };
            let table = FieldTable { kinds: vec![kind] };
            table.check().map_err(|error| error.to_string())
        };
        assert_eq!(check(Audience::Owner, 0.4), Ok(()));
        for (audience, radius, expect) in [
            (
                Audience::Nobody,
                0.4,
                "A: its walker depends on field 5, which is not a bool of this kind that its owner is told",
            ),
            (
                Audience::Owner,
                f64::NAN,
                "A: its walker needs a radius from 0 to 1000",
            ),
            (Audience::Owner, 0.0, "A: its walker needs a radius above 0"),
        ] {
            assert_eq!(check(audience, radius), Err(expect.to_owned()));
        }
    }
}
