// Status words of the utterances. Twin: src/lattice/status.rs::Status.
const STATUS_OK = 0u;
const STATUS_EMPTY = 1u;
const STATUS_INFEASIBLE = 2u;
// All bits of the others: it wins an atomicOr.
const STATUS_NON_FINITE = 3u;
// The bits above.
const STATUS_MASK = 3u;
// Beside them, for the sweep: some weight is not plain (scaled.wgsl).
const STATUS_WIDE = 4u;
