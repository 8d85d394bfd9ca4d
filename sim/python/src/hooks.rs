//! Running the hooks of one tick: entity by entity, by ascending id.

use pyo3_ffi::*;
use tessera_protocol::command::Command;
use tessera_protocol::ids::{EntityId, KindId};

use crate::context::Context;
use crate::error::Failure;
use crate::kinds::{Hook, KindInfo, Kinds};
use crate::messages::{Message, Outbox};
use crate::native::command;
use crate::population::{self, Pair, Population};
use crate::py::{Owned, PyResult, Raised, pointers, raise};
use crate::stats::HookStats;

/// Lengths of the outbox's lists: what came after them can be taken out again.
#[derive(Clone, Copy)]
struct Mark {
    messages: usize,
    spawns: usize,
    despawns: usize,
    events: usize,
}

impl Mark {
    fn of(outbox: &Outbox) -> Self {
        Self {
            messages: outbox.messages.len(),
            spawns: outbox.spawns.len(),
            despawns: outbox.despawns.len(),
            events: outbox.events.len(),
        }
    }

    fn restore(self, outbox: &mut Outbox) {
        outbox.messages.truncate(self.messages);
        outbox.spawns.truncate(self.spawns);
        outbox.despawns.truncate(self.despawns);
        outbox.events.truncate(self.events);
    }
}

/// What runs hooks needs, for one tick.
pub(crate) struct Runner<'a> {
    pub(crate) context: &'a Context,
    pub(crate) population: &'a Population,
    pub(crate) kinds: &'a Kinds,
    /// Seconds of a tick, as a Python `float`.
    pub(crate) dt: &'a Owned,
    pub(crate) stats: &'a mut HookStats,
    /// Entities that lose this tick, ascending.
    pub(crate) failed: &'a mut Vec<EntityId>,
    /// Entities whose slots may have been written, ascending: id, kind and row.
    pub(crate) touched: &'a mut Vec<(EntityId, KindId, usize)>,
    /// Entities whose live object somebody else holds now: kind and row.
    pub(crate) kept: &'a mut Vec<(KindId, usize)>,
    /// `gc.collect`, and what it calls the youngest generation.
    pub(crate) collect: (&'a Owned, &'a Owned),
    /// Arguments of the call that is made; kept for its memory.
    pub(crate) arguments: &'a mut Vec<Owned>,
}

/// The call that raised, for the log.
enum Call<'m> {
    Tick,
    Command,
    Message(&'m str),
    /// No call raised, but one let its entity's live object live on.
    Kept,
}

impl Runner<'_> {
    /// Runs all hooks. Messages ascend by (target, sender, seq), commands by entity.
    ///
    /// # Safety
    /// Attached to the interpreter of the context, on its stage.
    pub(crate) unsafe fn run(
        &mut self,
        mut messages: &[Message],
        mut commands: &[(EntityId, Command)],
    ) {
        let mut rows = [0_usize; 64];
        for &(id, kind) in &self.population.order {
            let row = rows[kind.index()];
            rows[kind.index()] += 1;
            let mine = messages_to(&mut messages, id);
            let command = command_to(&mut commands, id);
            let info = self.kinds.info(kind);
            let called = info.tick.is_some() || !mine.is_empty() || command.is_some();
            if called || self.kinds.table.kinds[kind.index()].projectile.is_some() {
                self.touched.push((id, kind, row));
            }
            if !called {
                continue;
            }
            let pair = &self.population.objects[kind.index()][row];
            let mark = Mark::of(&self.context.outbox.borrow());
            self.context.act(pair.live.as_ptr(), id, kind, row);
            // SAFETY: by the caller's promise.
            unsafe {
                let mut ran = self.entity(info, kind, pair, mine, command);
                self.context.exit();
                if ran.is_ok() && self.is_kept(pair) {
                    raise(PyExc_RuntimeError, KEPT);
                    ran = Err(Call::Kept);
                }
                if let Err(call) = ran {
                    self.fail(info, kind, id, row, pair, call);
                    mark.restore(&mut self.context.outbox.borrow_mut());
                    if self.is_kept(pair) {
                        self.kept.push((kind, row));
                    }
                }
            }
        }
        self.context.exit();
    }

    /// All hooks of one entity, up to the first that raises.
    unsafe fn entity<'m>(
        &mut self,
        info: &KindInfo,
        kind: KindId,
        pair: &Pair,
        messages: &'m [Message],
        command: Option<&Command>,
    ) -> Result<(), Call<'m>> {
        let live = pair.live.as_ptr();
        // SAFETY: attached, by the caller; the arguments are alive during the call.
        unsafe {
            for message in messages {
                let name = message.payload.name();
                match info.handlers.iter().find(|(known, _)| **known == *name) {
                    Some((_, hook)) => self
                        .message(hook, live, message)
                        .map_err(|Raised| Call::Message(name))?,
                    None => self.unhandled(kind, name),
                }
            }
            if let (Some(command), Some(hook)) = (command, &info.command) {
                self.stats.calls += 1;
                let called = command::new(self.context, command)
                    .and_then(|command| call(hook, &[live, command.as_ptr()]));
                called.map_err(|Raised| Call::Command)?;
            }
            if let Some(hook) = &info.tick {
                self.stats.calls += 1;
                call(hook, &[live, self.dt.as_ptr()]).map_err(|Raised| Call::Tick)?;
            }
        }
        Ok(())
    }

    unsafe fn message(
        &mut self,
        hook: &Hook,
        live: *mut PyObject,
        message: &Message,
    ) -> PyResult<()> {
        self.stats.calls += 1;
        // SAFETY: attached, by the caller; the arguments are alive during the call.
        unsafe {
            self.arguments.clear();
            self.arguments.push(Owned::from_borrowed(live));
            let sender = PyLong_FromUnsignedLong(message.sender.0.into());
            self.arguments.push(Owned::from_new(sender)?);
            let mut codec = self.context.codec().borrow_mut();
            let decoded = codec.decode_args(&message.payload, self.arguments);
            drop(codec); // the call may need it
            let called = decoded.and_then(|()| call(hook, pointers(self.arguments)));
            self.arguments.clear();
            called
        }
    }

    /// Whether anybody but the zone holds the live object of an entity whose hooks are over.
    unsafe fn is_kept(&self, pair: &Pair) -> bool {
        // SAFETY: attached, by the caller; the pair owns the object.
        unsafe { Py_REFCNT(pair.live.as_ptr()) != 1 && self.is_in_use(pair) }
    }

    /// The same once garbage is gone: a function that calls itself and knows `self` is a cycle. It is
    /// of this hook, and so of the youngest generation.
    #[cold]
    unsafe fn is_in_use(&self, pair: &Pair) -> bool {
        let (collect, generation) = self.collect;
        // SAFETY: as for `is_kept`; finalizers may run, since no borrow is held.
        unsafe {
            let collected = PyObject_CallOneArg(collect.as_ptr(), generation.as_ptr());
            if Owned::from_new(collected).is_err() {
                PyErr_Clear();
            }
            Py_REFCNT(pair.live.as_ptr()) != 1
        }
    }

    #[cold]
    fn unhandled(&mut self, kind: KindId, name: &str) {
        let kind = &self.kinds.declaration(kind).name;
        if self.stats.note_unhandled(kind, name) {
            tracing::warn!(
                target: "tessera::script",
                "{kind} got the message {name:?} but has no method on_{name}; further ones are \
                 counted only"
            );
        }
    }

    /// Costs an entity its tick: logs and counts the exception, puts the slots back.
    #[cold]
    unsafe fn fail(
        &mut self,
        info: &KindInfo,
        kind: KindId,
        id: EntityId,
        row: usize,
        pair: &Pair,
        call: Call<'_>,
    ) {
        self.failed.push(id);
        let kind_name = &self.kinds.declaration(kind).name;
        let hook = match call {
            Call::Tick => format!("{kind_name}.tick"),
            Call::Command => format!("{kind_name}.command"),
            Call::Message(name) => format!("{kind_name}.on_{name}"),
            Call::Kept => format!("a hook of {kind_name}"),
        };
        // SAFETY: attached, with an exception set, the hook is over, by the caller.
        unsafe {
            if let Some(failure) = Failure::take(&self.context.mode) {
                report(self.context, self.stats, hook, id, &failure);
            }
            let table = &self.population.own[kind.index()];
            population::revert(self.context, info, pair, table, row);
        }
    }
}

/// Counts a failure, and logs it with its traceback if it is the first of its kind.
unsafe fn report(
    context: &Context,
    stats: &mut HookStats,
    hook: String,
    id: EntityId,
    failure: &Failure,
) {
    let file = failure.file.as_deref().unwrap_or_default();
    if stats.note_error(&hook, file, failure.line, &failure.message) {
        // SAFETY: attached, not in a hook, by the caller.
        let traceback = unsafe { failure.traceback() };
        let (zone, tick, entity) = (context.zone.0, context.tick.get().0, id.0);
        tracing::error!(
            target: "tessera::script",
            zone, tick, entity, hook,
            "{hook} raised; the entity loses this tick, further ones like it are counted only\n\
             {traceback}"
        );
    }
}

/// What a script hears that lets `self` live on.
const KEPT: &str = "self was kept beyond its hook (in a field, a global, a closure or a generator), \
                    where other hooks could read and write it; keep its .id instead";

/// Calls a hook and drops what it returns.
///
/// # Safety
/// Attached; the arguments are alive, the entity first.
#[inline]
unsafe fn call(hook: &Hook, arguments: &[*mut PyObject]) -> PyResult<()> {
    let (first, count) = (arguments.as_ptr(), arguments.len());
    let none = std::ptr::null_mut();
    // SAFETY: by the caller's promise.
    let returned = unsafe {
        match hook {
            Hook::Function(function) => PyObject_Vectorcall(function.as_ptr(), first, count, none),
            Hook::Method(name) => PyObject_VectorcallMethod(name.as_ptr(), first, count, none),
        }
    };
    // SAFETY: a new reference, or null with an exception set.
    unsafe { Owned::from_new(returned).map(drop) }
}

/// Takes the messages to an entity off the front, and drops those to entities before it.
fn messages_to<'m>(messages: &mut &'m [Message], id: EntityId) -> &'m [Message] {
    let skip = messages
        .iter()
        .take_while(|message| message.target < id)
        .count();
    let rest = &messages[skip..];
    let count = rest
        .iter()
        .take_while(|message| message.target == id)
        .count();
    let (mine, rest) = rest.split_at(count);
    *messages = rest;
    mine
}

/// Takes the command to an entity off the front; of several the last.
fn command_to<'c>(commands: &mut &'c [(EntityId, Command)], id: EntityId) -> Option<&'c Command> {
    let mut found = None;
    while let [(target, command), rest @ ..] = *commands
        && *target <= id
    {
        if *target == id {
            found = Some(command);
        }
        *commands = rest;
    }
    found
}
