//! Keyed items that remember their own JSON, so that saving a world costs what changed.

use std::collections::BTreeMap;

use serde::Serialize;

#[derive(Debug)]
struct Slot<T> {
    value: T,
    json: Option<String>,
}

/// Items by id. Reading leaves the cached JSON alone; any mutable access drops it.
#[derive(Debug)]
pub struct Table<T> {
    slots: BTreeMap<String, Slot<T>>,
    dirty: bool,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { slots: BTreeMap::new(), dirty: false }
    }
}

impl<T> From<BTreeMap<String, T>> for Table<T> {
    fn from(items: BTreeMap<String, T>) -> Self {
        let slots = items.into_iter().map(|(id, value)| (id, Slot { value, json: None })).collect();
        Self { slots, dirty: false }
    }
}

impl<T> Table<T> {
    /// The item with this id.
    pub fn get(&self, id: &str) -> Option<&T> {
        self.slots.get(id).map(|s| &s.value)
    }

    /// The item with this id, to be changed: the world is saved after.
    pub fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        let slot = self.slots.get_mut(id)?;
        slot.json = None;
        self.dirty = true;
        Some(&mut slot.value)
    }

    /// Adds or replaces.
    pub fn insert(&mut self, id: String, value: T) {
        self.dirty = true;
        self.slots.insert(id, Slot { value, json: None });
    }

    /// Removes.
    pub fn remove(&mut self, id: &str) -> Option<T> {
        let slot = self.slots.remove(id)?;
        self.dirty = true;
        Some(slot.value)
    }

    /// All items in id order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.slots.iter().map(|(id, s)| (id.as_str(), &s.value))
    }

    /// All items.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.slots.values().map(|s| &s.value)
    }

    /// All ids.
    pub fn ids(&self) -> Vec<String> {
        self.slots.keys().cloned().collect()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether something changed since the last call.
    pub(super) fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.dirty)
    }
}

impl<T: Serialize> Table<T> {
    /// Appends the table as a JSON object, one item a line.
    pub(super) fn write_json(&mut self, out: &mut String) -> Result<(), serde_json::Error> {
        out.push('{');
        for (n, (id, slot)) in self.slots.iter_mut().enumerate() {
            out.push_str(if n == 0 { "\n" } else { ",\n" });
            out.push_str(&serde_json::to_string(id)?);
            out.push(':');
            match &slot.json {
                Some(json) => out.push_str(json),
                None => {
                    let json = serde_json::to_string(&slot.value)?;
                    out.push_str(&json);
                    slot.json = Some(json);
                }
            }
        }
        out.push('}');
        Ok(())
    }
}
