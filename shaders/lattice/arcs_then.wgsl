// Arcs that read a second symbol one position on, in the same frame, get its weight too.
// Twin: src/cpu/arcs/then.rs.
#import arcs_table
#import lattice_status

struct Params {
    first_utterance: u32,
    // Cells of the workspace.
    cells: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
@group(0) @binding(1)
var<storage, read> batch: array<u32>;
@group(0) @binding(2)
var<storage, read_write> arcs: array<u32>;
@group(0) @binding(3)
var<storage, read_write> results: array<atomic<u32>>;

override WORKGROUP: u32 = 256u;

// An invocation a cell.
@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let n = params.first_utterance + group.z;
    let utterance = utterance(n);
    let kind = kind_of(n);
    let number = (group.x + group.y * groups.x) * WORKGROUP + local;
#ifdef BANDS
    let t = number / utterance.positions;
    let frame = min(t, max(utterance.frames, 1u) - 1u);
    let u = batch[utterance.band_at + 2u * frame] + number - t * utterance.positions;
    if (t < utterance.frames && u < utterance.labels && is_in_band(utterance, t, u)) {
#else
    let columns = utterance.labels + 1u;
    let t = number / columns;
    let u = number - t * columns;
    if (t < utterance.frames && u < utterance.labels) {
#endif
        let cell = place_at(utterance, t, u);
        let next = place_at(utterance, t, u + 1u);
        var status = 0u;
        for (var h = 0u; h < kind.thens; h++) {
            let at = word_at(params.cells, cell, arc_of_then(kind, h));
            let then = arcs[word_at(params.cells, next, kind.arcs + h)];
            let both = arc_word(max(arc_log2(arcs[at]) + arc_log2(then), -1e30));
            arcs[at] = both;
            status |= select(STATUS_WIDE, 0u, is_short_weight(both));
        }
        if (status != 0u) {
            atomicOr(&results[n], status);
        }
    }
}
