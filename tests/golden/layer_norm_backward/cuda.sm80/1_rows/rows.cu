// rows, a kernel for cuda.sm80 that tiledsl wrote from layer_norm_backward.tile.
//
// Tile sizes: BM = 1.
// A block of 256 threads does a program at a time; it has 65584 bytes of shared memory.
// Numbers in comments are lines of layer_norm_backward.tile. Names that end in _ are tiledsl's own.
#include "tiledsl_cuda.cuh"

namespace {

__global__ void __launch_bounds__(256, 1) rows_kernel_(
    tdsl::In<float> x,
    tdsl::In<float> dy,
    tdsl::In<float> w,
    tdsl::Out<float> dx,
    tdsl::Out<float> part,
    int M,
    int N,
    int P
) {
  TDSL_SHARED_MEMORY(smem_);
  const tdsl::Shared<float> dw = tdsl::shared<float>(smem_, 0, 4096, "dw");  // var dw: f32[n]
  const tdsl::Shared<float> g_tile = tdsl::shared<float>(smem_, 16384, 4096, "g_tile");  // f32[n, m]
  const tdsl::Shared<float> v6_tile = tdsl::shared<float>(smem_, 32768, 1, "v6_tile");  // f32[m]
  const tdsl::Shared<float> xh_tile = tdsl::shared<float>(smem_, 32768, 4096, "xh_tile");  // f32[n, m]
  const tdsl::Shared<double> exchange = tdsl::shared<double>(smem_, 49152, 64, "exchange");  // partial results
  const tdsl::Shared<float> v26_tile = tdsl::shared<float>(smem_, 49152, 4096, "v26_tile");  // f32[n]
  const tdsl::Shared<float> v2_tile = tdsl::shared<float>(smem_, 49664, 1, "v2_tile");  // f32[m]
  const tdsl::Shared<float> v14_tile = tdsl::shared<float>(smem_, 65536, 1, "v14_tile");  // f32[m]
  const tdsl::Shared<float> r_tile = tdsl::shared<float>(smem_, 65552, 1, "r_tile");  // f32[m]
  const tdsl::Shared<float> v18_tile = tdsl::shared<float>(smem_, 65568, 1, "v18_tile");  // f32[m]

  const int p_tiles = tdsl::tiles(0, P, 1);
  const int64_t programs_ = int64_t(p_tiles);
  for (int64_t program_ = blockIdx.x; program_ < programs_; program_ += gridDim.x) {
    const int p = int(program_);
    __syncthreads();
    // 14: var dw: f32[n] = 0
    for (int n = int(threadIdx.x); n < N; n += 256) {
      dw[n] = 0.0f;
    }
    // 15: for m in M[p * each .. (p + 1) * each] by BM:
    const int m_lo = tdsl::maximum((p * tdsl::floordiv((M + (P - 1)), P)), 0);
    const int m_hi = tdsl::minimum(((p + 1) * tdsl::floordiv((M + (P - 1)), P)), M);
    for (int m0 = m_lo; m0 < m_hi; ++m0) {
      const int m_len = tdsl::minimum(1, (m_hi - m0));
      __syncthreads();
      // 17: d = v - mean(v over n)
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
      // 18: r = rsqrt(mean(d * d over n) + 1e-5)
      for (int base_ = 0; base_ < m_len; ++base_) {
        const int e_ = base_;
        float v6_ = 0.0f;
        if (e_ < m_len) {
          const int m_i = e_;
          const int m = m0 + m_i;
          const float v2 = v2_tile[m_i];
          const float v3 = v2 / tdsl::cast<float>(N);
          for (int n = int(threadIdx.x); n < N; n += 256) {
            const float v = x[int64_t(m) * N + n];
            const float d = v - v3;
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
      // 21: dx[m, n] = r * (g - mean(g over n) - xh * mean(g * xh over n))
      for (int base_ = 0; base_ < m_len; ++base_) {
        const int e_ = base_;
        float v14_ = 0.0f;
        if (e_ < m_len) {
          const int m_i = e_;
          const int m = m0 + m_i;
          for (int n = int(threadIdx.x); n < N; n += 256) {
            const float dy_1 = dy[int64_t(m) * N + n];
            const float w_1 = w[n];
            const float g = dy_1 * w_1;
            v14_ = tdsl::Sum::join(v14_, g);
            g_tile[m_i * 4096 + n] = g;
          }
        }
        v14_ = tdsl::team<256, tdsl::Sum>(v14_, exchange);
        if (threadIdx.x % 256 == 0 && e_ < m_len) {
          const int m_i = e_;
          v14_tile[m_i] = v14_;
        }
      }
      // 18: r = rsqrt(mean(d * d over n) + 1e-5)
      for (int m_i = int(threadIdx.x); m_i < m_len; m_i += 256) {
        const float v6 = v6_tile[m_i];
        const float v7 = v6 / tdsl::cast<float>(N);
        const float v8 = v7 + 1e-05f;
        const float r = 1.0f / sqrtf(v8);
        r_tile[m_i] = r;
      }
      __syncthreads();
      // 19: xh = d * r
      for (int m_i = 0; m_i < m_len; ++m_i) {
        const int m = m0 + m_i;
        const float v2 = v2_tile[m_i];
        const float v3 = v2 / tdsl::cast<float>(N);
        const float r = r_tile[m_i];
        for (int n = int(threadIdx.x); n < N; n += 256) {
          const float v = x[int64_t(m) * N + n];
          const float d = v - v3;
          const float xh = d * r;
          xh_tile[m_i * 4096 + n] = xh;
        }
      }
      __syncthreads();
      // 21: dx[m, n] = r * (g - mean(g over n) - xh * mean(g * xh over n))
      for (int base_ = 0; base_ < m_len; ++base_) {
        const int e_ = base_;
        float v18_ = 0.0f;
        if (e_ < m_len) {
          const int m_i = e_;
          for (int n = int(threadIdx.x); n < N; n += 256) {
            const float g = g_tile[m_i * 4096 + n];
            const float xh = xh_tile[m_i * 4096 + n];
            const float v17 = g * xh;
            v18_ = tdsl::Sum::join(v18_, v17);
          }
        }
        v18_ = tdsl::team<256, tdsl::Sum>(v18_, exchange);
        if (threadIdx.x % 256 == 0 && e_ < m_len) {
          const int m_i = e_;
          v18_tile[m_i] = v18_;
        }
      }
      __syncthreads();
      // 22: dw += sum(dy[m, n] * xh over m)
      for (int e_ = int(threadIdx.x); e_ < N; e_ += 256) {
        const int n = e_;
        float v26_ = 0.0f;
        for (int m_i = 0; m_i < m_len; ++m_i) {
          const int m = m0 + m_i;
          const float dy_1 = dy[int64_t(m) * N + n];
          const float xh = xh_tile[m_i * 4096 + n];
          const float v25 = dy_1 * xh;
          v26_ = tdsl::Sum::join(v26_, v25);
        }
        v26_tile[n] = v26_;
      }
      // 21: dx[m, n] = r * (g - mean(g over n) - xh * mean(g * xh over n))
      for (int m_i = 0; m_i < m_len; ++m_i) {
        const int m = m0 + m_i;
        const float r = r_tile[m_i];
        const float v14 = v14_tile[m_i];
        const float v15 = v14 / tdsl::cast<float>(N);
        const float v18 = v18_tile[m_i];
        const float v19 = v18 / tdsl::cast<float>(N);
        for (int n = int(threadIdx.x); n < N; n += 256) {
          const float g = g_tile[m_i * 4096 + n];
          const float v16 = g - v15;
          const float xh = xh_tile[m_i * 4096 + n];
          const float v20 = xh * v19;
          const float v21 = v16 - v20;
          const float v22 = r * v21;
          dx[int64_t(m) * N + n] = v22;
        }
      }
      __syncthreads();
      // 22: dw += sum(dy[m, n] * xh over m)
      for (int n = int(threadIdx.x); n < N; n += 256) {
        const float dw_23 = dw[n];
        const float v26 = v26_tile[n];
        const float v27 = dw_23 + v26;
        dw[n] = v27;
      }
    }
    __syncthreads();
    // 23: part[p, n] = dw
    for (int n = int(threadIdx.x); n < N; n += 256) {
      const float dw_28 = dw[n];
      part[int64_t(p) * N + n] = dw_28;
    }
  }
}

}  // namespace

// Launch rows on a stream. Returns 0, the number of a condition that does not hold
// (tiledsl_rows_message tells it), or 1000 plus an error of CUDA.
//   x: f32[M, N]
//   dy: f32[M, N]
//   w: f32[N]
//   dx: f32[M, N]
//   part: f32[P, N]
//   size_M: the size M
//   size_N: the size N
//   size_P: the size P
extern "C" int TDSL_ENTRY(rows)(
    const float* x,
    const float* dy,
    const float* w,
    float* dx,
    float* part,
    int64_t size_M,
    int64_t size_N,
    int64_t size_P,
    tdsl::stream_t stream_) {
  const int M = int(size_M);
  const int N = int(size_N);
  const int P = int(size_P);
  if (!(size_M >= 0 && size_M <= 2147418112)) return 1;
  if (!(size_N >= 0 && size_N <= 2147418112)) return 2;
  if (!(size_P >= 0 && size_P <= 2147418112)) return 3;
  if (!(N <= 4096)) return 4;
  if (!(P >= 1)) return 5;
  const int p_tiles = tdsl::tiles(0, P, 1);
  const int64_t blocks_ = int64_t(p_tiles);
  if (blocks_ == 0) return 0;
  return tdsl::launch(rows_kernel_, blocks_, 256, 65584, stream_,
                      tdsl::in<float>(x, int64_t(M) * int64_t(N)),
                      tdsl::in<float>(dy, int64_t(M) * int64_t(N)),
                      tdsl::in<float>(w, int64_t(N)),
                      tdsl::out<float>(dx, int64_t(M) * int64_t(N)),
                      tdsl::out<float>(part, int64_t(P) * int64_t(N)),
                      M,
                      N,
                      P);
}

// What a code that the launcher returned means.
extern "C" const char* tiledsl_rows_message(int code) {
  switch (code) {
    case 1: return "the size M is negative or too large";
    case 2: return "the size N is negative or too large";
    case 3: return "the size P is negative or too large";
    case 4: return "it must hold that N <= 4096";
    case 5: return "it must hold that P >= 1";
    default: return code >= 1000 ? "an error of CUDA: 1000 and its number" : "";
  }
}
