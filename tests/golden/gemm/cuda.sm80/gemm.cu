// gemm, a kernel for cuda.sm80 that tiledsl wrote from gemm.tile.
//
// c = relu(a @ b + bias). The epilogue is written where its result is wanted; that the accumulator
// lives on one core and the epilogue runs on another is the compiler's business.
//
// Tile sizes: BM = 128, BN = 128, BK = 64.
// A block of 256 threads does a program at a time; it has 35840 bytes of shared memory.
// Numbers in comments are lines of gemm.tile. Names that end in _ are tiledsl's own.
#include "tiledsl_cuda.cuh"

namespace {

using acc_tile_ = tdsl::Mma<2, 4, 4, 4>;

__global__ void __launch_bounds__(256, 1) gemm_kernel_(
    tdsl::In<tdsl::f16> a,
    tdsl::In<tdsl::f16> b,
    tdsl::In<tdsl::f16> bias,
    tdsl::Out<tdsl::f16> c,
    int M,
    int K,
    int N
) {
  TDSL_SHARED_MEMORY(smem_);
  const tdsl::Shared<tdsl::f16> a_panel = tdsl::shared<tdsl::f16>(smem_, 0, 9216, "a_panel");  // f16[m, k], a chunk of it
  const tdsl::Shared<tdsl::f16> b_panel = tdsl::shared<tdsl::f16>(smem_, 18432, 8704, "b_panel");  // f16[n, k], a chunk of it

  const int m_tiles = tdsl::tiles(0, M, 128);
  const int n_tiles = tdsl::tiles(0, N, 128);
  const int64_t programs_ = int64_t(m_tiles) * int64_t(n_tiles);
  for (int64_t program_ = blockIdx.x; program_ < programs_; program_ += gridDim.x) {
    const int m0 = int(program_ / n_tiles) * 128;
    const int m_len = tdsl::minimum(128, M - m0);
    const int n0 = int(program_ % n_tiles) * 128;
    const int n_len = tdsl::minimum(128, N - n0);
    // 7: var acc: f32[m, n] = 0
    acc_tile_ acc;
    acc.clear();
    // 8: for k in K by BK:
    for (int k0 = 0; k0 < K; k0 += 64) {
      const int k_len = tdsl::minimum(64, (K - k0));
      __syncthreads();
      // 9: acc += a[m, k] @ b[k, n]
      tdsl::copy_panel<128, 64, 72, 256, tdsl::f16>(a_panel, a, int64_t(m0) * K + k0, int64_t(K), m_len, k_len);
      tdsl::copy_panel<64, 128, 136, 256, tdsl::f16>(b_panel, b, int64_t(k0) * N + n0, int64_t(N), k_len, n_len);
      __syncthreads();
      tdsl::multiply<false, true, 72, 136, tdsl::f16>(acc, a_panel, b_panel, tdsl::minimum(k_len, 64), n_len);
    }
    // 10: c[m, n] = relu(acc + bias[n])
    #pragma unroll
    for (int i_ = 0; i_ < acc_tile_::ROWS; ++i_) {
      const int m_i = acc_tile_::row(i_);
      if (!(m_i < m_len)) continue;
      const int m = m0 + m_i;
      #pragma unroll
      for (int j_ = 0; j_ < acc_tile_::COLS; ++j_) {
        const int n_i = acc_tile_::col(j_);
        if (!(n_i < n_len)) continue;
        const int n = n0 + n_i;
        const float acc_6 = acc(i_, j_);
        const float bias_1 = bias[n];
        const float v9 = acc_6 + bias_1;
        const float v10 = tdsl::maximum(v9, 0.0f);
        const float v11 = tdsl::cast<tdsl::f16>(v10);
        c[int64_t(m) * N + n] = v11;
      }
    }
  }
}

}  // namespace

// Launch gemm on a stream. Returns 0, the number of a condition that does not hold
// (tiledsl_gemm_message tells it), or 1000 plus an error of CUDA.
//   a: f16[M, K]
//   b: f16[K, N]
//   bias: f16[N]
//   c: f16[M, N]
//   size_M: the size M
//   size_K: the size K
//   size_N: the size N
extern "C" int TDSL_ENTRY(gemm)(
    const void* a,
    const void* b,
    const void* bias,
    void* c,
    int64_t size_M,
    int64_t size_K,
    int64_t size_N,
    tdsl::stream_t stream_) {
  const int M = int(size_M);
  const int K = int(size_K);
  const int N = int(size_N);
  if (!(size_M >= 0 && size_M <= 2147418112)) return 1;
  if (!(size_K >= 0 && size_K <= 2147418112)) return 2;
  if (!(size_N >= 0 && size_N <= 2147418112)) return 3;
  const int m_tiles = tdsl::tiles(0, M, 128);
  const int n_tiles = tdsl::tiles(0, N, 128);
  const int64_t blocks_ = int64_t(m_tiles) * int64_t(n_tiles);
  if (blocks_ == 0) return 0;
  return tdsl::launch(gemm_kernel_, blocks_, 256, 35840, stream_,
                      tdsl::in<tdsl::f16>(a, int64_t(M) * int64_t(K)),
                      tdsl::in<tdsl::f16>(b, int64_t(K) * int64_t(N)),
                      tdsl::in<tdsl::f16>(bias, int64_t(N)),
                      tdsl::out<tdsl::f16>(c, int64_t(M) * int64_t(N)),
                      M,
                      K,
                      N);
}

// What a code that the launcher returned means.
extern "C" const char* tiledsl_gemm_message(int code) {
  switch (code) {
    case 1: return "the size M is negative or too large";
    case 2: return "the size K is negative or too large";
    case 3: return "the size N is negative or too large";
    default: return code >= 1000 ? "an error of CUDA: 1000 and its number" : "";
  }
}
