//! Which rows of activations are multiplied together, and where their products go.

/// A list of rows: those of a prompt that share a precision, or those of a batch that share an expert.
///
/// The list names rows of the result. Each is made from the same row of the input, or from one that several
/// neighbouring rows of the result share, as the experts chosen for one token do.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowSelection {
    indices: Vec<u32>,
    rows_per_input: usize,
}

impl RowSelection {
    /// Selects other rows, in the same memory.
    pub(crate) fn select(&mut self, rows: impl IntoIterator<Item = usize>, rows_per_input: usize) {
        assert!(rows_per_input > 0, "each row is made from one");
        self.indices.clear();
        self.indices.extend(rows.into_iter().map(|row| row as u32));
        self.rows_per_input = rows_per_input;
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The rows for kernels. They point into the list, which must neither change nor be dropped while they are in use.
    pub(crate) fn rows(&self) -> SelectedRows {
        SelectedRows { indices: self.indices.as_ptr(), len: self.len(), rows_per_input: self.rows_per_input }
    }
}

/// Selected rows as kernels see them.
#[derive(Clone, Copy)]
pub(crate) struct SelectedRows {
    indices: *const u32,
    len: usize,
    rows_per_input: usize,
}

impl SelectedRows {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The row of the result that `index` stands for.
    ///
    /// # Safety
    /// `index` is less than the number of rows, and the list is alive and unchanged.
    #[inline(always)]
    pub(crate) unsafe fn output(&self, index: usize) -> usize {
        debug_assert!(index < self.len);
        // SAFETY: the caller's promise.
        unsafe { *self.indices.add(index) as usize }
    }

    /// The row of the input that it is made from.
    ///
    /// # Safety
    /// As for [`output`](Self::output).
    #[inline(always)]
    pub(crate) unsafe fn input(&self, index: usize) -> usize {
        // SAFETY: the caller's promise.
        unsafe { self.output(index) / self.rows_per_input }
    }
}
