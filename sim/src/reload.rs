//! New code for a running match: whether what it declares fits, and how the state is carried over.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use tessera_protocol::columns::KindTable;
use tessera_protocol::fields::{Field, FieldTable, Kind, Walker};
use tessera_protocol::ids::{EntityId, KindId, ZoneId};
use tessera_protocol::snapshot::{RowRef, Snapshot, ZoneBatch};
use tessera_python::ScriptError;
use thiserror::Error;

/// Why a match stays on its old code.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// The new code does not load.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// What it declares does not fit the running match.
    #[error(transparent)]
    Incompatible(#[from] Incompatible),
    /// Another reload is under way.
    #[error("another reload is under way; wait for its end")]
    Busy,
}

/// New declarations that a running match can't change to.
#[derive(Debug, Error, PartialEq)]
pub enum Incompatible {
    /// A kind is gone.
    #[error(
        "{kind} is not declared any more, and entities of it live: keep its class, or restart the server"
    )]
    KindRemoved {
        /// The kind.
        kind: String,
    },
    /// How a kind moves or is hit is another.
    #[error("{kind} has another {what} than before: keep it as it was, or restart the server")]
    KindChanged {
        /// The kind.
        kind: String,
        /// What of it.
        what: &'static str,
    },
    /// A field is gone.
    #[error("{kind}.{field} is not declared any more: keep the field, or restart the server")]
    FieldRemoved {
        /// The kind.
        kind: String,
        /// The field.
        field: String,
    },
    /// A field is declared otherwise.
    #[error(
        "{kind}.{field} has another {what} than before, {now} in place of {was}: keep the field as it was, \
         or restart the server"
    )]
    FieldChanged {
        /// The kind.
        kind: String,
        /// The field.
        field: String,
        /// What of it.
        what: &'static str,
        /// What that was.
        was: String,
        /// What it is now.
        now: String,
    },
}

/// What a reload did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// What is new: kinds, as `Kind`, and fields of others, as `Kind.field`.
    pub added: Vec<String>,
}

/// How a state of the old declarations becomes one of the new ones.
#[derive(Clone, Debug)]
pub(crate) struct Adaptation {
    /// The new declarations.
    table: Arc<FieldTable>,
    /// By old kind.
    kinds: Vec<AdaptedKind>,
    pub(crate) added: Vec<String>,
}

/// What a kind has become.
#[derive(Clone, Debug)]
struct AdaptedKind {
    /// Its number now.
    kind: KindId,
    /// By new field: the old one, or none where it is new.
    fields: Vec<Option<usize>>,
    /// One entity that says nothing about itself.
    default: KindTable,
}

impl Adaptation {
    /// `default_rows` are by new kind: of an entity that says nothing about itself.
    ///
    /// # Errors
    /// Where the new declarations don't fit.
    pub(crate) fn between(
        old: &FieldTable,
        new: &Arc<FieldTable>,
        default_rows: &[Box<[u8]>],
    ) -> Result<Adaptation, Incompatible> {
        let mut adaptation = Adaptation {
            table: new.clone(),
            kinds: Vec::with_capacity(old.kinds.len()),
            added: Vec::new(),
        };
        for was in &old.kinds {
            let removed = || Incompatible::KindRemoved {
                kind: was.name.clone(),
            };
            let kind = new.kind(&was.name).ok_or_else(removed)?;
            let now = &new.kinds[kind.index()];
            let fields = adaptation.compare(was, now)?;
            let mut default = KindTable::new(now);
            default
                .insert_row(EntityId(1), &default_rows[kind.index()])
                .expect("defaults are checked when a mode loads");
            adaptation.kinds.push(AdaptedKind {
                kind,
                fields,
                default,
            });
        }
        let is_new = |kind: &&Kind| old.kind(&kind.name).is_none();
        let kinds = new.kinds.iter().filter(is_new);
        adaptation.added.extend(kinds.map(|kind| kind.name.clone()));
        Ok(adaptation)
    }

    fn compare(&mut self, old: &Kind, new: &Kind) -> Result<Vec<Option<usize>>, Incompatible> {
        let kind = || new.name.clone();
        for field in &old.fields {
            new.field(&field.name)
                .ok_or_else(|| Incompatible::FieldRemoved {
                    kind: kind(),
                    field: field.name.clone(),
                })?;
        }
        let mut fields = Vec::with_capacity(new.fields.len());
        for field in &new.fields {
            let was = old.field(&field.name);
            match was.map(|was| difference(&old.fields[was], field)) {
                Some(None) => {}
                Some(Some((what, [was, now]))) => {
                    return Err(Incompatible::FieldChanged {
                        kind: kind(),
                        field: field.name.clone(),
                        what,
                        was,
                        now,
                    });
                }
                None => self.added.push(format!("{}.{}", new.name, field.name)),
            }
            fields.push(was);
        }
        let what = [
            ("part in the match", old.is_match == new.is_match),
            ("motion", old.projectile == new.projectile),
            ("hitbox", same_hitbox(old, new)),
            ("walker", same_walker(old, new)),
        ];
        match what.into_iter().find(|(_, same)| !same) {
            Some((what, _)) => Err(Incompatible::KindChanged { kind: kind(), what }),
            None => Ok(fields),
        }
    }

    /// The new declarations.
    pub(crate) fn table(&self) -> &Arc<FieldTable> {
        &self.table
    }

    /// The same state under the new declarations.
    pub(crate) fn adapt(&self, snapshot: &Snapshot) -> Snapshot {
        let empty = || self.table.kinds.iter().map(KindTable::new).collect();
        let mut zones: BTreeMap<ZoneId, Vec<KindTable>> = BTreeMap::new();
        let mut bytes = Vec::new();
        for row in snapshot.batches().flat_map(|batch| batch.rows()) {
            let adapted = &self.kinds[row.kind().index()];
            bytes.clear();
            adapted.write_row(row, &mut bytes);
            let tables = zones.entry(row.zone()).or_insert_with(empty);
            tables[adapted.kind.index()]
                .insert_row(row.id(), &bytes)
                .expect("fields are carried over as they are, and defaults fit theirs");
        }
        let batches: Vec<ZoneBatch> = zones
            .iter()
            .map(|(zone, tables)| ZoneBatch::of(*zone, tables))
            .collect();
        let batches: Vec<&ZoneBatch> = batches.iter().collect();
        Snapshot::seal(snapshot.header(), &batches, None)
    }
}

impl AdaptedKind {
    /// Appends the row that an entity has under the new declarations.
    fn write_row(&self, row: RowRef<'_>, out: &mut Vec<u8>) {
        for (old, default) in self.fields.iter().zip(&self.default.columns) {
            let value = old.map_or_else(|| default.get(0), |old| row.field(old));
            value.write(out);
        }
    }
}

/// What differs first, as it was and as it is now.
fn difference(old: &Field, new: &Field) -> Option<(&'static str, [String; 2])> {
    fn pair<T: PartialEq + Display>(old: &T, new: &T) -> Option<[String; 2]> {
        (old != new).then(|| [old.to_string(), new.to_string()])
    }
    [
        ("type", pair(&old.ty, &new.ty)),
        (
            "rounding on the wire",
            pair(&old.quantization, &new.quantization),
        ),
        ("audience", pair(&old.audience, &new.audience)),
    ]
    .into_iter()
    .find_map(|(what, differ)| Some((what, differ?)))
}

/// Fields are named by their index, which a new one may have moved.
fn same_hitbox(old: &Kind, new: &Kind) -> bool {
    let named = |kind: &Kind| {
        kind.hitbox.map(|hitbox| {
            let when = hitbox
                .when
                .map(|at| kind.fields[usize::from(at)].name.clone());
            (hitbox.radius, hitbox.height, when)
        })
    };
    named(old) == named(new)
}

fn same_walker(old: &Kind, new: &Kind) -> bool {
    let named = |kind: &Kind| {
        let name = |at: u16| kind.fields[usize::from(at)].name.clone();
        kind.walker.as_ref().map(|walker: &Walker| {
            let optional = [walker.crouched, walker.gliding, walker.when];
            let optional = optional.map(|at| at.map(name));
            (walker.rules, name(walker.grounded), optional)
        })
    };
    named(old) == named(new)
}
