// softmax_long, a kernel for cuda.sm80 that tiledsl wrote from softmax.tile.
//
// softmax of rows that are longer than the chip's memory: a running maximum and sum, then a second
// pass over the row.
//
// Tile sizes: BR = 4, BN = 1024.
// A block of 256 threads does a program at a time; it has 576 bytes of shared memory.
// Numbers in comments are lines of softmax.tile. Names that end in _ are tiledsl's own.
#include "tiledsl_cuda.cuh"

namespace {

__global__ void __launch_bounds__(256, 1) softmax_long_kernel_(
    tdsl::In<float> x,
    tdsl::Out<float> y,
    int R,
    int N
) {
  TDSL_SHARED_MEMORY(smem_);
  const tdsl::Shared<double> exchange = tdsl::shared<double>(smem_, 0, 64, "exchange");  // partial results
  const tdsl::Shared<float> top = tdsl::shared<float>(smem_, 512, 4, "top");  // var top: f32[r]
  const tdsl::Shared<float> den = tdsl::shared<float>(smem_, 528, 4, "den");  // var den: f32[r]
  const tdsl::Shared<float> v3_tile = tdsl::shared<float>(smem_, 544, 4, "v3_tile");  // f32[r]
  const tdsl::Shared<float> v12_tile = tdsl::shared<float>(smem_, 560, 4, "v12_tile");  // f32[r]

  const int r_tiles = tdsl::tiles(0, R, 4);
  const int64_t programs_ = int64_t(r_tiles);
  for (int64_t program_ = blockIdx.x; program_ < programs_; program_ += gridDim.x) {
    const int r0 = int(program_) * 4;
    const int r_len = tdsl::minimum(4, R - r0);
    __syncthreads();
    // 25: var top: f32[r] = -inf
    for (int r_i = int(threadIdx.x); r_i < r_len; r_i += 256) {
      top[r_i] = -INFINITY;
      den[r_i] = 0.0f;
    }
    // 27: for n in N by BN:
    for (int n0 = 0; n0 < N; n0 += 1024) {
      const int n_len = tdsl::minimum(1024, (N - n0));
      __syncthreads();
      // 29: new = max(top, max(v over n))
      for (int base_ = 0; base_ < r_len; base_ += 4) {
        const int e_ = base_ + int(threadIdx.x) / 64;
        float v3_ = -INFINITY;
        if (e_ < r_len) {
          const int r_i = e_;
          const int r = r0 + r_i;
          for (int n_i = int(threadIdx.x) % 64; n_i < n_len; n_i += 64) {
            const int n = n0 + n_i;
            const float v = x[int64_t(r) * N + n];
            v3_ = tdsl::Maximum::join(v3_, v);
          }
        }
        v3_ = tdsl::team<64, tdsl::Maximum>(v3_, exchange);
        if (threadIdx.x % 64 == 0 && e_ < r_len) {
          const int r_i = e_;
          v3_tile[r_i] = v3_;
        }
      }
      __syncthreads();
      // 30: den = den * exp(top - new) + sum(exp(v - new) over n)
      for (int base_ = 0; base_ < r_len; base_ += 4) {
        const int e_ = base_ + int(threadIdx.x) / 64;
        float v12_ = 0.0f;
        if (e_ < r_len) {
          const int r_i = e_;
          const int r = r0 + r_i;
          const float top_2 = top[r_i];
          const float v3 = v3_tile[r_i];
          const float new_1 = tdsl::maximum(top_2, v3);
          for (int n_i = int(threadIdx.x) % 64; n_i < n_len; n_i += 64) {
            const int n = n0 + n_i;
            const float v = x[int64_t(r) * N + n];
            const float v10 = v - new_1;
            const float v11 = expf(v10);
            v12_ = tdsl::Sum::join(v12_, v11);
          }
        }
        v12_ = tdsl::team<64, tdsl::Sum>(v12_, exchange);
        if (threadIdx.x % 64 == 0 && e_ < r_len) {
          const int r_i = e_;
          v12_tile[r_i] = v12_;
        }
      }
      __syncthreads();
      // 30: den = den * exp(top - new) + sum(exp(v - new) over n)
      for (int r_i = int(threadIdx.x); r_i < r_len; r_i += 256) {
        const float den_5 = den[r_i];
        const float top_2 = top[r_i];
        const float v3 = v3_tile[r_i];
        const float new_1 = tdsl::maximum(top_2, v3);
        const float v7 = top_2 - new_1;
        const float v8 = expf(v7);
        const float v9 = den_5 * v8;
        const float v12 = v12_tile[r_i];
        const float v13 = v9 + v12;
        den[r_i] = v13;
        top[r_i] = new_1;
      }
    }
    // 32: for n in N by BN:
    for (int n0_1 = 0; n0_1 < N; n0_1 += 1024) {
      const int n_len_1 = tdsl::minimum(1024, (N - n0_1));
      __syncthreads();
      // 33: y[r, n] = exp(x[r, n] - top) / den
      for (int r_i = 0; r_i < r_len; ++r_i) {
        const int r = r0 + r_i;
        const float top_15 = top[r_i];
        const float den_18 = den[r_i];
        for (int n_i_1 = int(threadIdx.x); n_i_1 < n_len_1; n_i_1 += 256) {
          const int n_1 = n0_1 + n_i_1;
          const float x_1 = x[int64_t(r) * N + n_1];
          const float v16 = x_1 - top_15;
          const float v17 = expf(v16);
          const float v19 = v17 / den_18;
          y[int64_t(r) * N + n_1] = v19;
        }
      }
    }
  }
}

}  // namespace

// Launch softmax_long on a stream. Returns 0, the number of a condition that does not hold
// (tiledsl_softmax_long_message tells it), or 1000 plus an error of CUDA.
//   x: f32[R, N]
//   y: f32[R, N]
//   size_R: the size R
//   size_N: the size N
extern "C" int TDSL_ENTRY(softmax_long)(
    const float* x,
    float* y,
    int64_t size_R,
    int64_t size_N,
    tdsl::stream_t stream_) {
  const int R = int(size_R);
  const int N = int(size_N);
  if (!(size_R >= 0 && size_R <= 2147418112)) return 1;
  if (!(size_N >= 0 && size_N <= 2147418112)) return 2;
  const int r_tiles = tdsl::tiles(0, R, 4);
  const int64_t blocks_ = int64_t(r_tiles);
  if (blocks_ == 0) return 0;
  return tdsl::launch(softmax_long_kernel_, blocks_, 256, 576, stream_,
                      tdsl::in<float>(x, int64_t(R) * int64_t(N)),
                      tdsl::out<float>(y, int64_t(R) * int64_t(N)),
                      R,
                      N);
}

// What a code that the launcher returned means.
extern "C" const char* tiledsl_softmax_long_message(int code) {
  switch (code) {
    case 1: return "the size R is negative or too large";
    case 2: return "the size N is negative or too large";
    default: return code >= 1000 ? "an error of CUDA: 1000 and its number" : "";
  }
}
