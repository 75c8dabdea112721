/* rows: the C interface of the kernel that tiledsl wrote for cuda.sm80. */
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
     dy: f32[M, N]
     w: f32[N]
     dx: f32[M, N]
     part: f32[P, N]
     size_M: the size M
     size_N: the size N
     size_P: the size P
*/
int tiledsl_rows(
    const float* x,
    const float* dy,
    const float* w,
    float* dx,
    float* part,
    int64_t size_M,
    int64_t size_N,
    int64_t size_P,
    cudaStream_t stream_);

/* What a code that the launcher returned means. */
const char* tiledsl_rows_message(int code);

#ifdef __cplusplus
}
#endif
