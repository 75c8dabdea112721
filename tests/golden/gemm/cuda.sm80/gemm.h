/* gemm: the C interface of the kernel that tiledsl wrote for cuda.sm80. */
#pragma once
#include <cuda_runtime_api.h>
#include <stdint.h>
#ifndef __cplusplus
#include <stdbool.h>
#else
extern "C" {
#endif

/* Launch on a stream. Returns 0, the number of a condition that does not hold, or 1000 plus an error of
   CUDA. Arrays lie in device memory, row by row.
     a: f16[M, K]
     b: f16[K, N]
     bias: f16[N]
     c: f16[M, N]
     size_M: the size M
     size_K: the size K
     size_N: the size N
*/
int tiledsl_gemm(
    const void* a,
    const void* b,
    const void* bias,
    void* c,
    int64_t size_M,
    int64_t size_K,
    int64_t size_N,
    cudaStream_t stream_);

/* What a code that the launcher returned means. */
const char* tiledsl_gemm_message(int code);

#ifdef __cplusplus
}
#endif
