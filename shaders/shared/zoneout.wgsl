// Zoneout (Krueger et al. 2017): a state of a unit keeps its value at random. The importing kernel declares
// `params` with zone_first, zone_others and seed.
// Twin: src/cpu/cells/sequences.rs.

#import random_words

// Which states of a unit are kept at a frame, each by a draw of its own; `at` is n * hidden + unit.
fn kept_states(frame: u32, at: u32) -> vec4<bool> {
    if (params.zone_first == 0u && params.zone_others == 0u) {
        return vec4<bool>();
    }
    let draws = random_words(vec4u(params.seed, frame, at, 0u));
    return draws < vec4u(params.zone_first, vec3u(params.zone_others));
}
