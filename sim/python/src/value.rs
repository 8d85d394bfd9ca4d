//! Values of fields between Python and Rust: checked on the way in, exact on the way out.

use pyo3_ffi::*;
use tessera_protocol::{FieldType, ValueRef};

use crate::clone::Containers;
use crate::context::Context;
use crate::describe;
use crate::native::TypeId;
use crate::py::{Owned, PyResult, Raised, raise};
use crate::vec3;

/// Why a value doesn't fit a field.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Fault {
    /// The field was deleted with `del`.
    Deleted,
    /// It is of another type.
    Type,
    /// An integer outside the type's range.
    Range,
    /// NaN, infinite, or too large for the type.
    NotFinite,
    /// A text with a lone surrogate, which UTF-8 doesn't have.
    Surrogate,
    /// More bytes than the field's `max`.
    TooLong(usize),
    /// The clone raised, and the exception says why.
    Raised,
}

/// What a field takes, for error messages.
pub(crate) fn expected(ty: FieldType) -> String {
    match ty {
        FieldType::Bool => "a bool".into(),
        FieldType::U8 => "u8: an int from 0 to 255".into(),
        FieldType::U16 => "u16: an int from 0 to 65535".into(),
        FieldType::U32 => "u32: an int from 0 to 4294967295".into(),
        FieldType::I32 => "i32: an int from -2147483648 to 2147483647".into(),
        FieldType::F32 => "f32: a finite float of magnitude below 3.5e38".into(),
        FieldType::F64 => "f64: a finite float".into(),
        FieldType::Vec3 => "a Vec3 of finite floats".into(),
        FieldType::Entity => "ref: an entity's id, or 0 for none".into(),
        FieldType::Str { max } => format!("a str of at most {max} bytes of UTF-8"),
        FieldType::Bytes { max } => format!("bytes, at most {max}"),
        FieldType::Object => "an object that can be cloned".into(),
    }
}

/// Says what is wrong with a value, such as `Player.health takes f32: a finite …, but got str 'x'`.
///
/// # Safety
/// Attached; `value` is null or an object of this interpreter.
#[cold]
pub(crate) unsafe fn describe(
    kind: &str,
    field: &str,
    ty: FieldType,
    fault: &Fault,
    value: *mut PyObject,
) -> String {
    let takes = format!("{kind}.{field} takes {}", expected(ty));
    // SAFETY: attached, the value is alive.
    let got = || unsafe { got(value) };
    match fault {
        Fault::Deleted => format!("{takes}, but it was deleted"),
        Fault::Type => {
            // SAFETY: as above.
            let hint = match unsafe {
                (
                    ty,
                    !value.is_null() && crate::entity::id_of(value).is_some(),
                )
            } {
                (FieldType::Entity | FieldType::U32, true) => " (store its .id)",
                (FieldType::Vec3, _) => " (write Vec3(x, y, z))",
                _ => "",
            };
            format!("{takes}, but got {}{hint}", got())
        }
        Fault::Range | Fault::NotFinite => format!("{takes}, but got {}", got()),
        Fault::Surrogate => format!("{takes}, but got a str with a lone surrogate"),
        Fault::TooLong(len) => format!("{takes}, but got {len} bytes"),
        Fault::Raised => format!("{kind}.{field}: {}", crate::error::take_message()),
    }
}

/// `str 'x'`: a value's type and a short form of it.
unsafe fn got(value: *mut PyObject) -> String {
    if value.is_null() {
        return "nothing".into();
    }
    // SAFETY: attached and alive by the caller's promise; an exception of `repr` is dropped.
    unsafe {
        let name = describe::type_name(value);
        if value == Py_None() {
            return "None".into();
        }
        let Ok(text) = Owned::from_new(PyObject_Repr(value)) else {
            PyErr_Clear();
            return name;
        };
        let text = str_lossy(text.as_ptr());
        match text.char_indices().nth(60) {
            Some((end, _)) => format!("{name} {}…", &text[..end]),
            None => format!("{name} {text}"),
        }
    }
}

/// A `str` as Rust text; what isn't UTF-8 becomes `?`.
///
/// # Safety
/// Attached; `text` is an object of this interpreter.
pub(crate) unsafe fn str_lossy(text: *mut PyObject) -> String {
    // SAFETY: by the caller's promise; CPython returns a buffer of that length, owned by `text`.
    unsafe {
        let mut length = 0;
        let data = PyUnicode_AsUTF8AndSize(text, &mut length);
        if !data.is_null() {
            let bytes = std::slice::from_raw_parts(data.cast::<u8>(), length as usize);
            return String::from_utf8_lossy(bytes).into_owned();
        }
        PyErr_Clear();
        let encoded = PyUnicode_AsEncodedString(text, c"utf-8".as_ptr(), c"replace".as_ptr());
        let Ok(encoded) = Owned::from_new(encoded) else {
            PyErr_Clear();
            return "?".into();
        };
        let length = PyBytes_Size(encoded.as_ptr()) as usize;
        let data = PyBytes_AsString(encoded.as_ptr()).cast::<u8>();
        String::from_utf8_lossy(std::slice::from_raw_parts(data, length)).into_owned()
    }
}

/// An `int` in `[min, max]`. A `bool` is none; an `IntEnum` is.
///
/// # Safety
/// Attached; `value` is an object of this interpreter.
#[inline]
pub(crate) unsafe fn int(value: *mut PyObject, min: i64, max: i64) -> Result<i64, Fault> {
    // SAFETY: by the caller's promise.
    unsafe {
        if PyLong_CheckExact(value) == 0 && (PyLong_Check(value) == 0 || PyBool_Check(value) != 0) {
            return Err(Fault::Type);
        }
        let mut overflow = 0;
        let number = PyLong_AsLongLongAndOverflow(value, &mut overflow);
        if overflow != 0 {
            return Err(Fault::Range);
        }
        if number < min || number > max {
            return Err(Fault::Range);
        }
        Ok(number)
    }
}

/// A finite number: a `float`, or an `int`; not a `bool`.
///
/// # Safety
/// Attached; `value` is an object of this interpreter.
#[inline]
pub(crate) unsafe fn float(value: *mut PyObject) -> Result<f64, Fault> {
    // SAFETY: by the caller's promise; `AS_DOUBLE` only on floats.
    let number = unsafe {
        if PyFloat_CheckExact(value) != 0 || PyFloat_Check(value) != 0 {
            PyFloat_AS_DOUBLE(value)
        } else if PyLong_Check(value) != 0 && PyBool_Check(value) == 0 {
            let number = PyLong_AsDouble(value);
            if number == -1.0 && !PyErr_Occurred().is_null() {
                PyErr_Clear();
                return Err(Fault::NotFinite);
            }
            number
        } else {
            return Err(Fault::Type);
        }
    };
    if number.is_finite() {
        Ok(number)
    } else {
        Err(Fault::NotFinite)
    }
}

/// A finite `Vec3`.
///
/// # Safety
/// Attached; `value` is an object of this interpreter.
#[inline]
pub(crate) unsafe fn vector(value: *mut PyObject) -> Result<[f64; 3], Fault> {
    // SAFETY: by the caller's promise.
    let vector = unsafe { vec3::get(value) }.ok_or(Fault::Type)?;
    if vector.iter().all(|axis| axis.is_finite()) {
        Ok(vector)
    } else {
        Err(Fault::NotFinite)
    }
}

/// The UTF-8 of a `str`, kept alive by it.
///
/// # Safety
/// Attached; `value` is an object of this interpreter that outlives `'a`.
#[inline]
pub(crate) unsafe fn text<'a>(value: *mut PyObject, max: usize) -> Result<&'a [u8], Fault> {
    // SAFETY: by the caller's promise; the buffer belongs to the str and has that length.
    unsafe {
        if PyUnicode_Check(value) == 0 {
            return Err(Fault::Type);
        }
        let mut length = 0;
        let data = PyUnicode_AsUTF8AndSize(value, &mut length);
        if data.is_null() {
            PyErr_Clear();
            return Err(Fault::Surrogate);
        }
        if length as usize > max {
            return Err(Fault::TooLong(length as usize));
        }
        Ok(std::slice::from_raw_parts(data.cast(), length as usize))
    }
}

/// The bytes of a `bytes`, kept alive by it.
///
/// # Safety
/// Attached; `value` is an object of this interpreter that outlives `'a`.
#[inline]
pub(crate) unsafe fn bytes<'a>(value: *mut PyObject, max: usize) -> Result<&'a [u8], Fault> {
    // SAFETY: by the caller's promise; the buffer belongs to the bytes object and has that length.
    unsafe {
        if PyBytes_Check(value) == 0 {
            return Err(Fault::Type);
        }
        let length = Py_SIZE(value) as usize;
        if length > max {
            return Err(Fault::TooLong(length));
        }
        Ok(std::slice::from_raw_parts(
            PyBytes_AS_STRING(value).cast(),
            length,
        ))
    }
}

/// The range of an integer type.
pub(crate) const fn int_range(ty: FieldType) -> (i64, i64) {
    match ty {
        FieldType::U8 => (0, u8::MAX as i64),
        FieldType::U16 => (0, u16::MAX as i64),
        FieldType::I32 => (i32::MIN as i64, i32::MAX as i64),
        _ => (0, u32::MAX as i64),
    }
}

/// Appends the bytes of a field, as in a row.
///
/// # Safety
/// Attached; `value` is an object of this interpreter.
pub(crate) unsafe fn write(
    context: &Context,
    name: &str,
    ty: FieldType,
    value: *mut PyObject,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    // SAFETY: by the caller's promise, for each of the readers.
    unsafe {
        let field = match ty {
            FieldType::Bool if value == Py_True() => ValueRef::Bool(true),
            FieldType::Bool if value == Py_False() => ValueRef::Bool(false),
            FieldType::Bool => return Err(Fault::Type),
            FieldType::U8
            | FieldType::U16
            | FieldType::U32
            | FieldType::I32
            | FieldType::Entity => {
                let (min, max) = int_range(ty);
                let number = int(value, min, max)?;
                match ty {
                    FieldType::U8 => ValueRef::U8(number as u8),
                    FieldType::U16 => ValueRef::U16(number as u16),
                    FieldType::I32 => ValueRef::I32(number as i32),
                    _ => ValueRef::U32(number as u32),
                }
            }
            FieldType::F32 => ValueRef::F32(single(float(value)?)?),
            FieldType::F64 => ValueRef::F64(float(value)?),
            FieldType::Vec3 => ValueRef::Vec3(vector(value)?),
            FieldType::Str { max } => ValueRef::Var(text(value, max.into())?),
            FieldType::Bytes { max } => ValueRef::Var(bytes(value, max.into())?),
            FieldType::Object => return write_object(context, name, value, out),
        };
        field.write(out);
    }
    Ok(())
}

/// Rounds to a single.
#[inline]
pub(crate) fn single(number: f64) -> Result<f32, Fault> {
    let single = number as f32;
    if single.is_finite() {
        Ok(single)
    } else {
        Err(Fault::NotFinite)
    }
}

unsafe fn write_object(
    context: &Context,
    name: &str,
    value: *mut PyObject,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut codec = context.codec().borrow_mut();
    // SAFETY: attached and alive by the caller's promise.
    let encoded = unsafe { codec.encode_value(value, || name.to_owned(), out) };
    encoded.map_err(|_| Fault::Raised)?;
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// Makes the Python object of a field's value. For an `object` field, `containers` says of what make
/// lists, dicts and sets are; whether it holds any is for the caller to ask.
///
/// # Safety
/// Attached to the interpreter of `context`.
pub(crate) unsafe fn read(
    context: &Context,
    ty: FieldType,
    value: ValueRef<'_>,
    containers: Containers,
) -> PyResult<Owned> {
    // SAFETY: attached; each constructor returns a new reference or null.
    unsafe {
        Owned::from_new(match value {
            ValueRef::Bool(v) => Py_NewRef(if v { Py_True() } else { Py_False() }),
            ValueRef::U8(v) => PyLong_FromLong(v.into()),
            ValueRef::U16(v) => PyLong_FromLong(v.into()),
            ValueRef::U32(v) | ValueRef::Entity(v) => PyLong_FromUnsignedLong(v.into()),
            ValueRef::I32(v) => PyLong_FromLong(v.into()),
            ValueRef::F32(v) => PyFloat_FromDouble(v.into()),
            ValueRef::F64(v) => PyFloat_FromDouble(v),
            ValueRef::Vec3(v) => vec3::new(context.types.get()[TypeId::Vec3 as usize], v),
            ValueRef::Var(v) => return read_var(context, ty, v, containers),
        })
    }
}

unsafe fn read_var(
    context: &Context,
    ty: FieldType,
    data: &[u8],
    containers: Containers,
) -> PyResult<Owned> {
    let (start, length) = (data.as_ptr().cast(), data.len() as Py_ssize_t);
    // SAFETY: attached; pointer and length are those of a slice.
    unsafe {
        Owned::from_new(match ty {
            // Rows come from a gather, which only lets UTF-8 through; a row from elsewhere shows `�`.
            FieldType::Str { .. } => PyUnicode_DecodeUTF8(start, length, c"replace".as_ptr()),
            FieldType::Object => {
                return decode(context, data, containers);
            }
            _ => PyBytes_FromStringAndSize(start, length),
        })
    }
}

unsafe fn decode(context: &Context, data: &[u8], containers: Containers) -> PyResult<Owned> {
    // SAFETY: attached to the codec's interpreter.
    unsafe { context.codec().borrow_mut().decode_value(data, containers) }
}

/// Raises a `TypeError` for an argument of a native function.
///
/// # Safety
/// Attached; `value` is an object of this interpreter.
#[cold]
pub(crate) unsafe fn bad_argument(
    function: &str,
    argument: &str,
    takes: &str,
    value: *mut PyObject,
) -> Raised {
    // SAFETY: by the caller's promise.
    unsafe {
        let got = got(value);
        raise(
            PyExc_TypeError,
            &format!("{function}: {argument} must be {takes}, but got {got}"),
        )
    }
}
