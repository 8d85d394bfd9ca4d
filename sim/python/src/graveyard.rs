//! Objects whose end may run a script, kept until scripts may run.
//!
//! Releasing an object's last reference runs its finalizer and the callbacks of its weak references,
//! which are scripts: they could take for ever, or change what the host is looking at. What the host
//! takes out of entities waits here.

use std::cell::RefCell;

use crate::py::Owned;

/// Such objects. Must be empty when their interpreter ends.
#[derive(Default)]
pub(crate) struct Graveyard(RefCell<Vec<Owned>>);

impl Graveyard {
    /// Keeps an object.
    pub(crate) fn bury(&self, object: Owned) {
        self.0.borrow_mut().push(object);
    }

    /// Keeps all of these.
    pub(crate) fn bury_all(&self, objects: &mut Vec<Owned>) {
        self.0.borrow_mut().append(objects);
    }

    /// Releases everything. Scripts may run.
    pub(crate) fn release(&self) {
        let mut objects = self.0.take();
        objects.clear();
        let mut buried = self.0.borrow_mut();
        if buried.is_empty() {
            *buried = objects; // for its memory
        }
    }
}
