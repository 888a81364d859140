// Invocations that share a row, a power of two, and all of a workgroup: it holds WORKGROUP / LANES rows.
override LANES: u32 = 8u;
override WORKGROUP: u32 = 256u;
