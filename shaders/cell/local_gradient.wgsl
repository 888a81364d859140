// The local tier, backward: one dispatch runs many steps, a workgroup all steps of one sequence, an invocation every 256th unit.
// It also does what the persistent tier left undone (FINISHES).
// Twin: src/cpu/cells/gradient.rs.
#import cell_back
#import left_product

override FINISHES: u32 = 0u;

const LANES = 256u;
var<workgroup> wg_most: atomic<u32>;
var<workgroup> wg_left: u32;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let hidden = params.hidden;
    let n = group.x + group.y * groups.x;
    let is_there = n < params.batch;
    // The most steps that any unit has left, with one more for what the first step leaves to the states before it.
    if (local == 0u) {
        atomicStore(&wg_most, select(params.frames + 1u, 0u, FINISHES != 0u));
    }
    workgroupBarrier();
    if (FINISHES != 0u && is_there) {
        var most = 0u;
        for (var unit = local; unit < hidden; unit += LANES) {
            most = max(most, undone_at(n * hidden + unit));
        }
        atomicMax(&wg_most, most);
    }
    workgroupBarrier();
    if (local == 0u) {
        wg_left = min(atomicLoad(&wg_most), params.frames + 1u);
    }
    let left = workgroupUniformLoad(&wg_left);
    for (var k = params.frames + 1u - left; k <= params.frames; k++) {
        let frame = frame_of(k);
        let is_frame = k < params.frames;
        if (is_there) {
            let has_next = k > 0u && runs(n, frame_of(k - 1u)) && !begins_anew(n, frame_of(k - 1u));
            let running = is_frame && runs(n, frame);
            for (var unit = local; unit < hidden; unit += LANES) {
                let at = n * hidden + unit;
                if (FINISHES != 0u && k + undone_at(at) <= params.frames) {
                    continue;
                }
                var d = carry_at(at, CELL_STATES);
                if (has_next) {
                    d.x += left_product(frame_of(k - 1u), n, unit);
                }
                var g = CellGradient();
                g.s = d;
                if (running) {
                    let before = before_at(frame, n, unit);
                    d.x += before.dy;
                    g = unit_gradient(frame, at, before, parameters_at(unit), masks_at(at), d);
                    if (CELL_PARAMETERS > 0u) {
                        add_carry(at + CELL_STATES * plane(), CELL_PARAMETERS, g.p);
                    }
                }
                if (is_frame) {
                    g.s = select(g.s, vec4f(), begins_anew(n, frame));
                    set_gradients(frame, n, unit, g);
                }
                set_carry(at, CELL_STATES, g.s);
            }
        }
        storageBarrier();
    }
    if (FINISHES != 0u && is_there && left > 0u) {
        for (var unit = local; unit < hidden; unit += LANES) {
            set_undone(n * hidden + unit, 0u);
        }
    }
}
