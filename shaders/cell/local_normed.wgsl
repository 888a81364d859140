// The local tier of cells with layer norms, forward: one dispatch runs many steps, a workgroup all steps of one sequence: at each the
// products, then the norms and the update.
// Where the persistent tier left something of a sequence undone (FINISHES), it runs all its steps again: the states before them are
// still there.
// Twin: src/cpu/cells/row.rs.
#import cell_call
// [frames, batch, hidden]
@group(0) @binding(6)
var<storage, read_write> y: array<f32>;
// If FINISHES: [batch, hidden], the steps of this launch that are left undone; 0 again afterwards.
@group(0) @binding(7)
var<storage, read_write> late: array<u32>;
// [batch, CELL_ROWS, hidden]
@group(0) @binding(8)
var<storage, read_write> products: array<f32>;

override FINISHES: u32 = 0u;

const UNITS = 8u;
const LANES = 32u;
const MAX_BATCH = 2u;
const BATCH = 1u;
alias Rows = CellRows;
#import lane_sum
#import row_weights

fn products_first() -> u32 {
    return 0u;
}
#import cell_row

// Where the h of all sequences begins before this step.
var<private> before: u32;
var<workgroup> wg_late: atomic<u32>;
var<workgroup> wg_frames: u32;

fn weights_at(at: u32) -> Rows {
    return cell_narrow(weight_lanes_at(at));
}

fn carried(at: u32) -> f32 {
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
    if (local == 0u) {
        atomicStore(&wg_late, 1u - FINISHES);
    }
    workgroupBarrier();
    if (FINISHES != 0u && is_there) {
        for (var unit = local; unit < hidden; unit += UNITS * LANES) {
            if (late[n * hidden + unit] != 0u) {
                atomicStore(&wg_late, 1u);
                late[n * hidden + unit] = 0u;
            }
        }
    }
    workgroupBarrier();
    if (local == 0u) {
        wg_frames = select(0u, params.frames, atomicLoad(&wg_late) != 0u);
    }
    let frames = workgroupUniformLoad(&wg_frames);
    for (var k = 0u; k < frames; k++) {
        before = slot_at(params.steps + k);
        let end = select(0u, hidden, is_there && runs(n, frame_of(k)));
        for (var first = 0u; first < hidden; first += UNITS) {
            multiply(min(first + local / LANES, hidden - 1u) * hidden, n, hidden, end, local, subgroup_size);
            let unit = first + local;
            if (is_there && local < UNITS && unit < hidden) {
                let product = cell_wide(lane_total(0u, local, subgroup_size));
                for (var row = 0u; row < CELL_ROWS; row++) {
                    products[(n * CELL_ROWS + row) * hidden + unit] = product[row];
                }
            }
            workgroupBarrier();
        }
        storageBarrier();
        finish_row(n, k, local, subgroup_size);
        storageBarrier();
    }
}
