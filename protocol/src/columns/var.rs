//! Values of variable length, one after another in one buffer.

/// A column of texts, bytes or cloned values.
///
/// # Invariants
/// `ends` ascend (not strictly), and the last one is the length of `data`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VarColumn {
    /// Where each row's bytes end; they begin where the row before ends.
    ends: Vec<u32>,
    /// The bytes of all rows.
    data: Vec<u8>,
}

impl VarColumn {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Removes all rows, keeps the memory.
    pub fn clear(&mut self) {
        self.ends.clear();
        self.data.clear();
    }

    /// The bytes of a row.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn get(&self, row: usize) -> &[u8] {
        &self.data[self.start(row)..self.end(row)]
    }

    /// Appends a row.
    ///
    /// # Panics
    /// Where the column would outgrow 4 GiB.
    pub fn push(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
        self.ends.push(offset(self.data.len()));
    }

    /// Overwrites a row. Cheap where the length stays.
    ///
    /// # Panics
    /// Where there is no such row or the column would outgrow 4 GiB.
    pub fn set(&mut self, row: usize, bytes: &[u8]) {
        let (start, end) = (self.start(row), self.end(row));
        if bytes.len() == end - start {
            self.data[start..end].copy_from_slice(bytes);
        } else {
            self.data.splice(start..end, bytes.iter().copied());
            self.move_ends(row, end, start + bytes.len());
        }
    }

    /// Inserts a row before `row`, or after the last one.
    ///
    /// # Panics
    /// Where `row` is past the end or the column would outgrow 4 GiB.
    pub fn insert(&mut self, row: usize, bytes: &[u8]) {
        let start = self.start(row);
        self.data.splice(start..start, bytes.iter().copied());
        self.ends.insert(row, offset(start));
        self.move_ends(row, start, start + bytes.len());
    }

    /// Removes a row; those after it move up.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn remove(&mut self, row: usize) {
        let (start, end) = (self.start(row), self.end(row));
        self.data.drain(start..end);
        self.ends.remove(row);
        self.move_ends(row, end, start);
    }

    /// Where each row's bytes end in [`VarColumn::data`].
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The bytes of all rows, one after another.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    fn start(&self, row: usize) -> usize {
        row.checked_sub(1).map_or(0, |before| self.end(before))
    }

    fn end(&self, row: usize) -> usize {
        self.ends[row] as usize
    }

    /// Shifts the ends from `row` on after its bytes have come to end at `new` instead of `old`.
    fn move_ends(&mut self, row: usize, old: usize, new: usize) {
        let _fits = offset(self.data.len());
        let shift = offset(new).wrapping_sub(offset(old));
        for end in &mut self.ends[row..] {
            *end = end.wrapping_add(shift);
        }
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("a column holds less than 4 GiB")
}
