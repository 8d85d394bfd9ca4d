//! Running the hooks of one tick: entity by entity, by ascending id.

use pyo3_ffi::*;
use tessera_protocol::command::Command;
use tessera_protocol::ids::{EntityId, KindId};

use crate::config::Said;
use crate::context::Context;
use crate::error::{Failure, Place};
use crate::interrupt::{PREEMPTED, Run};
use crate::kinds::{Handler, Hook, HookId, KindInfo, Kinds};
use crate::messages::{Message, Outbox};
use crate::native::command;
use crate::population::{self, Pair, Population};
use crate::py::{Owned, PyResult, Raised, pointers, raise};
use crate::stats::{FailureKind, HookSpan, HookStats};

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
    pub(crate) failed: &'a mut Vec<(EntityId, FailureKind)>,
    /// Entities whose slots may have been written, ascending: id, kind and row.
    pub(crate) touched: &'a mut Vec<(EntityId, KindId, usize)>,
    /// Entities whose live object somebody else holds now: kind and row.
    pub(crate) kept: &'a mut Vec<(KindId, usize)>,
    /// `gc.collect`, and what it calls the youngest generation.
    pub(crate) collect: (&'a Owned, &'a Owned),
    /// Arguments of the call that is made; kept for its memory.
    pub(crate) arguments: &'a mut Vec<Owned>,
    /// The run that this is.
    pub(crate) run: &'a Run,
    /// Where a span of each call goes, if anybody wants them.
    pub(crate) trace: Option<Trace<'a>>,
}

/// Spans of hooks, and the clock that times them.
pub(crate) struct Trace<'a> {
    pub(crate) clock: fn() -> u64,
    pub(crate) spans: &'a mut Vec<HookSpan>,
}

/// An entity whose hooks are to be called.
#[derive(Clone, Copy)]
struct Called<'a> {
    id: EntityId,
    kind: KindId,
    row: usize,
    info: &'a KindInfo,
    pair: &'a Pair,
}

/// A hook that didn't come to its end, and why.
struct Broken {
    hook: HookId,
    why: FailureKind,
}

impl<'a> Runner<'a> {
    /// Runs all hooks but those of entities in `resting`. Messages ascend by (target, sender, seq),
    /// commands by entity, `resting` too.
    ///
    /// # Safety
    /// Attached to the interpreter of the context, on its stage.
    pub(crate) unsafe fn run(
        &mut self,
        mut messages: &[Message],
        mut commands: &[(EntityId, Command)],
        mut resting: &[EntityId],
    ) {
        let mut rows = [0_usize; 64];
        let population = self.population;
        // Whether a hook was preempted: later ones are left out.
        let mut cut = false;
        for &(id, kind) in &population.order {
            let row = rows[kind.index()];
            rows[kind.index()] += 1;
            let mine = messages_to(&mut messages, id);
            let command = command_to(&mut commands, id);
            let rests = take_until(&mut resting, id);
            let info = self.kinds.info(kind);
            let called = info.tick.is_some() || !mine.is_empty() || command.is_some();
            let coasts = called && (rests || cut || self.run.is_preempted());
            let runs = called && !coasts;
            if runs || self.kinds.table.kinds[kind.index()].projectile.is_some() {
                self.touched.push((id, kind, row));
            }
            self.stats.coasted += u64::from(coasts);
            if !runs {
                continue;
            }
            let pair = &population.objects[kind.index()][row];
            let entity = Called {
                id,
                kind,
                row,
                info,
                pair,
            };
            // SAFETY: by the caller's promise.
            cut |= unsafe { self.entity(entity, mine, command) };
        }
        self.context.exit();
    }

    /// Runs one entity's hooks; true where one was preempted.
    unsafe fn entity(
        &mut self,
        entity: Called<'a>,
        messages: &[Message],
        command: Option<&Command>,
    ) -> bool {
        let Called {
            id,
            kind,
            row,
            pair,
            ..
        } = entity;
        let mark = Mark::of(&self.context.outbox.borrow());
        self.context.act(pair.live.as_ptr(), id, kind, row);
        // SAFETY: attached, by the caller.
        unsafe {
            let ran = self.hooks(entity, messages, command);
            let (mut ran, mut cut) = self.judge(ran);
            if ran.is_ok() && self.context.actor.despawned.get() {
                cut |= self.farewell(entity);
            }
            self.context.exit();
            if ran.is_ok() && self.is_kept(pair) {
                raise(PyExc_RuntimeError, KEPT);
                ran = Err(Broken {
                    hook: HookId::default(),
                    why: FailureKind::Raised,
                });
            }
            if let Err(broken) = ran {
                self.failed.push((id, broken.why));
                self.report(entity, &broken);
                self.revert(entity);
                mark.restore(&mut self.context.outbox.borrow_mut());
                if self.is_kept(pair) {
                    self.kept.push((kind, row));
                }
            }
            cut
        }
    }

    /// All hooks of one entity, up to the first that raises: an error is which.
    unsafe fn hooks(
        &mut self,
        entity: Called<'a>,
        messages: &[Message],
        command: Option<&Command>,
    ) -> Result<(), HookId> {
        let Called { info, pair, .. } = entity;
        let live = pair.live.as_ptr();
        // SAFETY: attached, by the caller; the arguments are alive during the call.
        unsafe {
            for message in messages {
                let name = message.payload.name();
                let named = |known: &&Handler| known.name.as_bytes() == name;
                match info.handlers.iter().find(named) {
                    Some(Handler { hook, bare, .. }) if *bare => {
                        self.call(entity, hook, &[live])?;
                    }
                    Some(Handler { hook, .. }) => self.message(entity, hook, message)?,
                    None => self.unhandled(entity.kind, name),
                }
            }
            if let (Some(command), Some(hook)) = (command, &info.command) {
                let command = command::new(self.context, command).map_err(|Raised| hook.id)?;
                self.call(entity, hook, &[live, command.as_ptr()])?;
            }
            if let Some(hook) = &info.tick {
                self.call(entity, hook, &[live, self.dt.as_ptr()])?;
            }
        }
        Ok(())
    }

    unsafe fn message(
        &mut self,
        entity: Called<'a>,
        hook: &Hook,
        message: &Message,
    ) -> Result<(), HookId> {
        let mut arguments = std::mem::take(self.arguments);
        // SAFETY: attached, by the caller; the arguments are alive during the call.
        unsafe {
            let decoded = self.decode(entity, message, &mut arguments);
            let called = match decoded {
                Ok(()) => self.call(entity, hook, pointers(&arguments)),
                Err(Raised) => Err(hook.id),
            };
            arguments.clear();
            *self.arguments = arguments;
            called
        }
    }

    /// Fills in the arguments of a message's method: the entity, the sender, what was sent.
    unsafe fn decode(
        &self,
        entity: Called<'a>,
        message: &Message,
        arguments: &mut Vec<Owned>,
    ) -> PyResult<()> {
        // SAFETY: attached, by the caller; the pair owns its object.
        unsafe {
            arguments.push(Owned::from_borrowed(entity.pair.live.as_ptr()));
            let sender = PyLong_FromUnsignedLong(message.sender.0.into());
            arguments.push(Owned::from_new(sender)?);
            let mut codec = self.context.codec().borrow_mut();
            codec.decode_args(&message.payload, arguments)
        }
    }

    /// Calls one hook; an error is its number.
    #[inline]
    unsafe fn call(
        &mut self,
        entity: Called<'a>,
        hook: &Hook,
        arguments: &[*mut PyObject],
    ) -> Result<(), HookId> {
        self.stats.calls += 1;
        self.context.hook.set(hook.id);
        let start_ns = self.trace.as_ref().map(|trace| (trace.clock)());
        let memory = &self.context.memory;
        // SAFETY: attached and alive, by the caller.
        let called = memory.capped(|| unsafe { call(hook, arguments) });
        if let (Some(trace), Some(start_ns)) = (&mut self.trace, start_ns) {
            trace.spans.push(HookSpan {
                kind: entity.kind,
                hook: hook.id,
                entity: entity.id,
                start_ns,
                end_ns: (trace.clock)(),
            });
        }
        called.map_err(|Raised| hook.id)
    }

    /// Tells a hook that raised from one that was preempted, also where that has caught it; the second
    /// is whether it was. Then the run begins anew, so that the rest of it can be seen to.
    fn judge(&mut self, ran: Result<(), HookId>) -> (Result<(), Broken>, bool) {
        if !self.run.was_struck() {
            let why = FailureKind::Raised;
            return (ran.map_err(|hook| Broken { hook, why }), false);
        }
        self.run.renew();
        self.stats.preemptions += 1;
        let hook = self.context.hook.get();
        let why = FailureKind::Preempted;
        (Err(Broken { hook, why }), true)
    }

    /// Calls `on_despawn` of an entity that ends itself; true where it was preempted. It ends even if
    /// that fails.
    unsafe fn farewell(&mut self, entity: Called<'a>) -> bool {
        let Some(hook) = &entity.info.on_despawn else {
            return false;
        };
        let mark = Mark::of(&self.context.outbox.borrow());
        // SAFETY: attached, by the caller.
        unsafe {
            let ran = self.call(entity, hook, &[entity.pair.live.as_ptr()]);
            let (ran, cut) = self.judge(ran);
            if let Err(broken) = ran {
                self.report(entity, &broken);
                mark.restore(&mut self.context.outbox.borrow_mut());
            }
            cut
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
    fn unhandled(&mut self, kind: KindId, name: &[u8]) {
        let kind = &self.kinds.declaration(kind).name;
        let name = &*String::from_utf8_lossy(name);
        let is_new = self.stats.note_unhandled(kind, name);
        if is_new
            && self
                .context
                .logged
                .is_first(Said::Unhandled, format!("{kind} {name}"))
        {
            tracing::warn!(
                target: "tessera::script",
                "{kind} got the message {name:?} but has no method on_{name}; further ones are \
                 counted only"
            );
        }
    }

    /// Puts an entity's slots back to `S_t`.
    #[cold]
    unsafe fn revert(&self, entity: Called<'a>) {
        let Called {
            kind,
            row,
            info,
            pair,
            ..
        } = entity;
        let table = &self.population.own[kind.index()];
        let graveyard = &self.population.graveyard;
        // SAFETY: attached, by the caller; no script runs in it.
        self.context.memory.lifted(|| unsafe {
            population::revert(self.context, info, pair, table, row, graveyard);
        });
        graveyard.release();
    }

    /// Counts and logs what broke a hook: the exception that is set, or that it was preempted.
    #[cold]
    unsafe fn report(&mut self, entity: Called<'a>, broken: &Broken) {
        let hook = match broken.hook {
            HookId(0) => format!("a hook of {}", self.kinds.declaration(entity.kind).name),
            hook => self.kinds.hooks.get(hook).to_owned(),
        };
        let struck_at = self.context.struck_at.take().unwrap_or_default();
        // SAFETY: attached, the hook is over, by the caller.
        let raised = unsafe { Failure::take(&self.context.mode) };
        let (place, message) = match (broken.why, &raised) {
            (FailureKind::Preempted, _) => (struck_at, format!("Preempted: {PREEMPTED}")),
            (_, Some(raised)) => (raised.place(), raised.message.clone()),
            (_, None) => return,
        };
        let Place { file, line } = &place;
        let is_new = self.stats.note_error(&hook, file, *line, &message);
        if !is_new
            || !self
                .context
                .logged
                .is_first(Said::Error, format!("{hook} {file}:{line}"))
        {
            return;
        }
        // SAFETY: as above.
        let traceback = raised.map(|raised| unsafe { raised.in_short(self.context) });
        let Place { file, line } = place;
        let traceback = traceback.unwrap_or_else(|| format!("{file}:{line}: {message}"));
        let (zone, tick, entity) = (
            self.context.zone.get().0,
            self.context.tick.get().0,
            entity.id.0,
        );
        tracing::error!(
            target: "tessera::script",
            zone, tick, entity, hook,
            "{hook} raised; the entity loses this tick, further ones like it are counted only\n\
             {traceback}"
        );
    }
}

/// Counts and logs which hooks were over their soft budget.
pub(crate) fn note_overruns(context: &Context, kinds: &Kinds, stats: &mut HookStats) {
    for (hook, place) in context.seen.borrow_mut().drain(..) {
        let hook = kinds.hooks.get(hook);
        let Place { file, line } = place.unwrap_or_default();
        let is_new = stats.note_overrun(hook, &file, line);
        if is_new
            && context
                .logged
                .is_first(Said::Overrun, format!("{hook} {file}:{line}"))
        {
            let (zone, tick) = (context.zone.get().0, context.tick.get().0);
            tracing::warn!(
                target: "tessera::script",
                zone, tick, hook,
                "{hook} is over its soft budget at {file}:{line}; further times are counted only"
            );
        }
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
    let returned = unsafe { PyObject_Vectorcall(hook.function.as_ptr(), first, count, none) };
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

/// Whether an ascending list has an id; takes off its front what comes before it.
fn take_until(ids: &mut &[EntityId], id: EntityId) -> bool {
    while let [first, rest @ ..] = *ids
        && *first < id
    {
        *ids = rest;
    }
    ids.first() == Some(&id)
}
