// layer_norm, a kernel for cuda.sm80 that tiledsl wrote from layer_norm.tile.
//
// Layer normalisation of each row; the mean and the reciprocal deviation are kept for the backward
// pass.
//
// Tile sizes: BM = 1.
// A block of 256 threads does a program at a time; it has 544 bytes of shared memory.
// Numbers in comments are lines of layer_norm.tile. Names that end in _ are tiledsl's own.
#include "tiledsl_cuda.cuh"

namespace {

__global__ void __launch_bounds__(256, 1) layer_norm_kernel_(
    tdsl::In<float> x,
    tdsl::In<float> w,
    tdsl::In<float> b,
    tdsl::Out<float> y,
    tdsl::Out<float> mean,
    tdsl::Out<float> rstd,
    int M,
    int N,
    float eps
) {
  TDSL_SHARED_MEMORY(smem_);
  const tdsl::Shared<double> exchange = tdsl::shared<double>(smem_, 0, 64, "exchange");  // partial results
  const tdsl::Shared<float> r_tile = tdsl::shared<float>(smem_, 0, 1, "r_tile");  // f32[m]
  const tdsl::Shared<float> v2_tile = tdsl::shared<float>(smem_, 512, 1, "v2_tile");  // f32[m]
  const tdsl::Shared<float> v6_tile = tdsl::shared<float>(smem_, 528, 1, "v6_tile");  // f32[m]

  const int m_tiles = tdsl::tiles(0, M, 1);
  const int64_t programs_ = int64_t(m_tiles);
  for (int64_t program_ = blockIdx.x; program_ < programs_; program_ += gridDim.x) {
    const int m0 = int(program_);
    const int m_len = tdsl::minimum(1, M - m0);
    __syncthreads();
    // 59: mu = mean(x over n)
    for (int base_ = 0; base_ < m_len; ++base_) {
      const int e_ = base_;
      float v2_ = 0.0f;
      if (e_ < m_len) {
        const int m_i = e_;
        const int m = m0 + m_i;
        for (int n = int(threadIdx.x); n < N; n += 256) {
          const float v = x[int64_t(m) * N + n];
          v2_ = tdsl::Sum::join(v2_, v);
        }
      }
      v2_ = tdsl::team<256, tdsl::Sum>(v2_, exchange);
      if (threadIdx.x % 256 == 0 && e_ < m_len) {
        const int m_i = e_;
        v2_tile[m_i] = v2_;
      }
    }
    __syncthreads();
    // 61: return mu, rsqrt(mean(d * d over n) + eps)
    for (int base_ = 0; base_ < m_len; ++base_) {
      const int e_ = base_;
      float v6_ = 0.0f;
      if (e_ < m_len) {
        const int m_i = e_;
        const int m = m0 + m_i;
        const float v2 = v2_tile[m_i];
        const float mu = v2 / tdsl::cast<float>(N);
        for (int n = int(threadIdx.x); n < N; n += 256) {
          const float v = x[int64_t(m) * N + n];
          const float d = v - mu;
          const float v5 = d * d;
          v6_ = tdsl::Sum::join(v6_, v5);
        }
      }
      v6_ = tdsl::team<256, tdsl::Sum>(v6_, exchange);
      if (threadIdx.x % 256 == 0 && e_ < m_len) {
        const int m_i = e_;
        v6_tile[m_i] = v6_;
      }
    }
    __syncthreads();
    // 61: return mu, rsqrt(mean(d * d over n) + eps)
    for (int m_i = int(threadIdx.x); m_i < m_len; m_i += 256) {
      const float v6 = v6_tile[m_i];
      const float v7 = v6 / tdsl::cast<float>(N);
      const float v8 = v7 + eps;
      const float r = 1.0f / sqrtf(v8);
      r_tile[m_i] = r;
    }
    __syncthreads();
    // 12: mean[m] = mu
    for (int m_i = int(threadIdx.x); m_i < m_len; m_i += 256) {
      const int m = m0 + m_i;
      const float v2 = v2_tile[m_i];
      const float mu = v2 / tdsl::cast<float>(N);
      const float r = r_tile[m_i];
      mean[m] = mu;
      rstd[m] = r;
    }
    // 14: y[m, n] = (v - mu) * r * w[n] + b[n]
    for (int m_i = 0; m_i < m_len; ++m_i) {
      const int m = m0 + m_i;
      const float v2 = v2_tile[m_i];
      const float mu = v2 / tdsl::cast<float>(N);
      const float r = r_tile[m_i];
      for (int n = int(threadIdx.x); n < N; n += 256) {
        const float v = x[int64_t(m) * N + n];
        const float v10 = v - mu;
        const float v11 = v10 * r;
        const float w_1 = w[n];
        const float v13 = v11 * w_1;
        const float b_1 = b[n];
        const float v15 = v13 + b_1;
        y[int64_t(m) * N + n] = v15;
      }
    }
  }
}

}  // namespace

// Launch layer_norm on a stream. Returns 0, the number of a condition that does not hold
// (tiledsl_layer_norm_message tells it), or 1000 plus an error of CUDA.
//   x: f32[M, N]
//   w: f32[N]
//   b: f32[N]
//   y: f32[M, N]
//   mean: f32[M]
//   rstd: f32[M]
//   size_M: the size M
//   size_N: the size N
//   eps: f32 eps
extern "C" int TDSL_ENTRY(layer_norm)(
    const float* x,
    const float* w,
    const float* b,
    float* y,
    float* mean,
    float* rstd,
    int64_t size_M,
    int64_t size_N,
    float eps,
    tdsl::stream_t stream_) {
  const int M = int(size_M);
  const int N = int(size_N);
  if (!(size_M >= 0 && size_M <= 2147418112)) return 1;
  if (!(size_N >= 0 && size_N <= 2147418112)) return 2;
  if (!(N <= 16384)) return 3;
  const int m_tiles = tdsl::tiles(0, M, 1);
  const int64_t blocks_ = int64_t(m_tiles);
  if (blocks_ == 0) return 0;
  return tdsl::launch(layer_norm_kernel_, blocks_, 256, 544, stream_,
                      tdsl::in<float>(x, int64_t(M) * int64_t(N)),
                      tdsl::in<float>(w, int64_t(N)),
                      tdsl::in<float>(b, int64_t(N)),
                      tdsl::out<float>(y, int64_t(M) * int64_t(N)),
                      tdsl::out<float>(mean, int64_t(M)),
                      tdsl::out<float>(rstd, int64_t(M)),
                      M,
                      N,
                      eps);
}

// What a code that the launcher returned means.
extern "C" const char* tiledsl_layer_norm_message(int code) {
  switch (code) {
    case 1: return "the size M is negative or too large";
    case 2: return "the size N is negative or too large";
    case 3: return "it must hold that N <= 16384";
    default: return code >= 1000 ? "an error of CUDA: 1000 and its number" : "";
  }
}
