//! One word a chore.
fn main() {}
