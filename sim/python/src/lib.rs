//! Gameplay in Python: one CPython interpreter a zone, each with its own GIL on its own thread.
//!
//! This is the only crate that speaks to CPython. The simulation sees [`ScriptZone`]: rows go in
//! (`insert`, `ghost_row`), hooks run, changed rows come out (`gather`, `tables`, `changed`) with what
//! the hooks asked for (`outbox`). State lives in columns; Python objects are a cache of it during a
//! tick: an entity has a *live* object, whose slots its own hooks write, and a *view*, which shows
//! everybody else the state at the tick's start and can't be written.
//!
//! No script can hold up or starve the rest: an [`Interrupter`] breaks off what runs for too long, a cap
//! ends what takes too much memory, and either costs an entity its tick.
//!
//! The way of the data: `load` (classes become kinds) → `population` (rows become objects) → `hooks` →
//! `gather` (slots become columns).

#![allow(unsafe_code)] // the crate's purpose; each block says why it is sound

mod args;
mod buffer;
mod clone;
mod config;
mod context;
mod cpu;
mod describe;
mod entity;
mod error;
mod far;
mod fork;
mod gather;
mod graveyard;
mod hitbox;
mod hooks;
mod interpreter;
mod interrupt;
mod kinds;
mod load;
mod memory;
mod messages;
mod native;
mod near;
mod population;
mod projectile;
mod py;
mod register;
mod rewind;
mod rng;
mod runtime;
mod signature;
mod source;
mod stats;
#[doc(hidden)]
pub mod testing;
mod traceback;
mod value;
mod vec3;
mod view;
mod zone;

pub use clone::is_clone;
pub use config::{Logged, OptionValue, ScriptConfig};
pub use cpu::ThreadCpu;
pub use error::ScriptError;
pub use interrupt::Interrupter;
pub use kinds::HookId;
pub use memory::{MemoryMeter, MemoryUse, give_back};
pub use messages::{Event, Inbox, Message, Outbox, Payload, SpawnRequest};
pub use rewind::HitboxHistory;
pub use runtime::version as python_version;
pub use source::ModeSource;
pub use stats::{FailureKind, HookError, HookOverrun, HookSpan, HookStats};
pub use zone::{Forked, Prepared, ScriptZone};
