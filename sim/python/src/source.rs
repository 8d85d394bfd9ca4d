//! Code that is read once and compiled once: every interpreter of a match loads the same, whatever happens
//! to the files meanwhile.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use pyo3_ffi::*;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::ScriptError;
use crate::py::{Owned, PyResult, raise, text};

/// Deepest that a mode's packages may nest.
const DEPTH_MAX: usize = 16;
/// Most bytes that a file of code may have.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// CPython's `PyCF_SOURCE_IS_UTF8` and `PyCF_IGNORE_COOKIE`: the text is UTF-8, whatever a comment in it
/// says.
const IS_UTF8: c_int = 0x0100 | 0x0800;

/// Modules by dotted name.
pub(crate) type Modules = BTreeMap<String, Source>;

/// A module.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) is_package: bool,
    /// Where it was read from.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// What it was compiled to, marshalled, once an interpreter has: the others only read that, which
    /// takes a tenth of the time.
    code: OnceLock<Box<[u8]>>,
}

impl Source {
    pub(crate) fn new(is_package: bool, path: PathBuf, text: String) -> Self {
        Self {
            is_package,
            path,
            text,
            code: OnceLock::new(),
        }
    }

    /// Its path, as Python names it.
    pub(crate) fn file(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// The code object of the module.
    ///
    /// # Errors
    /// Raises the `SyntaxError`.
    ///
    /// # Safety
    /// Attached.
    pub(crate) unsafe fn code(&self) -> PyResult<Owned> {
        let code = match self.code.get() {
            Some(code) => code,
            None => {
                // SAFETY: attached, by the caller.
                let compiled = unsafe { self.compile() }?;
                self.code.get_or_init(|| compiled)
            }
        };
        // SAFETY: attached, by the caller; the bytes are what this CPython has marshalled.
        unsafe {
            let (data, length) = (code.as_ptr().cast(), code.len() as Py_ssize_t);
            Owned::from_new(PyMarshal_ReadObjectFromString(data, length))
        }
    }

    #[cold]
    unsafe fn compile(&self) -> PyResult<Box<[u8]>> {
        // SAFETY: attached, by the caller; each call returns a new reference or null, and the bytes are
        // read while their object is there.
        unsafe {
            let Ok(source) = CString::new(&*self.text) else {
                let message = "source code string cannot contain null bytes";
                return Err(raise(PyExc_SyntaxError, message));
            };
            let mut flags = PyCompilerFlags {
                cf_flags: IS_UTF8,
                cf_feature_version: 0, // of syntax trees only
            };
            let code = Owned::from_new(Py_CompileStringObject(
                source.as_ptr(),
                text(&self.file())?.as_ptr(),
                Py_file_input,
                &mut flags,
                -1,
            ))?;
            let marshalled = PyMarshal_WriteObjectToString(code.as_ptr(), Py_MARSHAL_VERSION);
            let marshalled = Owned::from_new(marshalled)?;
            let data = PyBytes_AsString(marshalled.as_ptr()).cast();
            let length = PyBytes_Size(marshalled.as_ptr()) as usize;
            Ok(std::slice::from_raw_parts::<u8>(data, length).into())
        }
    }
}

/// Whether it has been compiled is no matter.
impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        (self.is_package, &self.path, &self.text) == (other.is_package, &other.path, &other.text)
    }
}

/// The Python modules of a mode.
#[derive(Clone, PartialEq, Debug)]
pub struct ModeSource {
    folder: PathBuf,
    name: String,
    /// The mode's own first.
    pub(crate) modules: Modules,
    hash: u64,
}

impl ModeSource {
    /// Reads a mode's folder: a Python package with an `__init__.py`, and what is below it.
    ///
    /// # Errors
    /// A folder without one, a file that can't be read, is no UTF-8 or larger than 4 MiB.
    pub fn read(folder: &Path) -> Result<Self, ScriptError> {
        if folder.is_file() {
            let message = "is a file; a mode is the folder that its __init__.py lies in";
            return Err(in_file(folder, message));
        }
        let init = folder.join("__init__.py");
        if !init.is_file() {
            return Err(in_file(
                &init,
                "there is no such file; a mode is a folder with an __init__.py",
            ));
        }
        let name = folder.file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        let mut modules = Modules::new();
        read_package(folder, &name, 0, &mut modules)?;
        Ok(Self::new(folder.to_owned(), name, modules))
    }

    fn new(folder: PathBuf, name: String, modules: Modules) -> Self {
        let mut everything = Vec::new();
        for (name, module) in &modules {
            put(&mut everything, name.as_bytes());
            put(&mut everything, module.text.as_bytes());
        }
        Self {
            folder,
            name,
            modules,
            hash: xxh3_64(&everything),
        }
    }

    /// Appends what [`ModeSource::from_bytes`] reads.
    pub fn write(&self, out: &mut Vec<u8>) {
        put(out, self.folder.as_os_str().as_bytes());
        put(out, self.name.as_bytes());
        out.extend_from_slice(&(self.modules.len() as u64).to_le_bytes());
        for (name, module) in &self.modules {
            put(out, name.as_bytes());
            out.push(module.is_package.into());
            put(out, module.path.as_os_str().as_bytes());
            put(out, module.text.as_bytes());
        }
    }

    /// Splits off `bytes` what [`ModeSource::write`] wrote; `None` where they are anything else.
    pub fn from_bytes(bytes: &mut &[u8]) -> Option<Self> {
        let path = |part: &[u8]| PathBuf::from(OsStr::from_bytes(part));
        let text = |part: &[u8]| str::from_utf8(part).ok().map(str::to_owned);
        let (folder, name) = (path(part(bytes)?), text(part(bytes)?)?);
        let mut modules = Modules::new();
        for _ in 0..number(bytes)? {
            let name = text(part(bytes)?)?;
            let is_package = *bytes.split_off_first()? != 0;
            let (path, text) = (path(part(bytes)?), text(part(bytes)?)?);
            modules.insert(name, Source::new(is_package, path, text));
        }
        Some(Self::new(folder, name, modules))
    }

    /// The folder that it was read from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its name, which is the folder's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Equal where the code is.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

/// Appends a length and so many bytes.
fn put(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&(part.len() as u64).to_le_bytes());
    out.extend_from_slice(part);
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*number))
}

fn part<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(bytes)?).ok()?;
    bytes.split_off(..length)
}

fn read_package(
    folder: &Path,
    name: &str,
    depth: usize,
    modules: &mut Modules,
) -> Result<(), ScriptError> {
    let failed = |error: std::io::Error| in_file(folder, &error.to_string());
    if depth == DEPTH_MAX {
        return Err(in_file(folder, "a mode's folders nest 16 deep at most"));
    }
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if path.join("__init__.py").is_file() {
                read_package(&path, &format!("{name}.{stem}"), depth + 1, modules)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "py") {
            let is_package = stem == "__init__";
            let name = match is_package {
                true => name.to_owned(),
                false => format!("{name}.{stem}"),
            };
            let text = read_file(&path)?;
            modules.insert(name, Source::new(is_package, path, text));
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<String, ScriptError> {
    let failed = |error: std::io::Error| in_file(path, &error.to_string());
    if std::fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(in_file(path, "a file of code may have 4 MiB at most"));
    }
    std::fs::read_to_string(path).map_err(failed)
}

fn in_file(path: &Path, message: &str) -> ScriptError {
    ScriptError {
        file: Some(path.display().to_string()),
        ..ScriptError::host(message)
    }
}
