/* fold: the C interface of the kernel that tiledsl wrote for cuda.sm80. */
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
     part: f32[P, N]
     y: f32[N]
     size_P: the size P
     size_N: the size N
*/
int tiledsl_fold(
    const float* part,
    float* y,
    int64_t size_P,
    int64_t size_N,
    cudaStream_t stream_);

/* What a code that the launcher returned means. */
const char* tiledsl_fold_message(int code);

#ifdef __cplusplus
}
#endif
