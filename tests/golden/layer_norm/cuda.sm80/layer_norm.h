/* layer_norm: the C interface of the kernel that tiledsl wrote for cuda.sm80. */
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
     x: f32[M, N]
     w: f32[N]
     b: f32[N]
     y: f32[M, N]
     mean: f32[M]
     rstd: f32[M]
     size_M: the size M
     size_N: the size N
     eps: f32 eps
*/
int tiledsl_layer_norm(
    const float* x,
    const float* w,
    const float* b,
    float* y,
    float* mean,
    float* rstd,
    int64_t size_M,
    int64_t size_N,
    float eps,
    cudaStream_t stream_);

/* What a code that the launcher returned means. */
const char* tiledsl_layer_norm_message(int code);

#ifdef __cplusplus
}
#endif
