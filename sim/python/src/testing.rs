//! A bare interpreter, for tests and benchmarks of what needs Python objects but no zone.
//!
//! Not part of the API: it is public for the benchmarks only.

use std::ffi::CString;
use std::ptr::null_mut;
use std::sync::Arc;

use pyo3_ffi::*;

use crate::buffer::{self, Exports};
use crate::clone::{Cloned, Codec, Containers, Types};
use crate::interpreter;
use crate::memory::Account;
use crate::messages::{Message, Payload};
use crate::py::{Owned, Raised};
use crate::vec3;

/// An interpreter on this thread with `Vec3`, `SharedBuffer` and a class `Entity` in its namespace.
pub struct Interpreter {
    // In order of their end.
    codec: Codec,
    namespace: Owned,
    isolated: interpreter::Interpreter,
    exports: Ending,
}

/// Exports that are orphaned after the interpreter: fields are dropped in order.
struct Ending(Exports);

impl Drop for Ending {
    fn drop(&mut self) {
        // SAFETY: the interpreter has been dropped.
        unsafe { self.0.orphan() }
    }
}

impl Drop for Interpreter {
    /// The fields release objects of this interpreter.
    fn drop(&mut self) {
        self.attach();
    }
}

impl Interpreter {
    /// Starts one, and attaches the thread to it.
    ///
    /// # Panics
    /// Where Python can't start.
    pub fn start() -> Self {
        let account = Arc::new(Account::new(None));
        let isolated = interpreter::Interpreter::create(Arc::default(), account);
        let isolated = isolated.expect("Python starts");
        // SAFETY: `create` attached this thread to a new interpreter; all objects are of it.
        unsafe {
            let module = Owned::from_new(PyModule_New(c"native".as_ptr())).expect("a module");
            let vec3 = vec3::create_type(module.as_ptr());
            let shared_buffer = buffer::create_type(module.as_ptr());
            assert!(!vec3.is_null() && !shared_buffer.is_null());
            let namespace = Owned::from_new(PyDict_New()).expect("a dict");
            let builtins = PyEval_GetBuiltins();
            for (name, object) in [
                (c"__builtins__", builtins),
                (c"Vec3", vec3.cast()),
                (c"SharedBuffer", shared_buffer.cast()),
            ] {
                assert_eq!(
                    PyDict_SetItemString(namespace.as_ptr(), name.as_ptr(), object),
                    0
                );
            }
            run(&namespace, "class Entity: id = 7").expect("a class");
            let entity = PyDict_GetItemString(namespace.as_ptr(), c"Entity".as_ptr()).cast();
            Self {
                codec: Codec::new(Types {
                    vec3,
                    shared_buffer,
                    entity,
                }),
                namespace,
                isolated,
                exports: Ending(Exports::new()),
            }
        }
    }

    /// Attaches the thread to this one of several, before anything else is done with it.
    pub fn attach(&self) {
        self.isolated.attach();
    }

    /// Runs statements.
    ///
    /// # Errors
    /// What Python raised.
    pub fn run(&mut self, code: &str) -> Result<(), String> {
        // SAFETY: the thread is attached while `self` lives.
        unsafe { run(&self.namespace, code) }
    }

    /// The value of an expression.
    ///
    /// # Errors
    /// What Python raised.
    pub(crate) fn eval(&mut self, code: &str) -> Result<Owned, String> {
        // SAFETY: as for `run`.
        unsafe { eval(&self.namespace, code, Py_eval_input) }
    }

    /// The `str` of an expression's value.
    ///
    /// # Errors
    /// What Python raised.
    pub fn show(&mut self, code: &str) -> Result<String, String> {
        let value = self.eval(code)?;
        // SAFETY: as for `run`.
        Ok(unsafe { text(value.as_ptr()) })
    }

    /// Gives a value a name.
    pub(crate) fn name(&mut self, name: &str, value: &Owned) {
        let name = CString::new(name).expect("no NUL");
        // SAFETY: as for `run`.
        let set =
            unsafe { PyDict_SetItemString(self.namespace.as_ptr(), name.as_ptr(), value.as_ptr()) };
        assert_eq!(set, 0);
    }

    /// The bytes of a value of an `object` field called `brain`.
    ///
    /// # Errors
    /// What Python raised.
    #[cfg(test)]
    pub(crate) fn encode(&mut self, value: &Owned) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        // SAFETY: as for `run`.
        unsafe {
            match self
                .codec
                .encode_value(value.as_ptr(), || "brain".into(), &mut bytes)
            {
                Ok(()) => Ok(bytes),
                Err(Raised) => Err(take_error()),
            }
        }
    }

    /// The value of such bytes.
    ///
    /// # Errors
    /// What Python raised.
    #[cfg(test)]
    pub(crate) fn decode(&mut self, bytes: &[u8], containers: Containers) -> Result<Owned, String> {
        // SAFETY: as for `run`.
        unsafe {
            self.codec
                .decode_value(bytes, containers)
                .map_err(|Raised| take_error())
        }
    }

    /// A message `hit` with the items of a tuple as its arguments.
    ///
    /// # Errors
    /// What Python raised.
    pub fn send(&mut self, args: &str) -> Result<Cloned, String> {
        let args = self.eval(args)?;
        let name = self.eval("'hit'")?;
        let exports = &mut self.exports.0;
        // SAFETY: as for `run`; the items stay in the tuple.
        unsafe {
            let len = PyTuple_Size(args.as_ptr());
            let items: Vec<_> = (0..len)
                .map(|at| PyTuple_GetItem(args.as_ptr(), at))
                .collect();
            let message = self.codec.encode_message(name.as_ptr(), &items, exports);
            message.map_err(|Raised| take_error())
        }
    }

    /// Names a message's arguments `args`, a list.
    ///
    /// # Errors
    /// What Python raised.
    pub fn receive(&mut self, message: &Cloned) -> Result<(), String> {
        let mut args = Vec::new();
        // SAFETY: as for `run`; `PyList_Append` takes a reference of its own.
        let list = unsafe {
            if let Err(Raised) = self.codec.decode_args(message, &mut args) {
                return Err(take_error());
            }
            let list = Owned::from_new(PyList_New(0)).expect("a list");
            for arg in args {
                assert_eq!(PyList_Append(list.as_ptr(), arg.as_ptr()), 0);
            }
            list
        };
        self.name("args", &list);
        Ok(())
    }

    /// Appends a message's arguments, as a hook gets them.
    ///
    /// # Panics
    /// If they can't be.
    pub fn hear(&mut self, message: &Message, args: &mut Arguments) {
        // SAFETY: as for `run`.
        unsafe {
            assert_eq!(message.payload.name(), b"hit");
            let decoded = self.codec.decode_args(&message.payload, &mut args.0);
            decoded.expect("they were encoded");
        }
    }

    /// Takes back what receivers have released; how many loans are left.
    pub fn drain(&mut self) -> usize {
        let exports = &mut self.exports.0;
        // SAFETY: as for `run`.
        unsafe { exports.drain() };
        exports.outstanding()
    }
}

/// Arguments of hooks. Dropped and cleared while the thread is attached to their interpreter.
#[derive(Default)]
pub struct Arguments(Vec<Owned>);

impl Arguments {
    /// Appends what `marshal.loads` makes of bytes, in the interpreter that the thread is attached to.
    ///
    /// # Panics
    /// If they are none of [`Sample::marshal`].
    pub fn unmarshal(&mut self, bytes: &[u8]) {
        let (data, len) = (bytes.as_ptr().cast(), bytes.len() as Py_ssize_t);
        // SAFETY: the pointer and length are one slice, which CPython only reads.
        let value = unsafe { Owned::from_new(PyMarshal_ReadObjectFromString(data, len)) };
        self.0.push(value.expect("a copy"));
    }

    /// Lets go of them.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// A value of an interpreter, to clone and to marshal over and over.
pub struct Sample<'a> {
    interpreter: &'a mut Interpreter,
    value: Owned,
    name: Owned,
    bytes: Vec<u8>,
}

impl Drop for Sample<'_> {
    /// The fields release objects of the value's interpreter.
    fn drop(&mut self) {
        self.attach();
    }
}

impl<'a> Sample<'a> {
    /// The value of an expression.
    ///
    /// # Panics
    /// If it raises.
    pub fn new(interpreter: &'a mut Interpreter, code: &str) -> Self {
        interpreter.attach();
        let value = interpreter.eval(code).expect("the sample is valid");
        let name = interpreter.eval("'hit'").expect("a str");
        Self {
            interpreter,
            value,
            name,
            bytes: Vec::new(),
        }
    }

    /// Attaches the thread to the value's interpreter, before anything else is done with it.
    pub fn attach(&self) {
        self.interpreter.attach();
    }

    /// The payload of `self.send(target, "hit", value)`.
    ///
    /// # Panics
    /// If it can't be sent.
    pub fn payload(&mut self) -> Payload {
        let Interpreter { codec, exports, .. } = &mut *self.interpreter;
        let args = [self.value.as_ptr()];
        // SAFETY: the thread is attached while the interpreter lives.
        let cloned = unsafe { codec.encode_message(self.name.as_ptr(), &args, &mut exports.0) };
        cloned.expect("cloneable")
    }

    /// Clones it, and lets go of the clone.
    ///
    /// # Panics
    /// If it can't be cloned.
    pub fn clone_round_trip(&mut self) {
        self.bytes.clear();
        let codec = &mut self.interpreter.codec;
        // SAFETY: the thread is attached while the interpreter lives.
        unsafe {
            codec
                .encode_value(self.value.as_ptr(), || "sample".into(), &mut self.bytes)
                .expect("cloneable");
            drop(
                codec
                    .decode_value(&self.bytes, Containers::Live)
                    .expect("a clone"),
            );
        }
    }

    /// The same by `marshal.dumps` and `marshal.loads`, as C functions: without the cost of calls from
    /// Python.
    ///
    /// # Panics
    /// If it can't be marshalled.
    pub fn marshal_round_trip(&mut self) {
        let bytes = self.marshal();
        let mut copy = Arguments::default();
        copy.unmarshal(&bytes);
    }

    /// What `marshal.dumps` makes of it, fit to be sent.
    ///
    /// # Panics
    /// If it can't be marshalled.
    pub fn marshal(&mut self) -> Box<[u8]> {
        // SAFETY: the thread is attached while the interpreter lives; the bytes are copied before their
        // object is released.
        unsafe {
            let bytes = PyMarshal_WriteObjectToString(self.value.as_ptr(), Py_MARSHAL_VERSION);
            let bytes = Owned::from_new(bytes).expect("marshallable");
            let data = PyBytes_AS_STRING(bytes.as_ptr()).cast();
            let len = PyBytes_Size(bytes.as_ptr()) as usize;
            std::slice::from_raw_parts(data, len).into()
        }
    }

    /// Runs `function(value, n)` once, `function` being an expression: for what is measured from Python.
    ///
    /// # Panics
    /// If it raises.
    pub fn call(&mut self, function: &str, n: u64) {
        let value = self.value.clone();
        self.interpreter.name("value", &value);
        self.interpreter
            .run(&format!("({function})(value, {n})"))
            .expect("it runs");
    }
}

unsafe fn run(namespace: &Owned, code: &str) -> Result<(), String> {
    // SAFETY: by the caller's promise.
    unsafe { eval(namespace, code, Py_file_input) }.map(drop)
}

unsafe fn eval(namespace: &Owned, code: &str, start: i32) -> Result<Owned, String> {
    let code = CString::new(code).expect("no NUL in code");
    // SAFETY: the thread is attached to the namespace's interpreter, by the caller's promise.
    unsafe {
        let globals = namespace.as_ptr();
        let value = PyRun_StringFlags(code.as_ptr(), start, globals, globals, null_mut());
        Owned::from_new(value).map_err(|Raised| take_error())
    }
}

/// The exception that is set, as `Type: text`.
unsafe fn take_error() -> String {
    // SAFETY: the thread is attached and an exception is set.
    unsafe {
        let error = Owned::from_new(PyErr_GetRaisedException()).expect("an exception is set");
        let name = crate::describe::type_name(error.as_ptr());
        format!("{name}: {}", text(error.as_ptr()))
    }
}

unsafe fn text(object: *mut PyObject) -> String {
    // SAFETY: the thread is attached; the text is copied before its str is released.
    unsafe {
        let text = Owned::from_new(PyObject_Str(object)).expect("a str");
        let mut len = 0;
        let utf8 = PyUnicode_AsUTF8AndSize(text.as_ptr(), &mut len).cast::<u8>();
        assert!(!utf8.is_null());
        String::from_utf8_lossy(std::slice::from_raw_parts(utf8, len as usize)).into_owned()
    }
}
