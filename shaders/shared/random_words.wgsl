// A random word for four numbers: PCG4D (Jarzynski and Olano 2020).
fn random_words(numbers: vec4u) -> vec4u {
    var v = numbers * 1664525u + 1013904223u;
    v += v.yzxy * v.wxyz;
    v ^= v >> vec4u(16u);
    v += v.yzxy * v.wxyz;
    return v;
}
