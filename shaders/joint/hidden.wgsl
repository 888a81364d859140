// The hidden layer of a joiner, for the rows of a window: out[r, h] = act(encoder[n, t, h] + predictor[n, u, h]), some of them dropped.
// A number that is not finite is a zero there, and told in the status of its utterance, so that no product spreads it.
// F16: out holds halves, two in a word.
// Twin: src/cpu/joint.rs::hidden.
#import joint_rows
#ifdef F16
#import cell_half
#endif

// First of all status words.
@group(0) @binding(4)
var<storage, read_write> results: array<atomic<u32>>;
#ifdef F16
@group(0) @binding(5)
var<storage, read_write> out: array<u32>;
#else
@group(0) @binding(5)
var<storage, read_write> out: array<f32>;
#endif

// 0: numbers stay what they are. The scores of a joiner without a layer may be -inf.
override CHECKS: u32 = 1u;

// A workgroup takes 64 words of 16 rows, four at a time.
const WORDS = 64u;
const LINES = 4u;
const EACH = 4u;

struct Number {
    value: f32,
    unusable: bool,
}

fn number_at(z: u32, row: u32, t: u32, u: u32, column: u32) -> Number {
    if (column >= params.hidden) {
        return Number(0.0, false);
    }
    let sum = sum_at(z, t, u, column);
    let unusable = CHECKS != 0u && (bitcast<u32>(sum) & 0x7f800000u) == 0x7f800000u;
    if (unusable) {
        return Number(0.0, true);
    }
    return Number(activate(ACTIVATION, sum) * factor_at(row, column), false);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let n = params.first_utterance + group.z;
    let utterance = utterance(n);
    let end = min(params.end_row, utterance.rows);
    let word = group.x * WORDS + local % WORDS;
    var unusable = false;
    for (var i = 0u; i < EACH; i++) {
        let row = params.first_row + (group.y * EACH + i) * LINES + local / WORDS;
        if (row < end) {
            let t = row / utterance.positions;
            let u = position_at(utterance, row, t);
            let place = utterance.first_row + row;
            let line = (place - params.window_row) * params.stride;
#ifdef F16
            if (2u * word < params.stride) {
                let first = number_at(group.z, place, t, u, 2u * word);
                let second = number_at(group.z, place, t, u, 2u * word + 1u);
                unusable = unusable || first.unusable || second.unusable;
                out[line / 2u + word] = pack2x16float(vec2f(cell_half(first.value), cell_half(second.value)));
            }
#else
            if (word < params.hidden) {
                let number = number_at(group.z, place, t, u, word);
                unusable = unusable || number.unusable;
                out[line + word] = number.value;
            }
#endif
        }
    }
    // A band leaves some arcs out: the sweep of short arcs need not try.
    let status = select(0u, STATUS_NON_FINITE, unusable) | select(0u, STATUS_WIDE, params.pruned != 0u);
    if (status != 0u) {
        atomicOr(&results[n], status);
    }
}
