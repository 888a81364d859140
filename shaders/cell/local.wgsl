// The local tier, forward: one dispatch runs many steps, a workgroup all steps of one sequence. Workgroups never wait for each
// other, so this runs anywhere; the weights are read anew at each step.
// It also does what the persistent tier left undone (FINISHES).
// F16: weights and y are f16, two in a word; y is 0 where nobody has written.
// Twin: src/cpu/cells/step.rs.
#import cell_call
// [frames, batch, hidden]
@group(0) @binding(6)
#ifdef F16
var<storage, read_write> y: array<atomic<u32>>;
#else
var<storage, read_write> y: array<f32>;
#endif
// If FINISHES: [batch, hidden], the steps of this launch that are left undone; 0 again afterwards.
@group(0) @binding(7)
var<storage, read_write> late: array<u32>;

override FINISHES: u32 = 0u;

const UNITS = 8u;
const LANES = 32u;
const MAX_BATCH = 2u;
const BATCH = 1u;
alias Rows = CellRows;
#import lane_sum
#import row_weights

// Where the h of all sequences begins before this step: in y, or in `states`.
var<private> before: u32;
var<private> is_in_y: bool;
var<workgroup> wg_most: atomic<u32>;
var<workgroup> wg_left: u32;

fn weights_at(at: u32) -> Rows {
    return cell_narrow(weight_lanes_at(at));
}

fn carried(at: u32) -> f32 {
    if (is_in_y) {
#ifdef F16
        return unpack2x16float(atomicLoad(&y[(before + at) / 2u]) >> (16u * ((before + at) % 2u))).x;
#else
        return y[before + at];
#endif
    }
    return states[before + at];
}
#import lane_product

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
#ifdef SUBGROUPS
    @builtin(subgroup_size) subgroup_size: u32,
#endif
) {
#ifndef SUBGROUPS
    let subgroup_size = 1u;
#endif
    let hidden = params.hidden;
    let n = group.x + group.y * groups.x;
    let is_there = n < params.batch;
    // The most steps that any unit has left.
    if (local == 0u) {
        atomicStore(&wg_most, select(params.frames, 0u, FINISHES != 0u));
    }
    workgroupBarrier();
    if (FINISHES != 0u && is_there) {
        var most = 0u;
        for (var unit = local; unit < hidden; unit += UNITS * LANES) {
            most = max(most, late[n * hidden + unit]);
        }
        atomicMax(&wg_most, most);
    }
    workgroupBarrier();
    if (local == 0u) {
        wg_left = min(atomicLoad(&wg_most), params.frames);
    }
    let left = workgroupUniformLoad(&wg_left);
    let keeps_all = params.slots > params.frames;
    // Whether h is still that from before the launch, or zero.
    var is_given = true;
    var is_zero = false;
    for (var k = 0u; k < params.frames; k++) {
        let frame = frame_of(k);
        let step = params.steps + k;
        let running = is_there && runs(n, frame);
        if (is_there && begins_anew(n, frame)) {
            is_zero = true;
        }
        if (k + left >= params.frames) {
            is_in_y = !is_given;
            before = slot_at(params.steps);
            if (is_in_y) {
                before = frame_at(params.y_first, select(frame - 1u, frame + 1u, params.reversed != 0u), plane());
            }
            let end = select(0u, hidden, running && !is_zero);
            for (var first = 0u; first < hidden; first += UNITS) {
                let own = first + local;
                let at = n * hidden + own;
                let y_at = frame_at(params.y_first, frame, plane()) + at;
                var finishes = is_there && local < UNITS && own < hidden;
                if (FINISHES != 0u && finishes) {
                    finishes = k + late[at] >= params.frames;
                }
                var x = vec4f();
                var s = vec4f();
                if (finishes) {
                    s = states_at(select(params.steps + params.frames, step, keeps_all || (k == 0u && FINISHES == 0u)), at);
                    x = inputs_at(frame, n, own);
                }
                multiply(min(first + local / LANES, hidden - 1u) * hidden, n, hidden, end, local, subgroup_size);
                if (finishes) {
                    var out = 0.0;
                    if (running) {
                        s = unit_step(frame, at, own, x, cell_wide(lane_total(0u, local, subgroup_size)), s);
                        out = s.x;
                    }
                    set_states(select(params.steps + params.frames, step + 1u, keeps_all), at, states_before(step + 1u, frame_of(k + 1u), n, s));
#ifdef F16
                    atomicOr(&y[y_at / 2u], pack2x16float(vec2f(out, 0.0)) << (16u * (y_at % 2u)));
#else
                    y[y_at] = out;
#endif
                }
                workgroupBarrier();
            }
            storageBarrier();
        }
        if (running) {
            is_given = false;
            is_zero = false;
        }
    }
    if (FINISHES != 0u && is_there && left > 0u) {
        for (var unit = local; unit < hidden; unit += UNITS * LANES) {
            late[n * hidden + unit] = 0u;
        }
    }
}
