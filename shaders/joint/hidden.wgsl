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
// Of a word.
const COLUMNS = 2u;
#else
@group(0) @binding(5)
var<storage, read_write> out: array<f32>;
const COLUMNS = 1u;
#endif

// 0: numbers stay what they are. The scores of a joiner without a layer may be -inf.
override CHECKS: u32 = 1u;

// A workgroup takes 64 words of 64 rows: an invocation has one word of 16 rows, which are one after the other, so that it counts frames
// and positions and does not divide for each.
const WORDS = 64u;
const EACH = 16u;

struct Number {
    value: f32,
    unusable: bool,
}

// Of a column of a row of the batch, by what stands there before the activation.
fn number_of(sum: f32, row: u32, column: u32) -> Number {
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
    let positions = max(utterance.positions, 1u);
    let word = group.x * WORDS + local % WORDS;
    let column = COLUMNS * word;
    // Of halves, the last of an odd number is followed by a zero.
    let has_second = COLUMNS == 2u && column + 1u < params.hidden;
    let first = params.first_row + (group.y * (256u / WORDS) + local / WORDS) * EACH;
    let end = select(first, min(first + EACH, min(params.end_row, utterance.rows)), column < params.hidden);
    var t = first / positions;
    var place = first % positions;
    var at = (utterance.first_row + first - params.window_row) * (params.stride / COLUMNS) + word;
    var frame = vec2f();
    var is_new = true;
    var unusable = false;
    for (var row = first; row < end; row++) {
        if (is_new) {
            frame.x = frame_at(group.z, t, column);
            if (has_second) {
                frame.y = frame_at(group.z, t, column + 1u);
            }
        }
        let u = position_in(utterance, t, place);
        let number = number_of(frame.x + predictor_at(group.z, u, column), utterance.first_row + row, column);
        unusable = unusable || number.unusable;
#ifdef F16
        var second = Number(0.0, false);
        if (has_second) {
            second = number_of(frame.y + predictor_at(group.z, u, column + 1u), utterance.first_row + row, column + 1u);
        }
        unusable = unusable || second.unusable;
        out[at] = pack2x16float(vec2f(cell_half(number.value), cell_half(second.value)));
#else
        out[at] = number.value;
#endif
        at += params.stride / COLUMNS;
        place += 1u;
        is_new = place == positions;
        t += u32(is_new);
        place = select(place, 0u, is_new);
    }
    if (unusable) {
        atomicOr(&results[n], STATUS_NON_FINITE);
    }
}
