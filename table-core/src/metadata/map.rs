//! Map by name that preserves insertion order, for properties and refs.
//!
//! Removal leaves a hole that iteration skips, so a request with ten thousand removals stays linear.

use std::collections::HashMap;
use std::sync::Arc;

/// Values by name, in the order in which the names were first inserted.
#[derive(Debug, Clone)]
pub struct OrderedMap<V> {
    entries: Vec<Option<(Arc<str>, V)>>,
    index: HashMap<Arc<str>, usize>,
}

impl<V> OrderedMap<V> {
    /// Returns the number of names.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns `true` if there are no names.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Returns the value of a name.
    pub fn get(&self, name: &str) -> Option<&V> {
        let position = *self.index.get(name)?;
        self.entries.get(position)?.as_ref().map(|(_, value)| value)
    }

    /// Returns names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.entries.iter().flatten().map(|(name, value)| (&**name, value))
    }

    pub(crate) fn set(&mut self, name: &str, value: V) {
        let slot = self.index.get(name).and_then(|position| self.entries.get_mut(*position));
        if let Some(Some(entry)) = slot {
            entry.1 = value;
            return;
        }
        let name: Arc<str> = name.into();
        self.index.insert(name.clone(), self.entries.len());
        self.entries.push(Some((name, value)));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        let Some(position) = self.index.remove(name) else { return };
        if let Some(slot) = self.entries.get_mut(position) {
            *slot = None;
        }
    }

    pub(crate) fn set_all(&mut self, others: &OrderedMap<V>)
    where
        V: Clone,
    {
        for (name, value) in others.iter() {
            self.set(name, value.clone());
        }
    }

    pub(crate) fn remove_all(&mut self, names: &[String]) {
        for name in names {
            self.remove(name);
        }
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        for slot in &mut self.entries {
            if let Some((name, _)) = slot.take_if(|(_, value)| !keep(value)) {
                self.index.remove(&name);
            }
        }
    }
}

impl<V> Default for OrderedMap<V> {
    fn default() -> Self {
        OrderedMap { entries: Vec::new(), index: HashMap::new() }
    }
}

impl<V: PartialEq> PartialEq for OrderedMap<V> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}
