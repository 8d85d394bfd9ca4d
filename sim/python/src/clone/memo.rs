//! Which containers have been written, and as which number.

use std::collections::HashMap;

use pyo3_ffi::PyObject;

/// Up to so many containers are searched one by one, which is faster than hashing them.
const LINEAR_MAX: usize = 16;

/// Numbers of the lists, dicts and sets of a value, in order of appearance.
#[derive(Default)]
pub(super) struct Memo {
    /// Number of the next container.
    next: usize,
    /// Those that may appear again.
    seen: Vec<(*mut PyObject, usize)>,
    /// The same by address, once there are too many to search.
    by_address: HashMap<*mut PyObject, usize>,
}

impl Memo {
    /// Begins a value.
    pub(super) fn clear(&mut self) {
        self.next = 0;
        self.seen.clear();
        if !self.by_address.is_empty() {
            self.by_address.clear();
        }
    }

    /// Numbers a container that can't appear again.
    pub(super) fn skip(&mut self) {
        self.next += 1;
    }

    /// The number of a container that has appeared; or numbers it.
    pub(super) fn find_or_add(&mut self, container: *mut PyObject) -> Option<usize> {
        let found = if self.by_address.is_empty() {
            let mut seen = self.seen.iter();
            seen.find(|(seen, _)| *seen == container)
                .map(|&(_, number)| number)
        } else {
            self.by_address.get(&container).copied()
        };
        if found.is_none() {
            self.add(container);
        }
        found
    }

    fn add(&mut self, container: *mut PyObject) {
        self.seen.push((container, self.next));
        if !self.by_address.is_empty() {
            self.by_address.insert(container, self.next);
        } else if self.seen.len() > LINEAR_MAX {
            self.by_address.extend(self.seen.iter().copied());
        }
        self.next += 1;
    }
}
