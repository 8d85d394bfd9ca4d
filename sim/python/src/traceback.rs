//! What a failed hook says in the log, as Python says it, but without Python's module for it: importing
//! that takes a third of the start of an interpreter, and longer than a tick has.

use std::ffi::c_int;
use std::fmt::Write as _;

use pyo3_ffi::*;

use crate::context::Context;
use crate::error::{attribute, message, number};
use crate::load;
use crate::py::Owned;
use crate::value::str_lossy;

/// Most exceptions of a chain of causes that are shown, the last ones.
const CHAIN_MAX: usize = 8;
/// Most frames of an exception that are shown, the outermost ones.
const FRAMES_MAX: usize = 64;
/// Most times that one frame is shown in a row.
const REPEATS_MAX: usize = 3;

unsafe extern "C" {
    /// Where an instruction comes from: lines from 1, columns in bytes from 0, -1 where unknown. 0 is an
    /// exception.
    fn PyCode_Addr2Location(
        code: *mut PyObject,
        instruction: c_int,
        line: *mut c_int,
        column: *mut c_int,
        line_end: *mut c_int,
        column_end: *mut c_int,
    ) -> c_int;
}

/// The exception, with what led to it, and the frames that each passed.
///
/// # Safety
/// Attached to the interpreter of `context`, with no exception set.
pub(crate) unsafe fn render(context: &Context, exception: &Owned) -> String {
    let mut chain = vec![(exception.clone(), "")];
    while let Some((last, _)) = chain.last().filter(|_| chain.len() < CHAIN_MAX) {
        // SAFETY: attached, by the caller.
        match unsafe { led_to(last) } {
            Some(before) => chain.push(before),
            None => break,
        }
    }
    let mut out = String::new();
    for (exception, then) in chain.iter().rev() {
        // SAFETY: attached, by the caller.
        unsafe {
            frames(context, exception, &mut out);
            out.push_str(&message(exception));
        }
        out.push_str(then);
    }
    out
}

/// What an exception was raised because of, or while handling, and words for which of the two.
unsafe fn led_to(exception: &Owned) -> Option<(Owned, &'static str)> {
    // SAFETY: attached, by the caller; each getter returns a new reference or null for none.
    unsafe {
        if let Ok(cause) = Owned::from_new(PyException_GetCause(exception.as_ptr())) {
            let then =
                "\n\nThe above exception was the direct cause of the following exception:\n\n";
            return Some((cause, then));
        }
        let suppressed = attribute(exception, c"__suppress_context__")?;
        let context = Owned::from_new(PyException_GetContext(exception.as_ptr())).ok()?;
        let then = "\n\nDuring handling of the above exception, another exception occurred:\n\n";
        (suppressed.as_ptr() != Py_True()).then_some((context, then))
    }
}

/// The frames that an exception passed, the outermost first.
unsafe fn frames(context: &Context, exception: &Owned, out: &mut String) {
    // SAFETY: attached, by the caller.
    let mut next = unsafe { Owned::from_new(PyException_GetTraceback(exception.as_ptr())) }.ok();
    let (mut last, mut repeats, mut shown) = (None, 0, 0);
    while let Some(entry) = next.filter(|_| shown < FRAMES_MAX) {
        // SAFETY: attached, by the caller; a traceback's chain ends in None.
        let (frame, after) = unsafe {
            let after = attribute(&entry, c"tb_next");
            let after = after.filter(|next| next.as_ptr() != Py_None());
            (Frame::of(&entry), after)
        };
        next = after;
        if frame == last {
            repeats += 1;
        } else {
            if frame.as_ref().is_some_and(Frame::imports) {
                continue;
            }
            note_repeats(out, repeats);
            repeats = 0;
        }
        if shown == 0 {
            out.push_str("Traceback (most recent call last):\n");
        }
        if repeats < REPEATS_MAX {
            // SAFETY: attached, by the caller.
            let text = frame
                .as_ref()
                .and_then(|frame| unsafe { frame.render(context) });
            out.push_str(&text.unwrap_or_default());
            shown += 1;
        }
        last = frame;
    }
    note_repeats(out, repeats);
}

/// Whether frames of a file are of those that import modules. Python leaves them out of its own tracebacks
/// too where it can: they say nothing that the frames around them don't.
fn is_importer(file: &str) -> bool {
    file == load::LOADER || file.starts_with("<frozen importlib.")
}

/// What Python says of an exception, without the frames that import modules.
pub(crate) fn without_importers(text: &str) -> String {
    let imports = |line: &&str| {
        let file = line
            .strip_prefix("  File \"")
            .and_then(|rest| rest.split_once('"'));
        file.is_some_and(|(file, _)| is_importer(file))
    };
    let lines: Vec<&str> = text.lines().filter(|line| !imports(line)).collect();
    lines.join("\n")
}

/// Says how often a frame came again that was not shown for it.
fn note_repeats(out: &mut String, repeats: usize) {
    if let more @ 1.. = (repeats + 1).saturating_sub(REPEATS_MAX) {
        let _ = writeln!(out, "  [Previous line repeated {more} more times]");
    }
}

/// Where a frame of a traceback was.
struct Frame {
    code: Owned,
    /// In the code, in bytes.
    instruction: c_int,
    line: u32,
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        (self.code.as_ptr(), self.instruction) == (other.code.as_ptr(), other.instruction)
    }
}

impl Frame {
    unsafe fn of(entry: &Owned) -> Option<Self> {
        // SAFETY: attached, by the caller.
        unsafe {
            Some(Self {
                code: attribute(&attribute(entry, c"tb_frame")?, c"f_code")?,
                instruction: number(&attribute(entry, c"tb_lasti")?) as c_int,
                line: number(&attribute(entry, c"tb_lineno")?),
            })
        }
    }

    /// Whether it is of those that import modules: see [`is_importer`].
    fn imports(&self) -> bool {
        self.file().is_some_and(|file| is_importer(&file))
    }

    fn file(&self) -> Option<String> {
        // SAFETY: a frame is only looked at where it was made: attached.
        unsafe { attribute(&self.code, c"co_filename").map(|file| str_lossy(file.as_ptr())) }
    }

    /// Its place, the line, and the part of the line that raised.
    unsafe fn render(&self, context: &Context) -> Option<String> {
        let Self { code, line, .. } = self;
        let file = self.file()?;
        // SAFETY: attached, by the caller; the code is one, since a frame had it.
        unsafe {
            let name = str_lossy(attribute(code, c"co_name")?.as_ptr());
            let mut out = format!("  File \"{file}\", line {line}, in {name}\n");
            let Some(text) = load::line(context, &file, *line) else {
                return Some(out);
            };
            let _ = writeln!(out, "    {}", text.trim());
            let (code, at) = (code.as_ptr(), self.instruction);
            let (mut from, mut to, [mut first, mut last]) = (-1, -1, [0, 0]);
            if PyCode_Addr2Location(code, at, &mut first, &mut from, &mut last, &mut to) == 0 {
                PyErr_Clear();
            }
            if let Some(mark) = mark(text, from, to).filter(|_| first == last) {
                let _ = writeln!(out, "    {mark}");
            }
            Some(out)
        }
    }
}

/// Carets below the bytes `from..to` of a line whose indentation is left out; none where they are all of
/// it.
fn mark(line: &str, from: c_int, to: c_int) -> Option<String> {
    let (from, to) = (usize::try_from(from).ok()?, usize::try_from(to).ok()?);
    let indentation = line.len() - line.trim_start().len();
    let is_all = from <= indentation && to >= line.trim_end().len();
    let (before, part) = (line.get(indentation..from)?, line.get(from..to)?);
    let (before, part) = (before.chars().count(), part.chars().count());
    (!is_all).then(|| format!("{:before$}{:^<part$}", "", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_import_are_left_out() {
        let text = "Traceback (most recent call last):\n  File \"<engine>/bootstrap.py\", line 80, in \
                    load_mode\n  File \"mode/__init__.py\", line 3, in <module>\n    import aim\n  File \
                    \"<frozen importlib._bootstrap>\", line 1360, in _find_and_load\nValueError: no";
        let left = "Traceback (most recent call last):\n  File \"mode/__init__.py\", line 3, in \
                    <module>\n    import aim\nValueError: no";
        assert_eq!(without_importers(text), left);
    }

    #[test]
    fn a_part_of_a_line_is_marked() {
        let marked = |line, from, to| mark(line, from, to);
        assert_eq!(marked("  a = é.b + 1", 6, 10).as_deref(), Some("    ^^^"));
        assert_eq!(marked("  a.b()", 2, 7), None);
        assert_eq!(marked("  a.b()", -1, -1), None);
        assert_eq!(marked("  a.b()", 5, 99), None);
    }
}
