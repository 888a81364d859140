// What kernels that run cells backward carry from step to step, planes [batch, hidden]. The importing kernel declares `carry` and
// plane().

// Lane k is at + k * plane().
fn carry_at(at: u32, count: u32) -> vec4f {
    var v = vec4f();
    if (count > 0u) {
        v.x = carry[at];
    }
    if (count > 1u) {
        v.y = carry[at + plane()];
    }
    if (count > 2u) {
        v.z = carry[at + 2u * plane()];
    }
    if (count > 3u) {
        v.w = carry[at + 3u * plane()];
    }
    return v;
}

fn set_carry(at: u32, count: u32, v: vec4f) {
    if (count > 0u) {
        carry[at] = v.x;
    }
    if (count > 1u) {
        carry[at + plane()] = v.y;
    }
    if (count > 2u) {
        carry[at + 2u * plane()] = v.z;
    }
    if (count > 3u) {
        carry[at + 3u * plane()] = v.w;
    }
}

fn add_carry(at: u32, count: u32, v: vec4f) {
    set_carry(at, count, carry_at(at, count) + v);
}
