// Cells without a product: an invocation is a unit of a sequence, which walks all frames of a launch. It reads the gates of
// four frames at a time, while it takes the four before.
// Twin: src/cpu/cells/step.rs::steps.
#import cell_call

// [frames, batch, hidden]
@group(0) @binding(6)
var<storage, read_write> y: array<f32>;

// The gates at step k of this launch; past its end those of the last one.
fn ahead(k: u32, n: u32, unit: u32) -> vec4f {
    return inputs_at(frame_of(min(k, params.frames - 1u)), n, unit);
}

// One step, and the states before the next.
fn one(k: u32, n: u32, unit: u32, x: vec4f, before: vec4f) -> vec4f {
    if (k >= params.frames) {
        return before;
    }
    let frame = frame_of(k);
    let at = n * params.hidden + unit;
    var s = before;
    var out = 0.0;
    if (runs(n, frame)) {
        s = unit_step(frame, at, unit, x, vec4f(), s);
        out = s.x;
    }
    y[frame_at(params.y_first, frame, plane()) + at] = out;
    let step = params.steps + k + 1u;
    s = states_before(step, frame_of(k + 1u), n, s);
    // Where states are not kept, only the last ones are read again.
    if (params.slots > 2u || k + 1u == params.frames) {
        set_states(step, at, s);
    }
    return s;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let number = id.x + id.y * groups.x * 64u;
    if (number < plane()) {
        let n = number / params.hidden;
        let unit = number % params.hidden;
        var s = states_at(params.steps, number);
        var x0 = ahead(0u, n, unit);
        var x1 = ahead(1u, n, unit);
        var x2 = ahead(2u, n, unit);
        var x3 = ahead(3u, n, unit);
        for (var k = 0u; k < params.frames; k += 4u) {
            let own0 = x0;
            let own1 = x1;
            let own2 = x2;
            let own3 = x3;
            x0 = ahead(k + 4u, n, unit);
            x1 = ahead(k + 5u, n, unit);
            x2 = ahead(k + 6u, n, unit);
            x3 = ahead(k + 7u, n, unit);
            s = one(k, n, unit, own0, s);
            s = one(k + 1u, n, unit, own1, s);
            s = one(k + 2u, n, unit, own2, s);
            s = one(k + 3u, n, unit, own3, s);
        }
    }
}
