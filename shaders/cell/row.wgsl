// Cells with layer norms, forward: the norms and the update, where the products are in place; product.wgsl or normed_step.wgsl
// left them.
// A workgroup owns a sequence.
// Twin: src/cpu/cells/row.rs.
#import cell_call

// [frames, batch, hidden]
@group(0) @binding(6)
var<storage, read_write> y: array<f32>;
// [batch, CELL_ROWS, hidden]
@group(0) @binding(7)
var<storage, read_write> products: array<f32>;

fn products_first() -> u32 {
    return 0u;
}
#import cell_row

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
    finish_row(group.x + group.y * groups.x, 0u, local, subgroup_size);
}
