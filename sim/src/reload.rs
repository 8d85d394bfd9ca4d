//! New code for a running match: whether what it declares fits, and how rows are carried over.

use tessera_protocol::fields::{Audience, Field, FieldTable, Kind, Walker};
use tessera_protocol::ids::KindId;
use tessera_protocol::snapshot::RowRef;
use tessera_python::ScriptError;
use thiserror::Error;

use crate::host::Host;

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
    #[error("{kind} is not declared any more: entities of it live")]
    KindRemoved {
        /// The kind.
        kind: String,
    },
    /// There is a kind that was not.
    #[error("{kind} is new: clients know the kinds that there were when they joined")]
    KindAdded {
        /// The kind.
        kind: String,
    },
    /// The kinds come in another order.
    #[error("{kind} was declared at another place among the kinds")]
    KindMoved {
        /// The kind.
        kind: String,
    },
    /// How a kind moves or is hit is another.
    #[error("{kind} has another {what} than before")]
    KindChanged {
        /// The kind.
        kind: String,
        /// What of it.
        what: &'static str,
    },
    /// A field is gone.
    #[error("{kind}.{field} is not declared any more")]
    FieldRemoved {
        /// The kind.
        kind: String,
        /// The field.
        field: String,
    },
    /// A field is declared otherwise.
    #[error("{kind}.{field} has another {what} than before")]
    FieldChanged {
        /// The kind.
        kind: String,
        /// The field.
        field: String,
        /// What of it.
        what: &'static str,
    },
    /// A new field that clients would have to know of.
    #[error(
        "{kind}.{field} is new and goes to clients, which know the fields that there were when they \
         joined: declare it for nobody, or start a new match"
    )]
    FieldVisible {
        /// The kind.
        kind: String,
        /// The field.
        field: String,
    },
}

/// What a reload did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// Fields that are new, as `Kind.field`.
    pub added: Vec<String>,
}

/// How rows of the old declarations become rows of the new ones.
#[derive(Clone, Debug)]
pub(crate) struct Adaptation {
    /// By kind, then by new field: the old field, or none where it is new.
    kinds: Vec<Vec<Option<usize>>>,
    pub(crate) added: Vec<String>,
}

impl Adaptation {
    /// # Errors
    /// Where the new declarations don't fit.
    pub(crate) fn between(old: &FieldTable, new: &FieldTable) -> Result<Adaptation, Incompatible> {
        let mut adaptation = Adaptation {
            kinds: Vec::new(),
            added: Vec::new(),
        };
        for kind in &old.kinds {
            let name = || kind.name.clone();
            new.kind(&kind.name)
                .ok_or_else(|| Incompatible::KindRemoved { kind: name() })?;
        }
        for (at, kind) in new.kinds.iter().enumerate() {
            let name = || kind.name.clone();
            let was = old
                .kind(&kind.name)
                .ok_or_else(|| Incompatible::KindAdded { kind: name() })?;
            if was.index() != at {
                return Err(Incompatible::KindMoved { kind: name() });
            }
            let fields = adaptation.compare(&old.kinds[at], kind)?;
            adaptation.kinds.push(fields);
        }
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
            let name = || field.name.clone();
            let was = old.field(&field.name);
            match was {
                Some(was) => {
                    if let Some(what) = difference(&old.fields[was], field) {
                        let (kind, field) = (kind(), name());
                        return Err(Incompatible::FieldChanged { kind, field, what });
                    }
                }
                None if field.audience != Audience::Nobody => {
                    let (kind, field) = (kind(), name());
                    return Err(Incompatible::FieldVisible { kind, field });
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

    /// Appends the row that an entity has under the new declarations, which `host` has loaded.
    pub(crate) fn write_row(&self, row: RowRef<'_>, host: &dyn Host, out: &mut Vec<u8>) {
        let kind: KindId = row.kind();
        for (field, old) in self.kinds[kind.index()].iter().enumerate() {
            match old {
                Some(old) => row.field(*old).write(out),
                None => host.write_default(kind, field, out),
            }
        }
    }
}

fn difference(old: &Field, new: &Field) -> Option<&'static str> {
    [
        ("type", old.ty == new.ty),
        ("rounding on the wire", old.quantization == new.quantization),
        ("audience", old.audience == new.audience),
    ]
    .into_iter()
    .find_map(|(what, same)| (!same).then_some(what))
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
