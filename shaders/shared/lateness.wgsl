// By how many frames a label is late that is emitted in (t, u), against labels spread evenly. Every path emits
// each label once, so all paths are measured against the same, and sums over labels stay small.
// Twin: src/cpu/arcs/latency.rs.
fn lateness(utterance: Utterance, t: u32, u: u32) -> f32 {
    let each = f32(utterance.frames) / f32(max(utterance.labels, 1u));
    return f32(t) + 0.5 - (f32(u) + 0.5) * each;
}
