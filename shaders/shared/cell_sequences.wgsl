// What kernels that run cells know of the sequences of a batch. The importing kernel declares `sequences`, and `params` with
// batch, hidden, has_lengths, resets_first and reset_words.

// Frames past the end of a sequence leave its states alone, and their y is 0.
fn runs(n: u32, frame: u32) -> bool {
    if (params.has_lengths == 0u) {
        return true;
    }
    return frame < sequences[n];
}

// Whether the states of a sequence are zero before a frame that it has, whatever came before.
fn begins_anew(n: u32, frame: u32) -> bool {
    if (params.resets_first == 0u || !runs(n, frame)) {
        return false;
    }
    return ((sequences[params.resets_first + frame * params.reset_words + n / 32u] >> (n % 32u)) & 1u) == 1u;
}

fn plane() -> u32 {
    return params.batch * params.hidden;
}
