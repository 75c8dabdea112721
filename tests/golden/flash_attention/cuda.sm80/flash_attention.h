/* flash_attention: the C interface of the kernel that tiledsl wrote for cuda.sm80. */
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
     q: f16[B, H, S, D]
     k: f16[B, H, L, D]
     v: f16[B, H, L, D]
     o: f16[B, H, S, D]
     size_B: the size B
     size_H: the size H
     size_S: the size S
     size_D: the size D
     size_L: the size L
     scale: f32 scale
*/
int tiledsl_flash_attention(
    const void* q,
    const void* k,
    const void* v,
    void* o,
    int64_t size_B,
    int64_t size_H,
    int64_t size_S,
    int64_t size_D,
    int64_t size_L,
    float scale,
    cudaStream_t stream_);

/* What a code that the launcher returned means. */
const char* tiledsl_flash_attention_message(int code);

#ifdef __cplusplus
}
#endif
