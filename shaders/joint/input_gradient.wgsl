// Gradients of what a joiner adds up, from those of its hidden layer: that of a frame is the sum over its positions, that of a position the
// sum over the frames. Those of a window are added to `out`. Those of an utterance that is not ok stay what they are.
// Twin: src/cpu/joint.rs::input_gradient.
#import joint_rows

// First of all status words.
@group(0) @binding(4)
var<storage, read> results: array<u32>;
// Gradients of the window's rows.
@group(0) @binding(5)
var<storage, read> tile: array<f32>;
@group(0) @binding(6)
var<storage, read_write> out: array<f32>;

// 1: of positions, 0: of frames.
override OF_POSITIONS: u32 = 0u;

// 256 invocations take 64 columns of a frame or position, four rows at a time.
const COLUMNS = 64u;
const LANES = 4u;
var<workgroup> wg_sums: array<f32, COLUMNS * LANES>;

// Of a sum that has been activated.
fn derivative(sum: f32) -> f32 {
    switch ACTIVATION {
        case 1u: { return select(0.0, 1.0, sum > 0.0); }
        case 2u: { let y = sigmoid(sum); return y * (1.0 - y); }
        case 3u: { let y = tanh_safe(sum); return 1.0 - y * y; }
        default: { return 1.0; }
    }
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let n = params.first_utterance + group.z;
    let utterance = utterance(n);
    let positions = max(utterance.positions, 1u);
    let column = group.x * COLUMNS + local % COLUMNS;
    // Rows of this frame, or of this position, in the window.
    let window_end = min(params.end_row, utterance.rows);
    var first = params.first_row + group.y;
    var step = positions;
    var end = select(params.first_row, window_end, group.y < positions);
    var item = group.z * params.positions + first % positions;
    if (OF_POSITIONS == 0u) {
        let t = params.first_row / positions + group.y;
        first = max(t * positions, params.first_row);
        step = 1u;
        end = min((t + 1u) * positions, window_end);
        item = group.z * params.frames + t;
    } else if (params.pruned != 0u) {
        // Frames whose bands have this position, which is at another place in each: one row a frame, looked for below.
        first = params.first_row / positions * positions;
        end = select(first, window_end, group.y <= utterance.labels);
        item = group.z * params.positions + group.y;
    }
    let is_ok = (results[n] & STATUS_MASK) == STATUS_OK && column < params.hidden;
    let lane = local / COLUMNS;
    var t = first / positions;
    // Of the frame, or of the position, of all rows.
    var own = 0.0;
    if (is_ok && first < end) {
        if (OF_POSITIONS == 0u) {
            own = frame_at(group.z, t, column);
        } else {
            own = predictor_at(group.z, item - group.z * params.positions, column);
            t += lane;
        }
    }
    var sum = 0.0;
    for (var at = first + lane * step; is_ok && at < end; at += LANES * step) {
        var row = at;
        var other = 0.0;
        if (OF_POSITIONS == 0u) {
            other = predictor_at(group.z, position_in(utterance, t, at - t * positions), column);
        } else {
            if (params.pruned != 0u) {
                // Wraps where the band begins behind the position.
                let shift = group.y - batch[utterance.band_at + 2u * t];
                row = at + shift;
                if (shift >= positions || row < params.first_row || row >= window_end) {
                    t += LANES;
                    continue;
                }
            }
            other = frame_at(group.z, t, column);
            t += LANES;
        }
        let place = utterance.first_row + row;
        let factor = factor_at(place, column);
        if (factor != 0.0) {
            sum += tile[(place - params.window_row) * params.stride + column] * factor * derivative(own + other);
        }
    }
    wg_sums[local] = sum;
    workgroupBarrier();
    if (local < COLUMNS && is_ok && first < end) {
        let total = (wg_sums[local] + wg_sums[local + COLUMNS]) + (wg_sums[local + 2u * COLUMNS] + wg_sums[local + 3u * COLUMNS]);
        out[params.out_first + item * params.hidden + column] += total * params.unscale;
    }
}
