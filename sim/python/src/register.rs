//! `_tessera.register_kind`: a class's declaration, checked while its class statement runs, so that
//! the traceback of a refusal points at it.

use std::ffi::{CString, c_int};

use pyo3_ffi::*;
use tessera_protocol::base;
use tessera_protocol::fields::{FIELDS_MAX, KINDS_MAX};
use tessera_protocol::{
    Audience, Field, FieldType, Hitbox, Kind, Projectile, Quantization, WalkRules, Walker,
};

use crate::context::{self, Context};
use crate::native::TypeId;
use crate::py::{Owned, PyResult, Raised, raise, returned};
use crate::value::{self, Fault, str_lossy};

/// A class that the mode declared.
pub(crate) struct Registration {
    pub(crate) class: Owned,
    pub(crate) kind: Kind,
    pub(crate) default_row: Vec<u8>,
    pub(crate) default_ends: Vec<usize>,
}

/// Longest name of a kind or field, bytes.
const NAME_MAX: usize = 64;
/// Largest `max` of a `str` or `bytes` field.
const VAR_MAX: i64 = u16::MAX as i64;

/// `register_kind(cls, fields, hitbox, projectile, walker, is_match)`; see [`crate::native`].
pub(crate) unsafe extern "C" fn register_kind(
    _module: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    context::with(|context| {
        // SAFETY: called by CPython, attached, with `count` arguments.
        returned(unsafe {
            let arguments = crate::args::positional(arguments, count);
            register(context, arguments).map(|()| Owned::from_borrowed(Py_None()))
        })
    })
}

unsafe fn register(context: &Context, arguments: &[*mut PyObject]) -> PyResult<()> {
    let &[class, fields, hitbox, projectile, walker, is_match] = arguments else {
        // SAFETY: attached.
        return Err(unsafe { raise(PyExc_TypeError, "register_kind takes six arguments") });
    };
    // SAFETY: attached, arguments are alive for the call, by the caller.
    unsafe {
        let base = context.types.get()[TypeId::Entity as usize];
        if PyType_Check(class) == 0 || PyType_IsSubtype(class.cast(), base) == 0 {
            return Err(refuse("only subclasses of Entity can be kinds"));
        }
        let name = str_lossy(Owned::from_new(PyType_GetName(class.cast()))?.as_ptr());
        check_class(context, class.cast(), &name)?;
        let mut kind = Kind {
            name,
            fields: base::fields(context.world.size()).to_vec(),
            hitbox: None,
            projectile: None,
            walker: None,
            is_match: is_match == Py_True(),
        };
        let (mut default_row, mut default_ends) = (Vec::new(), Vec::new());
        for field in &kind.fields {
            // Zero in every base type: a vector, a float, an integer.
            let width = match field.ty {
                FieldType::Vec3 => 24,
                FieldType::F32 => 4,
                _ => 2,
            };
            default_row.resize(default_row.len() + width, 0);
            default_ends.push(default_row.len());
        }
        for at in 0..size(fields, "fields")? {
            let (field, default) = read_field(&kind, PyTuple_GetItem(fields, at))?;
            let written = value::write(context, &field.name, field.ty, default, &mut default_row);
            if let Err(fault) = written {
                let text = value::describe(&kind.name, &field.name, field.ty, &fault, default);
                return Err(refuse(&format!("the default doesn't fit: {text}")));
            }
            default_ends.push(default_row.len());
            kind.fields.push(field);
        }
        kind.hitbox = read_hitbox(&kind, hitbox)?;
        kind.projectile = read_projectile(&kind, projectile)?;
        kind.walker = read_walker(&kind, walker)?;
        kind.check().map_err(|error| refuse(&error.to_string()))?;
        let mut registrations = context.registrations.borrow_mut();
        if kind.is_match
            && let Some(other) = registrations.iter().find(|one| one.kind.is_match)
        {
            let (one, other) = (&kind.name, &other.kind.name);
            return Err(refuse(&format!(
                "{one} and {other} both derive from Match, and a mode has one Match"
            )));
        }
        let class = Owned::from_borrowed(class);
        registrations.push(Registration {
            class,
            kind,
            default_row,
            default_ends,
        });
    }
    Ok(())
}

unsafe fn check_class(context: &Context, class: *mut PyTypeObject, name: &str) -> PyResult<()> {
    if !context.loading.get() {
        return Err(refuse(&format!(
            "{name} is declared too late: kinds are declared while the mode loads, at module level"
        )));
    }
    let registrations = context.registrations.borrow();
    if registrations.len() >= KINDS_MAX {
        return Err(refuse(&format!(
            "{name} is one kind too many: at most {KINDS_MAX}"
        )));
    }
    if registrations.iter().any(|one| one.kind.name == name) {
        return Err(refuse(&format!(
            "there is a kind called {name} already; rename one"
        )));
    }
    if name.len() > NAME_MAX {
        return Err(refuse(&format!(
            "the name {name} is longer than {NAME_MAX} bytes"
        )));
    }
    // SAFETY: attached, `class` is a type, by the caller.
    let open = unsafe { (*class).tp_dictoffset != 0 || has_dict(class) };
    if open {
        return Err(refuse(&format!(
            "{name} would take undeclared attributes, which are lost between ticks: give each class it \
             derives from besides Entity a `__slots__ = ()`"
        )));
    }
    Ok(())
}

/// Whether objects have a `__dict__` that the interpreter manages.
unsafe fn has_dict(class: *mut PyTypeObject) -> bool {
    // SAFETY: `class` is a type, by the caller.
    unsafe { PyType_HasFeature(class, Py_TPFLAGS_MANAGED_DICT) != 0 }
}

/// Raises `DeclarationError`.
#[cold]
pub(crate) fn refuse(message: &str) -> Raised {
    context::with(|context| {
        // SAFETY: natives run attached; the module made the exception before any class.
        unsafe { raise(context.declaration_error.get(), message) }
    })
}

/// Raises `DeclarationError` with the place of what is wrong, no frame of which runs; line 0 stands for all
/// of the file.
#[cold]
pub(crate) fn refuse_at(file: &str, line: usize, message: &str) -> Raised {
    let file = CString::new(file).unwrap_or_default();
    let raised = refuse(message);
    // SAFETY: natives run attached; the exception has just been set.
    unsafe { PyErr_SyntaxLocationEx(file.as_ptr(), line as c_int, 0) };
    raised
}

/// Raises `DeclarationError` for what the mode lacks.
#[cold]
pub(crate) fn refuse_mode(message: &str) -> Raised {
    let file = context::with(|context| format!("{}/__init__.py", context.mode));
    refuse_at(&file, 0, message)
}

unsafe fn size(tuple: *mut PyObject, what: &str) -> PyResult<Py_ssize_t> {
    // SAFETY: attached, `tuple` is alive, by the callers.
    unsafe {
        if PyTuple_Check(tuple) == 0 {
            return Err(refuse(&format!("{what} must be a tuple")));
        }
        Ok(PyTuple_Size(tuple))
    }
}

/// A tuple of exactly `N` items, borrowed.
unsafe fn items<const N: usize>(tuple: *mut PyObject, what: &str) -> PyResult<[*mut PyObject; N]> {
    // SAFETY: attached, `tuple` is alive, by the callers; indices are below its size.
    unsafe {
        if size(tuple, what)? != N as Py_ssize_t {
            return Err(refuse(&format!("{what} must be a tuple of {N}")));
        }
        Ok(std::array::from_fn(|at| {
            PyTuple_GetItem(tuple, at as Py_ssize_t)
        }))
    }
}

unsafe fn read_field(kind: &Kind, field: *mut PyObject) -> PyResult<(Field, *mut PyObject)> {
    // SAFETY: attached, `field` is alive, by the caller.
    unsafe {
        let [name, ty, max, default, quantization, audience] = items(field, "a field")?;
        let name = str_lossy(name);
        let of = format!("{}.{name}", kind.name);
        if kind.fields.len() >= FIELDS_MAX {
            return Err(refuse(&format!(
                "{of} is one field too many: at most {FIELDS_MAX}, base fields included"
            )));
        }
        if kind.field(&name).is_some() {
            return Err(refuse(&format!(
                "{of} is declared twice; position, velocity, yaw, pitch and \
                 owner are there already"
            )));
        }
        if name.len() > NAME_MAX {
            return Err(refuse(&format!(
                "the name of {of} is longer than {NAME_MAX} bytes"
            )));
        }
        let max = value::int(max, 0, VAR_MAX)
            .map_err(|_| refuse(&format!("{of}: max must be from 1 to {VAR_MAX} bytes")))?;
        let ty = field_type(&str_lossy(ty), max as u16)
            .ok_or_else(|| refuse(&format!("{of} has an unknown type {}", str_lossy(ty))))?;
        let field = Field {
            quantization: read_quantization(&of, ty, quantization)?,
            audience: read_audience(&of, ty, audience)?,
            name,
            ty,
        };
        Ok((field, default))
    }
}

fn field_type(name: &str, max: u16) -> Option<FieldType> {
    Some(match name {
        "bool" => FieldType::Bool,
        "u8" => FieldType::U8,
        "u16" => FieldType::U16,
        "u32" => FieldType::U32,
        "i32" => FieldType::I32,
        "f32" => FieldType::F32,
        "f64" => FieldType::F64,
        "vec3" => FieldType::Vec3,
        "ref" => FieldType::Entity,
        "str" => FieldType::Str { max },
        "bytes" => FieldType::Bytes { max },
        "object" => FieldType::Object,
        _ => return None,
    })
}

unsafe fn read_quantization(
    of: &str,
    ty: FieldType,
    quantization: *mut PyObject,
) -> PyResult<Quantization> {
    let number = |value, what: &str| {
        // SAFETY: attached and alive, by the caller.
        unsafe { value::float(value) }
            .map_err(|_| refuse(&format!("{of}: {what} must be a finite number")))
    };
    let bits = |value| {
        // SAFETY: attached and alive, by the caller.
        unsafe { value::int(value, 1, 32) }
            .map(|bits| bits as u8)
            .map_err(|_| refuse(&format!("{of}: bits must be from 1 to 32")))
    };
    // SAFETY: attached and alive, by the caller; `size` makes sure that item 0 is there.
    unsafe {
        let tag = match size(quantization, "a quantization")? {
            0 => String::new(),
            _ => str_lossy(PyTuple_GetItem(quantization, 0)),
        };
        let quantization = match tag.as_str() {
            "exact" => return Ok(Quantization::Exact),
            "range" => {
                let [_, min, max, width] = items(quantization, "Range")?;
                let (min, max) = (number(min, "min")?, number(max, "max")?);
                if min >= max {
                    return Err(refuse(&format!(
                        "{of}: Range({min}, {max}) needs min < max"
                    )));
                }
                Quantization::Range {
                    min,
                    max,
                    bits: bits(width)?,
                }
            }
            "angle" => {
                let [_, width] = items(quantization, "Angle")?;
                Quantization::Angle { bits: bits(width)? }
            }
            _ => return Err(refuse(&format!("{of}: wire must be Range(…) or Angle(…)"))),
        };
        let fits = match quantization {
            Quantization::Angle { .. } => matches!(ty, FieldType::F32 | FieldType::F64),
            _ => !matches!(
                ty,
                FieldType::Bool
                    | FieldType::Entity
                    | FieldType::Str { .. }
                    | FieldType::Bytes { .. }
                    | FieldType::Object
            ),
        };
        if !fits {
            return Err(refuse(&format!(
                "{of}: wire={tag} doesn't go with this type"
            )));
        }
        Ok(quantization)
    }
}

unsafe fn read_audience(of: &str, ty: FieldType, audience: *mut PyObject) -> PyResult<Audience> {
    // SAFETY: attached and alive, by the caller.
    let audience = match unsafe { value::int(audience, 0, 2) } {
        Ok(0) => Audience::Everyone,
        Ok(1) => Audience::Owner,
        Ok(_) => Audience::Nobody,
        Err(_) => {
            return Err(refuse(&format!(
                "{of}: to must be EVERYONE, OWNER or NOBODY"
            )));
        }
    };
    if ty == FieldType::Object && audience != Audience::Nobody {
        return Err(refuse(&format!(
            "{of} is an object, which clients can't receive: to=NOBODY"
        )));
    }
    Ok(audience)
}

unsafe fn read_hitbox(kind: &Kind, hitbox: *mut PyObject) -> PyResult<Option<Hitbox>> {
    let of = &kind.name;
    // SAFETY: attached and alive, by the caller.
    unsafe {
        if hitbox == Py_None() {
            return Ok(None);
        }
        let [radius, height, when] = items(hitbox, "a hitbox")?;
        let positive = |value, what: &str| match value::float(value) {
            Ok(number) if number > 0.0 && number < 1000.0 => Ok(number as f32),
            _ => Err(refuse(&format!(
                "{of}.hitbox: {what} must be metres, above 0 and below 1000"
            ))),
        };
        let (radius, height) = (positive(radius, "radius")?, positive(height, "height")?);
        if height < 2.0 * radius {
            return Err(refuse(&format!(
                "{of}.hitbox: height {height} must be at least twice the radius {radius}"
            )));
        }
        let when = read_when(kind, "hitbox", when)?;
        Ok(Some(Hitbox {
            radius,
            height,
            when,
        }))
    }
}

/// The index of the `bool` field that something depends on.
unsafe fn read_when(kind: &Kind, what: &str, when: *mut PyObject) -> PyResult<Option<u16>> {
    let of = &kind.name;
    // SAFETY: attached and alive, by the caller.
    unsafe {
        if when == Py_None() {
            return Ok(None);
        }
        let when = str_lossy(when);
        match kind.field(&when) {
            Some(at) if kind.fields[at].ty == FieldType::Bool => Ok(Some(at as u16)),
            _ => Err(refuse(&format!(
                "{of}.{what}: when={when:?} must name a bool field of {of}"
            ))),
        }
    }
}

unsafe fn read_walker(kind: &Kind, walker: *mut PyObject) -> PyResult<Option<Walker>> {
    let of = &kind.name;
    // SAFETY: attached and alive, by the caller.
    unsafe {
        if walker == Py_None() {
            return Ok(None);
        }
        let [rules, when] = items(walker, "a walker")?;
        let values = items::<13>(rules, "the rules of a walker")?;
        let rules = WalkRules::from_values(values.map(|value| {
            // What is no number is refused below, by its name.
            value::float(value).unwrap_or(f64::NAN)
        }));
        if let Some((name, permitted)) = rules.fault() {
            return Err(refuse(&format!("{of}.walker: {name} must be {permitted}")));
        }
        let flag = |name: &str| match kind.field(name) {
            None => Ok(None),
            Some(at) => {
                let field = &kind.fields[at];
                match field.ty == FieldType::Bool && field.audience != Audience::Nobody {
                    true => Ok(Some(at as u16)),
                    false => Err(refuse(&format!(
                        "{of}.{name} must be a bool that its owner is told, for {of}.walker: a client \
                         predicts its own player with it"
                    ))),
                }
            }
        };
        let Some(grounded) = flag("grounded")? else {
            return Err(refuse(&format!(
                "{of}.walker needs a field for whether it stands on something: \
                 grounded: bool = field(False, to=OWNER)"
            )));
        };
        Ok(Some(Walker {
            rules,
            grounded,
            crouched: flag("crouched")?,
            gliding: flag("gliding")?,
            when: match read_when(kind, "walker", when)? {
                None => None,
                Some(at) => flag(&kind.fields[usize::from(at)].name)?,
            },
        }))
    }
}

unsafe fn read_projectile(kind: &Kind, gravity: *mut PyObject) -> PyResult<Option<Projectile>> {
    // SAFETY: attached and alive, by the caller.
    unsafe {
        if gravity == Py_None() {
            return Ok(None);
        }
        match value::float(gravity) {
            Ok(gravity) if gravity.abs() <= 1e6 => Ok(Some(Projectile {
                gravity: gravity as f32,
            })),
            Ok(_) | Err(Fault::NotFinite | Fault::Type) | Err(_) => Err(refuse(&format!(
                "{}.projectile: gravity must be a number of m/s²",
                kind.name
            ))),
        }
    }
}
