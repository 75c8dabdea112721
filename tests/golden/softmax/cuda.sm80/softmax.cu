// softmax, a kernel for cuda.sm80 that tiledsl wrote from softmax.tile.
//
// softmax over the last axis. A row stays on the chip between its three passes.
//
// Tile sizes: BR = 1.
// A block of 256 threads does a program at a time; it has 33312 bytes of shared memory.
// Numbers in comments are lines of softmax.tile. Names that end in _ are tiledsl's own.
#include "tiledsl_cuda.cuh"

namespace {

__global__ void __launch_bounds__(256, 1) softmax_kernel_(
    tdsl::In<tdsl::f16> x,
    tdsl::Out<tdsl::f16> y,
    int R,
    int N
) {
  TDSL_SHARED_MEMORY(smem_);
  const tdsl::Shared<float> e_tile = tdsl::shared<float>(smem_, 0, 8192, "e_tile");  // f32[r, n]
  const tdsl::Shared<double> exchange = tdsl::shared<double>(smem_, 32768, 64, "exchange");  // partial results
  const tdsl::Shared<float> v8_tile = tdsl::shared<float>(smem_, 33280, 1, "v8_tile");  // f32[r]
  const tdsl::Shared<tdsl::f16> v3_tile = tdsl::shared<tdsl::f16>(smem_, 33296, 1, "v3_tile");  // f16[r]

  const int r_tiles = tdsl::tiles(0, R, 1);
  const int64_t programs_ = int64_t(r_tiles);
  for (int64_t program_ = blockIdx.x; program_ < programs_; program_ += gridDim.x) {
    const int r0 = int(program_);
    const int r_len = tdsl::minimum(1, R - r0);
    // 6: e = exp(x[r, n] - max(x[r, n] over n))
    for (int base_ = 0; base_ < r_len; ++base_) {
      const int e_ = base_;
      float v3_ = -INFINITY;
      if (e_ < r_len) {
        const int r_i = e_;
        const int r = r0 + r_i;
        for (int n = int(threadIdx.x); n < N; n += 256) {
          const float x_1 = x[int64_t(r) * N + n];
          v3_ = tdsl::Maximum::join(v3_, x_1);
        }
      }
      v3_ = tdsl::team<256, tdsl::Maximum>(v3_, exchange);
      if (threadIdx.x % 256 == 0 && e_ < r_len) {
        const int r_i = e_;
        v3_tile[r_i] = v3_;
      }
    }
    __syncthreads();
    // 7: y[r, n] = e / sum(e over n)
    for (int base_ = 0; base_ < r_len; ++base_) {
      const int e_ = base_;
      float v8_ = 0.0f;
      if (e_ < r_len) {
        const int r_i = e_;
        const int r = r0 + r_i;
        const float v3 = v3_tile[r_i];
        for (int n = int(threadIdx.x); n < N; n += 256) {
          const float x_1 = x[int64_t(r) * N + n];
          const float v6 = x_1 - v3;
          const float e = expf(v6);
          v8_ = tdsl::Sum::join(v8_, e);
          e_tile[r_i * 8192 + n] = e;
        }
      }
      v8_ = tdsl::team<256, tdsl::Sum>(v8_, exchange);
      if (threadIdx.x % 256 == 0 && e_ < r_len) {
        const int r_i = e_;
        v8_tile[r_i] = v8_;
      }
    }
    __syncthreads();
    // 7: y[r, n] = e / sum(e over n)
    for (int r_i = 0; r_i < r_len; ++r_i) {
      const int r = r0 + r_i;
      const float v8 = v8_tile[r_i];
      for (int n = int(threadIdx.x); n < N; n += 256) {
        const float e = e_tile[r_i * 8192 + n];
        const float v9 = e / v8;
        const float v10 = tdsl::cast<tdsl::f16>(v9);
        y[int64_t(r) * N + n] = v10;
      }
    }
  }
}

}  // namespace

// Launch softmax on a stream. Returns 0, the number of a condition that does not hold
// (tiledsl_softmax_message tells it), or 1000 plus an error of CUDA.
//   x: f16[R, N]
//   y: f16[R, N]
//   size_R: the size R
//   size_N: the size N
extern "C" int TDSL_ENTRY(softmax)(
    const void* x,
    void* y,
    int64_t size_R,
    int64_t size_N,
    tdsl::stream_t stream_) {
  const int R = int(size_R);
  const int N = int(size_N);
  if (!(size_R >= 0 && size_R <= 2147418112)) return 1;
  if (!(size_N >= 0 && size_N <= 2147418112)) return 2;
  if (!(N <= 8192)) return 3;
  const int r_tiles = tdsl::tiles(0, R, 1);
  const int64_t blocks_ = int64_t(r_tiles);
  if (blocks_ == 0) return 0;
  return tdsl::launch(softmax_kernel_, blocks_, 256, 33312, stream_,
                      tdsl::in<tdsl::f16>(x, int64_t(R) * int64_t(N)),
                      tdsl::out<tdsl::f16>(y, int64_t(R) * int64_t(N)),
                      R,
                      N);
}

// What a code that the launcher returned means.
extern "C" const char* tiledsl_softmax_message(int code) {
  switch (code) {
    case 1: return "the size R is negative or too large";
    case 2: return "the size N is negative or too large";
    case 3: return "it must hold that N <= 8192";
    default: return code >= 1000 ? "an error of CUDA: 1000 and its number" : "";
  }
}
