#ifdef COOP
enable f16;
enable wgpu_cooperative_matrix;
#endif
// C[m, n] = act_out(bias[n] + sum_k act_in(A[m, k]) * B[k, n]), or that added to C, of factors that lie either way
// round. A long sum over k is cut into parts, each with a C of its own, which `sum_parts.wgsl` adds up.
// Twin: src/cpu/gemm.rs::product.
#ifdef COOP
#import gemm_matrices
#else
#import gemm_tiles
#endif
