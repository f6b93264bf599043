//! How much a guest may take.

use wasmtime::ResourceLimiter;

use crate::limits::{GUEST_CORE_INSTANCES_MAX, GUEST_MEMORIES_MAX};

/// Bytes of one element of a table, as wasmtime stores it.
const TABLE_ELEMENT_BYTES: usize = size_of::<usize>();

/// One bound on all memories and tables of an instance together.
#[derive(Debug)]
pub struct Bounds {
    bytes: usize,
    bytes_max: usize,
    refused: bool,
}

impl Bounds {
    /// At most `bytes_max` in all.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes: 0, bytes_max, refused: false }
    }

    /// Whether more was asked for than is allowed since this was last asked.
    pub fn take_refused(&mut self) -> bool {
        std::mem::take(&mut self.refused)
    }

    /// Answers as WebAssembly has it: a refused `memory.grow` returns -1, and what the guest makes of that is its affair.
    fn grow(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> bool {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return false;
        }
        let bytes = self.bytes.saturating_add(desired.saturating_sub(current));
        if bytes > self.bytes_max {
            self.refused = true;
            return false;
        }
        self.bytes = bytes;
        true
    }
}

impl ResourceLimiter for Bounds {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(current, desired, maximum))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let bytes = |elements: usize| elements.saturating_mul(TABLE_ELEMENT_BYTES);
        Ok(self.grow(bytes(current), bytes(desired), maximum.map(bytes)))
    }

    fn instances(&self) -> usize {
        GUEST_CORE_INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        GUEST_CORE_INSTANCES_MAX
    }

    fn memories(&self) -> usize {
        GUEST_MEMORIES_MAX
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::ResourceLimiter;

    use super::Bounds;

    #[test]
    fn all_memories_and_tables_share_one_bound() {
        let mut bounds = Bounds::new(1_000);
        assert!(bounds.memory_growing(0, 500, None).unwrap());
        assert!(bounds.table_growing(0, 50, None).unwrap());
        assert!(!bounds.memory_growing(0, 101, None).unwrap());
        assert!(bounds.take_refused());
        assert!(bounds.memory_growing(500, 600, None).unwrap());
        assert!(!bounds.take_refused());
    }

    #[test]
    fn what_the_module_itself_forbids_is_not_our_refusal() {
        let mut bounds = Bounds::new(1_000);
        assert!(!bounds.memory_growing(0, 200, Some(100)).unwrap());
        assert!(!bounds.take_refused());
    }
}
