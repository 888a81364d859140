//! Small maps, as sorted lists. The standard library's take 3 kB of a browser's module, and are no faster for a few dozen keys.

/// Values by their keys.
#[derive(Debug)]
pub(super) struct Table<K, V>(Vec<(K, V)>);

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord, V> Table<K, V> {
    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.place(key).ok().map(|place| &self.0[place].1)
    }

    /// The value of a key; if there is none, the one that is made.
    pub fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let place = match self.place(&key) {
            Ok(place) => place,
            Err(place) => {
                self.0.insert(place, (key, make()));
                place
            }
        };
        &mut self.0[place].1
    }

    /// All values.
    pub fn into_values(self) -> impl Iterator<Item = V> {
        self.0.into_iter().map(|(_, value)| value)
    }

    fn place(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.cmp(key))
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn every_key_has_the_value_that_was_made_first() {
        let mut table = Table::default();
        for key in [5, 1, 9, 1, 5] {
            let made = format!("{key}");
            *table.entry(key, || made) += "!";
        }
        assert_eq!([1, 5, 9, 7].map(|key| table.get(&key).cloned()), [Some("1!!".into()), Some("5!!".into()), Some("9!".into()), None]);
        assert_eq!(table.into_values().count(), 3);
    }
}
