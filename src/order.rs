//! Sorting, in little code: each type that the standard library sorts takes 5 kB of a browser's module.

use std::collections::BinaryHeap;

/// Places of the keys in ascending order; equal ones in their own.
pub(crate) fn order(keys: impl Iterator<Item = (u64, u64)>) -> Vec<usize> {
    let keyed: BinaryHeap<_> = keys.enumerate().map(|(place, key)| (key, place)).collect();
    keyed.into_sorted_vec().into_iter().map(|(_, place)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn equal_keys_stay_in_their_order() {
        assert_eq!(order([(2, 0), (1, 9), (2, 0), (1, 3)].into_iter()), [3, 1, 0, 2]);
    }
}
