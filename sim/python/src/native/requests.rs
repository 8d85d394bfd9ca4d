//! What the acting entity asks for: messages, births, its own end, events for clients. All of it goes
//! into the outbox; what a failing hook asked for is taken out again.

use pyo3_ffi::*;
use tessera_protocol::fields::FIELDS_MAX;
use tessera_protocol::ids::ClientId;
use tessera_protocol::value::Value;

use crate::args::{self, Arguments};
use crate::context::{self, Context};
use crate::kinds::{KindInfo, LIFECYCLE};
use crate::messages::{Event, Message, SpawnRequest};
use crate::py::{Owned, PyResult, Raised, raise, returned};
use crate::value::{self, bad_argument, str_lossy};

/// Most messages and events that an entity may send in a tick.
const MESSAGES_MAX: u32 = 1024;
/// Most entities that an entity may spawn in a tick; `start` may spawn [`ENTITIES_MAX`].
const SPAWNS_MAX: u32 = 256;
/// Entities of `S_t` from which on nobody may spawn more. What else is spawned in the tick that comes
/// there is not counted: who comes first would depend on the partition.
const ENTITIES_MAX: u32 = 65_536;
/// Longest name of a message or event, bytes.
const NAME_MAX: usize = 64;
/// Longest `str` in an event, bytes: events are small.
const EVENT_TEXT_MAX: usize = 512;
/// Most arguments of an event.
const EVENT_ARGUMENTS_MAX: usize = 16;

fn none() -> Owned {
    // SAFETY: natives run attached.
    unsafe { Owned::from_borrowed(Py_None()) }
}

/// Counts a request against its limit.
fn count(counter: &std::cell::Cell<u32>, max: u32, what: &str) -> PyResult<()> {
    if counter.get() >= max {
        let message = format!("{what}: at most {max} by one entity in one tick");
        // SAFETY: natives run attached.
        return Err(unsafe { raise(PyExc_RuntimeError, &message) });
    }
    counter.set(counter.get() + 1);
    Ok(())
}

/// `entity.send(target, name, *args)`.
pub(super) unsafe extern "C" fn send(
    object: *mut PyObject,
    arguments: *mut *mut PyObject,
    count_: Py_ssize_t,
) -> *mut PyObject {
    context::with(|context| {
        // SAFETY: called by CPython, attached, with `count_` arguments.
        returned(unsafe {
            let arguments = Arguments::new(arguments, count_, std::ptr::null_mut());
            send_message(context, object, arguments.positional())
        })
    })
}

unsafe fn send_message(
    context: &Context,
    object: *mut PyObject,
    arguments: &[*mut PyObject],
) -> PyResult<Owned> {
    let actor = context.acting(object)?;
    let [target, name, arguments @ ..] = arguments else {
        // SAFETY: attached.
        return Err(unsafe { raise(PyExc_TypeError, "send needs a target and a name") });
    };
    // SAFETY: attached, arguments are alive for the call, by the caller.
    unsafe {
        let target = args::entity("send", "target", *target)?;
        let text = args::name("send", *name, NAME_MAX)?;
        if LIFECYCLE.contains(&text) {
            let message = format!("send: on_{text} is the engine's to call; choose another name");
            return Err(raise(PyExc_ValueError, &message));
        }
        count(&actor.sent, MESSAGES_MAX, "send")?;
        let mut exports = context.exports.borrow_mut();
        let mut codec = context.codec().borrow_mut();
        let payload = codec.encode_message(*name, arguments, &mut exports)?;
        let (sender, seq) = (actor.id.get(), actor.next_seq());
        let message = Message {
            target,
            sender,
            seq,
            payload,
        };
        context.outbox.borrow_mut().messages.push(message);
    }
    Ok(none())
}

/// `entity.spawn(Kind, **fields)`.
pub(super) unsafe extern "C" fn spawn(
    object: *mut PyObject,
    arguments: *const *mut PyObject,
    count_: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    context::with(|context| {
        // SAFETY: called by CPython, attached, with these arguments.
        returned(unsafe {
            let arguments = Arguments::new(arguments, count_, names);
            spawn_entity(context, object, arguments)
        })
    })
}

unsafe fn spawn_entity(
    context: &Context,
    object: *mut PyObject,
    arguments: Arguments<'_>,
) -> PyResult<Owned> {
    let actor = context.acting(object)?;
    let kinds = context.kinds()?;
    // SAFETY: attached, arguments are alive for the call, by the caller.
    unsafe {
        let &[class] = arguments.positional() else {
            return Err(raise(
                PyExc_TypeError,
                "spawn takes a kind and fields by name, as in spawn(Crate, position=..., loot=3)",
            ));
        };
        let Some(kind) = kinds.of_class(class) else {
            return Err(bad_argument("spawn", "kind", "a class of entities", class));
        };
        let info = kinds.info(kind);
        let declaration = kinds.declaration(kind);
        let mut values = [std::ptr::null_mut(); FIELDS_MAX];
        for (name, value) in arguments.keywords() {
            let Some(field) = field_index(info, name) else {
                return Err(unknown_field(&declaration.name, &declaration.fields, name));
            };
            values[field] = value;
        }
        let max = if actor.id.get().is_none() {
            ENTITIES_MAX
        } else {
            SPAWNS_MAX
        };
        let living = context.snapshot.borrow().as_ref().map_or(0, |s| s.len());
        if living >= ENTITIES_MAX as usize {
            let message = format!(
                "spawn: the match has {living} entities, and no more than {ENTITIES_MAX} have room"
            );
            return Err(raise(PyExc_RuntimeError, &message));
        }
        count(&actor.spawned, max, "spawn")?;
        let mut row = Vec::with_capacity(info.default_row.len());
        let mut start = 0;
        for (at, field) in declaration.fields.iter().enumerate() {
            let end = info.default_ends[at];
            let value = values[at];
            if value.is_null() {
                row.extend_from_slice(&info.default_row[start..end]);
            } else if let Err(fault) = value::write(context, &field.name, field.ty, value, &mut row)
            {
                let kind = &declaration.name;
                let text = value::describe(kind, &field.name, field.ty, &fault, value);
                return Err(raise(PyExc_TypeError, &format!("spawn: {text}")));
            }
            start = end;
        }
        let request = SpawnRequest {
            parent: actor.id.get(),
            seq: actor.next_seq(),
            kind,
            row,
        };
        context.outbox.borrow_mut().spawns.push(request);
    }
    Ok(none())
}

/// The field of that name: interned names are one object, others are compared.
unsafe fn field_index(info: &KindInfo, name: *mut PyObject) -> Option<usize> {
    info.names
        .iter()
        .position(|known| known.as_ptr() == name)
        .or_else(|| {
            // SAFETY: attached, both are str, by the caller.
            info.names
                .iter()
                .position(|known| unsafe { PyUnicode_Compare(known.as_ptr(), name) } == 0)
        })
}

#[cold]
unsafe fn unknown_field(
    kind: &str,
    fields: &[tessera_protocol::Field],
    name: *mut PyObject,
) -> Raised {
    let known: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
    // SAFETY: attached, `name` is a str, by the caller.
    unsafe {
        let name = str_lossy(name);
        let known = known.join(", ");
        raise(
            PyExc_TypeError,
            &format!("spawn: {kind} has no field {name}; it has {known}"),
        )
    }
}

/// `entity.despawn()`.
pub(super) unsafe extern "C" fn despawn(
    object: *mut PyObject,
    _none: *mut PyObject,
) -> *mut PyObject {
    context::with(|context| {
        returned(context.acting(object).map(|actor| {
            if !actor.despawned.replace(true) {
                context.outbox.borrow_mut().despawns.push(actor.id.get());
            }
            none()
        }))
    })
}

/// `entity.broadcast(name, *args)`.
pub(super) unsafe extern "C" fn broadcast(
    object: *mut PyObject,
    arguments: *mut *mut PyObject,
    count_: Py_ssize_t,
) -> *mut PyObject {
    context::with(|context| {
        // SAFETY: called by CPython, attached, with `count_` arguments.
        returned(unsafe {
            let arguments = Arguments::new(arguments, count_, std::ptr::null_mut());
            event(context, object, "broadcast", None, arguments.positional())
        })
    })
}

/// `entity.tell(client, name, *args)`.
pub(super) unsafe extern "C" fn tell(
    object: *mut PyObject,
    arguments: *mut *mut PyObject,
    count_: Py_ssize_t,
) -> *mut PyObject {
    context::with(|context| {
        // SAFETY: called by CPython, attached, with `count_` arguments.
        returned(unsafe {
            let arguments = Arguments::new(arguments, count_, std::ptr::null_mut());
            match arguments.positional() {
                [client, arguments @ ..] => match value::int(*client, 1, u16::MAX.into()) {
                    Ok(owner) => {
                        let to = ClientId::from_owner(owner as u16);
                        event(context, object, "tell", to, arguments)
                    }
                    Err(_) => {
                        let takes = "a client's number, as given to on_join";
                        Err(bad_argument("tell", "client", takes, *client))
                    }
                },
                [] => Err(raise(PyExc_TypeError, "tell needs a client and a name")),
            }
        })
    })
}

unsafe fn event(
    context: &Context,
    object: *mut PyObject,
    function: &str,
    to: Option<ClientId>,
    arguments: &[*mut PyObject],
) -> PyResult<Owned> {
    let actor = context.acting(object)?;
    // SAFETY: attached, arguments are alive for the call, by the caller.
    unsafe {
        let [name, arguments @ ..] = arguments else {
            return Err(raise(PyExc_TypeError, &format!("{function} needs a name")));
        };
        let name = args::name(function, *name, NAME_MAX)?;
        if arguments.len() > EVENT_ARGUMENTS_MAX {
            let message = format!("{function}: at most {EVENT_ARGUMENTS_MAX} arguments");
            return Err(raise(PyExc_TypeError, &message));
        }
        let mut values = Vec::with_capacity(arguments.len());
        for (at, argument) in arguments.iter().enumerate() {
            values.push(event_value(function, at, *argument)?);
        }
        count(&actor.sent, MESSAGES_MAX, function)?;
        let event = Event {
            sender: actor.id.get(),
            seq: actor.next_seq(),
            to,
            name: name.to_owned(),
            args: values,
        };
        context.outbox.borrow_mut().events.push(event);
    }
    Ok(none())
}

unsafe fn event_value(function: &str, at: usize, value: *mut PyObject) -> PyResult<Value> {
    // SAFETY: attached, `value` is alive, by the caller.
    unsafe {
        if value == Py_None() {
            return Ok(Value::None);
        }
        if PyBool_Check(value) != 0 {
            return Ok(Value::Bool(value == Py_True()));
        }
        if let Ok(number) = value::int(value, i64::MIN, i64::MAX) {
            return Ok(Value::Int(number));
        }
        if let Ok(number) = value::float(value) {
            return Ok(Value::Float(number));
        }
        if let Ok(text) = value::text(value, EVENT_TEXT_MAX) {
            return Ok(Value::Str(String::from_utf8_lossy(text).into_owned()));
        }
        if let Some(id) = crate::entity::id_of(value) {
            return Ok(Value::Entity(id));
        }
        let takes = format!(
            "None, a bool, an int of 64 bits, a finite float, a str of at most {EVENT_TEXT_MAX} \
             bytes or an entity"
        );
        Err(bad_argument(
            function,
            &format!("args[{at}]"),
            &takes,
            value,
        ))
    }
}
