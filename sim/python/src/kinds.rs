//! The kinds of a mode, as the scripts' classes declare them: offsets, defaults, hooks, views.

use std::ffi::CString;
use std::sync::Arc;

use pyo3_ffi::*;
use tessera_protocol::fields::KINDS_MAX;
use tessera_protocol::ids::KindId;
use tessera_protocol::{FieldTable, FieldType, Kind};

use crate::entity::BASE_NAMES;
use crate::error::{attribute, number};
use crate::py::{Owned, PyResult, Raised};
use crate::register::{self, Registration};
use crate::signature::Signature;
use crate::source::Source;
use crate::value::str_lossy;
use crate::{context, load, view};

/// One kind, as hooks, gather and scatter use it.
pub(crate) struct KindInfo {
    /// The script's class: the type of live objects.
    pub(crate) class: Owned,
    /// The read-only subclass: the type of views.
    pub(crate) view: Owned,
    /// Of each field the offset of its slot.
    pub(crate) offsets: Box<[usize]>,
    /// Of each field its type.
    pub(crate) types: Box<[FieldType]>,
    /// Of each field its name as an interned `str`.
    pub(crate) names: Box<[Owned]>,
    /// The row of an entity that says nothing about itself.
    pub(crate) default_row: Box<[u8]>,
    /// Where each field's bytes end in the default row.
    pub(crate) default_ends: Box<[usize]>,
    /// Bit f set where field f is an `object`.
    pub(crate) objects: u64,
    /// `tick(dt)`.
    pub(crate) tick: Option<Hook>,
    /// `command(cmd)`.
    pub(crate) command: Option<Hook>,
    /// Methods `on_<name>`.
    pub(crate) handlers: Box<[Handler]>,
    /// `on_despawn()`.
    pub(crate) on_despawn: Option<Hook>,
    /// Bit k set where kind k is this one or derived from it.
    pub(crate) family: u64,
}

/// What the engine tells entities of their lives. Methods for these take no sender and no arguments;
/// scripts can't send them.
pub(crate) const LIFECYCLE: [&str; 3] = ["spawn", "restart", "despawn"];

/// A method `on_<name>`.
pub(crate) struct Handler {
    pub(crate) name: Box<str>,
    pub(crate) hook: Hook,
    /// Called with the entity only: one of [`LIFECYCLE`].
    pub(crate) bare: bool,
}

/// The name of a hook, such as `Player.tick`, as a number: see
/// [`ScriptZone::hook_name`](crate::ScriptZone::hook_name). The same in all zones of a mode.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct HookId(pub u16);

/// Names of hooks, by [`HookId`].
pub(crate) struct HookNames(Vec<String>);

/// What runs that is no entity's hook, such as a finalizer.
const NO_HOOK: &str = "scripts between hooks";

impl HookNames {
    fn add(&mut self, kind: &str, method: &str) -> HookId {
        self.0.push(format!("{kind}.{method}"));
        HookId(u16::try_from(self.0.len() - 1).unwrap_or_default())
    }

    /// The name; that of no hook for an unknown number.
    pub(crate) fn get(&self, id: HookId) -> &str {
        self.0
            .get(usize::from(id.0))
            .map_or(NO_HOOK, String::as_str)
    }
}

/// A method that the engine calls.
#[derive(Clone)]
pub(crate) struct Hook {
    pub(crate) id: HookId,
    /// A plain function: called with the entity as its first argument.
    pub(crate) function: Owned,
}

/// All kinds of the mode.
pub(crate) struct Kinds {
    /// What they declare.
    pub(crate) table: Arc<FieldTable>,
    /// By [`KindId`].
    pub(crate) infos: Vec<KindInfo>,
    /// What the hooks are called.
    pub(crate) hooks: HookNames,
}

impl Kinds {
    /// Builds the kinds from the classes that the mode registered, in that order.
    ///
    /// # Errors
    /// Raises where there is none, or a class doesn't suit.
    ///
    /// # Safety
    /// Attached; the registrations are of this interpreter. `members` receives what the view types'
    /// descriptors point to, and must outlive the interpreter.
    pub(crate) unsafe fn build(
        registrations: Vec<Registration>,
        members: &mut view::Members,
    ) -> PyResult<Self> {
        if registrations.is_empty() {
            let message = "the mode declares no entity: derive a class from tessera.Entity";
            return Err(register::refuse_mode(message));
        }
        let kinds = registrations.iter().map(|one| one.kind.clone()).collect();
        let classes: Vec<_> = registrations.iter().map(|one| one.class.clone()).collect();
        let mut infos = Vec::with_capacity(registrations.len());
        let mut hooks = HookNames(vec![NO_HOOK.to_owned()]);
        for registration in registrations {
            // SAFETY: by the caller's promise.
            infos.push(unsafe { build(registration, &classes, members, &mut hooks)? });
        }
        Ok(Self {
            table: Arc::new(FieldTable { kinds }),
            infos,
            hooks,
        })
    }

    /// A kind's declaration.
    pub(crate) fn declaration(&self, kind: KindId) -> &Kind {
        &self.table.kinds[kind.index()]
    }

    /// What Rust knows of a kind.
    pub(crate) fn info(&self, kind: KindId) -> &KindInfo {
        &self.infos[kind.index()]
    }

    /// The kind whose class, or whose views' class, this is.
    pub(crate) fn of_class(&self, class: *mut PyObject) -> Option<KindId> {
        let is = |info: &KindInfo| info.class.as_ptr() == class || info.view.as_ptr() == class;
        self.infos
            .iter()
            .position(is)
            .map(|index| KindId(index as u8))
    }

    /// Bit k set where kind k is `class` or derived from it; `None` where it isn't a class.
    ///
    /// # Safety
    /// Attached; `class` is an object of this interpreter.
    pub(crate) unsafe fn family(&self, class: *mut PyObject) -> Option<u64> {
        if let Some(kind) = self.of_class(class) {
            return Some(self.info(kind).family);
        }
        // SAFETY: attached; only types are cast to types.
        unsafe {
            (PyType_Check(class) != 0).then(|| family(class, self.infos.iter().map(|i| &i.class)))
        }
    }
}

unsafe fn family<'a>(base: *mut PyObject, classes: impl Iterator<Item = &'a Owned>) -> u64 {
    let mut family = 0;
    for (at, class) in classes.enumerate() {
        // SAFETY: attached, both are types, by the callers.
        if unsafe { PyType_IsSubtype(class.as_ptr().cast(), base.cast()) } != 0 {
            family |= 1 << at;
        }
    }
    family
}

const _: () = assert!(KINDS_MAX <= 64, "families of kinds are bits of a u64");

unsafe fn build(
    registration: Registration,
    classes: &[Owned],
    members: &mut view::Members,
    hooks: &mut HookNames,
) -> PyResult<KindInfo> {
    let Registration {
        class,
        kind,
        default_row,
        default_ends,
    } = registration;
    let mut offsets = Vec::with_capacity(kind.fields.len());
    let mut names = Vec::with_capacity(kind.fields.len());
    let mut objects = 0;
    // SAFETY: attached, all objects are of this interpreter, by the caller.
    unsafe {
        for (at, field) in kind.fields.iter().enumerate() {
            let name = match BASE_NAMES.get(at) {
                Some(name) => Owned::from_new(PyUnicode_InternFromString(name.as_ptr()))?,
                None => intern(&field.name)?,
            };
            let offset = slot_offset(&class, &kind.name, &name)?;
            if offsets.contains(&offset) {
                return Err(hidden(&kind.name, &name));
            }
            offsets.push(offset);
            names.push(name);
            objects |= u64::from(field.ty == FieldType::Object) << at;
        }
        let view = view::create_type(&class, &names, &offsets, members)?;
        let mut named = |name, signature| hook(&class, &kind.name, name, signature, hooks);
        let tick = named("tick", Signature::TICK)?;
        let command = named("command", Signature::COMMAND)?;
        let handlers = handlers(&class, &kind, hooks)?;
        let on_despawn = handlers.iter().find(|handler| *handler.name == *"despawn");
        Ok(KindInfo {
            tick,
            command,
            on_despawn: on_despawn.map(|handler| handler.hook.clone()),
            handlers,
            family: family(class.as_ptr(), classes.iter()),
            class,
            view,
            offsets: offsets.into(),
            types: kind.fields.iter().map(|field| field.ty).collect(),
            names: names.into(),
            default_row: default_row.into(),
            default_ends: default_ends.into(),
            objects,
        })
    }
}

/// An interned `str`.
///
/// # Safety
/// Attached.
pub(crate) unsafe fn intern(text: &str) -> PyResult<Owned> {
    let text = CString::new(text).unwrap_or_default();
    // SAFETY: attached; the text is a C string.
    unsafe { Owned::from_new(PyUnicode_InternFromString(text.as_ptr())) }
}

/// Where a class's objects hold a field, from the descriptor of its slot. A script may have put anything
/// in that place, such as the slot of another class.
unsafe fn slot_offset(class: &Owned, kind: &str, name: &Owned) -> PyResult<usize> {
    // SAFETY: attached; a member descriptor points to its type and its definition.
    unsafe {
        let descriptor = Owned::from_new(PyObject_GetAttr(class.as_ptr(), name.as_ptr()))?;
        let class: *mut PyTypeObject = class.as_ptr().cast();
        if Py_TYPE(descriptor.as_ptr()) == &raw mut PyMemberDescr_Type {
            let descriptor = descriptor.as_ptr().cast::<PyMemberDescrObject>();
            let member = (*descriptor).d_member;
            let slot = (*member).type_code == Py_T_OBJECT_EX && (*member).flags & Py_READONLY == 0;
            let end = (*member).offset + size_of::<*mut PyObject>() as Py_ssize_t;
            if slot
                && PyType_IsSubtype(class, (*descriptor).d_common.d_type) != 0
                && end <= (*class).tp_basicsize
            {
                return Ok((*member).offset as usize);
            }
        }
        Err(hidden(kind, name))
    }
}

/// Raises for a field that scripts don't reach under its name.
#[cold]
unsafe fn hidden(kind: &str, name: &Owned) -> Raised {
    // SAFETY: attached, by the callers.
    let name = unsafe { str_lossy(name.as_ptr()) };
    register::refuse(&format!(
        "{kind}.{name} is declared as a field but something else of that name hides its slot; rename \
         one of them"
    ))
}

/// Raises, with the place of the class, for a hook that would be called with something else than the entity,
/// such as a class method.
#[cold]
unsafe fn no_function(class: &Owned, kind: &str, called: &str, signature: &Signature) -> Raised {
    // SAFETY: attached, by the caller.
    let (module, line) = unsafe {
        let module = attribute(class, c"__module__").map(|name| str_lossy(name.as_ptr()));
        let line = attribute(class, c"__firstlineno__").map_or(0, |line| number(&line));
        (module.unwrap_or_default(), line as usize)
    };
    let file = context::with(|context| load::find(context, &module).map(Source::file));
    let message = format!(
        "{kind}.{called} is no plain function, which is what the engine calls with the entity: write def \
         {called}({signature}) in the class"
    );
    register::refuse_at(&file.unwrap_or_default(), line, &message)
}

/// The method of that name, if the class has one. What can't be called, such as a field, is none.
unsafe fn hook(
    class: &Owned,
    kind: &str,
    called: &str,
    signature: Signature,
    hooks: &mut HookNames,
) -> PyResult<Option<Hook>> {
    // SAFETY: attached; `GetOptionalAttr` leaves a new reference or null.
    unsafe {
        let name = intern(called)?;
        let mut found = std::ptr::null_mut();
        match PyObject_GetOptionalAttr(class.as_ptr(), name.as_ptr(), &mut found) {
            0 => return Ok(None),
            1 => {}
            _ => return Err(Raised),
        }
        let found = Owned::from_new(found)?;
        if PyCallable_Check(found.as_ptr()) == 0 {
            return Ok(None);
        }
        if PyFunction_Check(found.as_ptr()) == 0 {
            return Err(no_function(class, kind, called, &signature));
        }
        signature.check(&format!("{kind}.{called}"), &found)?;
        let id = hooks.add(kind, called);
        Ok(Some(Hook {
            id,
            function: found,
        }))
    }
}

unsafe fn handlers(class: &Owned, kind: &Kind, hooks: &mut HookNames) -> PyResult<Box<[Handler]>> {
    // SAFETY: attached; `dir` returns a list of str.
    unsafe {
        let names = Owned::from_new(PyObject_Dir(class.as_ptr()))?;
        let mut handlers = Vec::new();
        for at in 0..PyList_Size(names.as_ptr()) {
            let name = Owned::from_borrowed(PyList_GetItem(names.as_ptr(), at));
            let text = str_lossy(name.as_ptr());
            let Some(message) = text.strip_prefix("on_") else {
                continue;
            };
            let bare = LIFECYCLE.contains(&message);
            let signature = match message {
                _ if bare => Signature::LIFECYCLE,
                "join" if kind.is_match => Signature::JOIN,
                "leave" if kind.is_match => Signature::LEAVE,
                _ => Signature::MESSAGE,
            };
            if let Some(hook) = hook(class, &kind.name, &text, signature, hooks)? {
                handlers.push(Handler {
                    name: message.into(),
                    hook,
                    bare,
                });
            }
        }
        Ok(handlers.into())
    }
}
