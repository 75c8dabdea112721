/* vector_add: the C interface of the kernel that tiledsl wrote for cuda.sm80. */
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
     x: f32[N]
     y: f32[N]
     z: f32[N]
     size_N: the size N
*/
int tiledsl_vector_add(
    const float* x,
    const float* y,
    float* z,
    int64_t size_N,
    cudaStream_t stream_);

/* What a code that the launcher returned means. */
const char* tiledsl_vector_add_message(int code);

#ifdef __cplusplus
}
#endif
