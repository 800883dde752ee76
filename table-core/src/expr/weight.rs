//! Memory consumption of expressions, for caches that are limited by it. Shared parts count once.

use std::collections::HashSet;
use std::sync::Arc;

use super::bound::{Bound, BoundColumn, BoundFilter, BoundPredicate, PartitionColumn};
use super::expression::Test;
use super::value::Value;
use crate::metadata::types::Primitive;

/// Overhead of an allocation, in bytes: the header of the allocator, and rounding.
pub(crate) const ALLOCATION_BYTES: usize = 16;

/// Sum of memory that counts shared parts once.
#[derive(Default)]
pub(crate) struct Weight {
    bytes: usize,
    /// Addresses of the shared parts that are counted.
    seen: HashSet<usize>,
}

impl Weight {
    /// Returns the sum, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an allocation.
    pub(crate) fn add(&mut self, bytes: usize) {
        if bytes > 0 {
            self.bytes += bytes + ALLOCATION_BYTES;
        }
    }

    /// Adds a bound expression; `term_bytes` returns the memory of a term beyond its own size.
    pub(crate) fn add_bound<T>(&mut self, bound: &Bound<T>, term_bytes: fn(&T) -> usize) {
        match bound {
            Bound::True | Bound::False => {}
            Bound::And(parts) | Bound::Or(parts) => {
                self.add(parts.capacity() * size_of::<Bound<T>>());
                for part in parts {
                    self.add_bound(part, term_bytes);
                }
            }
            Bound::Predicate(predicate) => self.add_predicate(predicate, term_bytes),
        }
    }

    /// Adds a shared predicate.
    pub(crate) fn add_predicate<T>(
        &mut self,
        predicate: &Arc<BoundPredicate<T>>,
        term_bytes: fn(&T) -> usize,
    ) {
        if self.is_new(predicate) {
            self.add(size_of::<BoundPredicate<T>>() + 2 * size_of::<usize>());
            self.bytes += term_bytes(&predicate.term);
            self.add_test(&predicate.test);
        }
    }

    fn add_test(&mut self, test: &Test) {
        match test {
            Test::In(values) | Test::NotIn(values) => {
                if self.is_new(values) {
                    self.add(values.capacity() * size_of::<Value>() + 5 * size_of::<usize>());
                    self.bytes += values.iter().map(Value::heap_bytes).sum::<usize>();
                }
            }
            _ => self.bytes += test.literals().iter().map(Value::heap_bytes).sum::<usize>(),
        }
    }

    fn is_new<T>(&mut self, shared: &Arc<T>) -> bool {
        self.seen.insert(Arc::as_ptr(shared).addr())
    }
}

impl BoundFilter {
    /// Returns the memory of the filter beyond its own size, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let mut weight = Weight::default();
        weight.add_bound(self, BoundColumn::heap_bytes);
        weight.bytes()
    }
}

impl Value {
    /// Returns the memory of the value beyond its own size, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let capacity = match self {
            Value::String(text) | Value::Number(text) => text.capacity(),
            Value::Fixed(bytes) | Value::Binary(bytes) => bytes.capacity(),
            _ => 0,
        };
        if capacity == 0 { 0 } else { capacity + ALLOCATION_BYTES }
    }
}

impl BoundColumn {
    /// Returns the memory of the column beyond its own size, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let literals = self.written.as_ref().map_or(&[][..], Test::literals);
        let written = literals.iter().map(|value| size_of::<Value>() + value.heap_bytes()).sum::<usize>();
        self.name.capacity()
            + ALLOCATION_BYTES
            + type_bytes(&self.source)
            + type_bytes(&self.result)
            + written
    }
}

impl PartitionColumn {
    /// Returns the memory of the field beyond its own size, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        type_bytes(&self.source) + type_bytes(&self.result)
    }
}

/// Returns the memory of a type beyond its own size, in bytes. Names of types without an order may be long.
fn type_bytes(primitive: &Primitive) -> usize {
    match primitive {
        Primitive::Other(name) | Primitive::Geometry(name) | Primitive::Geography(name) => {
            name.capacity() + ALLOCATION_BYTES
        }
        _ => 0,
    }
}
