// Vectors that workgroups hand to each other, in a buffer that is cleared to 0 beforehand: 0 is written as -0, and who needs a word waits
// until it is not 0. No word is written twice.
#import minus_zero
#ifdef COHERENT
@group(0) @binding(8) @coherent @volatile
var<storage, read_write> exchange: array<vec4u>;
#else
@group(0) @binding(8)
var<storage, read_write> exchange: array<atomic<u32>>;
#endif

// The first `count` words of a vector, 0 where they are not there yet; the others stand for 0.
fn handed_at(at: u32, count: u32) -> vec4u {
#ifdef COHERENT
    return exchange[at];
#else
    var words = vec4u(atomicLoad(&exchange[4u * at]), vec3u(MINUS_ZERO));
    if (count > 1u) {
        words.y = atomicLoad(&exchange[4u * at + 1u]);
    }
    if (count > 2u) {
        words.z = atomicLoad(&exchange[4u * at + 2u]);
    }
    if (count > 3u) {
        words.w = atomicLoad(&exchange[4u * at + 3u]);
    }
    return words;
#endif
}

fn hand_out(at: u32, v: vec4f, count: u32) {
    let bits = bitcast<vec4u>(v);
    let words = select(bits, vec4u(MINUS_ZERO), bits == vec4u());
#ifdef COHERENT
    exchange[at] = words;
#else
    atomicStore(&exchange[4u * at], words.x);
    if (count > 1u) {
        atomicStore(&exchange[4u * at + 1u], words.y);
    }
    if (count > 2u) {
        atomicStore(&exchange[4u * at + 2u], words.z);
    }
    if (count > 3u) {
        atomicStore(&exchange[4u * at + 3u], words.w);
    }
#endif
}
