// fold, a kernel for cuda.sm80 that tiledsl wrote from layer_norm_backward.tile.
//
// Tile sizes: BN = 1024, BP = 4.
// A block of 256 threads does a program at a time; it has 8192 bytes of shared memory.
// Numbers in comments are lines of layer_norm_backward.tile. Names that end in _ are tiledsl's own.
#include "tiledsl_cuda.cuh"

namespace {

__global__ void __launch_bounds__(256, 1) fold_kernel_(
    tdsl::In<float> part,
    tdsl::Out<float> y,
    int P,
    int N
) {
  TDSL_SHARED_MEMORY(smem_);
  const tdsl::Shared<float> acc = tdsl::shared<float>(smem_, 0, 1024, "acc");  // var acc: f32[n]
  const tdsl::Shared<float> v3_tile = tdsl::shared<float>(smem_, 4096, 1024, "v3_tile");  // f32[n]

  const int n_tiles = tdsl::tiles(0, N, 1024);
  const int64_t programs_ = int64_t(n_tiles);
  for (int64_t program_ = blockIdx.x; program_ < programs_; program_ += gridDim.x) {
    const int n0 = int(program_) * 1024;
    const int n_len = tdsl::minimum(1024, N - n0);
    __syncthreads();
    // 27: var acc: f32[n] = 0
    for (int n_i = int(threadIdx.x); n_i < n_len; n_i += 256) {
      acc[n_i] = 0.0f;
    }
    // 28: for p in P by BP:
    for (int p0 = 0; p0 < P; p0 += 4) {
      const int p_len = tdsl::minimum(4, (P - p0));
      __syncthreads();
      // 29: acc += sum(part[p, n] over p)
      for (int e_ = int(threadIdx.x); e_ < n_len; e_ += 256) {
        const int n_i = e_;
        const int n = n0 + n_i;
        float v3_ = 0.0f;
        for (int p_i = 0; p_i < p_len; ++p_i) {
          const int p = p0 + p_i;
          const float part_1 = part[int64_t(p) * N + n];
          v3_ = tdsl::Sum::join(v3_, part_1);
        }
        v3_tile[n_i] = v3_;
      }
      __syncthreads();
      // 29: acc += sum(part[p, n] over p)
      for (int n_i = int(threadIdx.x); n_i < n_len; n_i += 256) {
        const float acc_1 = acc[n_i];
        const float v3 = v3_tile[n_i];
        const float v4 = acc_1 + v3;
        acc[n_i] = v4;
      }
    }
    __syncthreads();
    // 30: y[n] = acc
    for (int n_i = int(threadIdx.x); n_i < n_len; n_i += 256) {
      const int n = n0 + n_i;
      const float acc_5 = acc[n_i];
      y[n] = acc_5;
    }
  }
}

}  // namespace

// Launch fold on a stream. Returns 0, the number of a condition that does not hold
// (tiledsl_fold_message tells it), or 1000 plus an error of CUDA.
//   part: f32[P, N]
//   y: f32[N]
//   size_P: the size P
//   size_N: the size N
extern "C" int TDSL_ENTRY(fold)(
    const float* part,
    float* y,
    int64_t size_P,
    int64_t size_N,
    tdsl::stream_t stream_) {
  const int P = int(size_P);
  const int N = int(size_N);
  if (!(size_P >= 0 && size_P <= 2147418112)) return 1;
  if (!(size_N >= 0 && size_N <= 2147418112)) return 2;
  const int n_tiles = tdsl::tiles(0, N, 1024);
  const int64_t blocks_ = int64_t(n_tiles);
  if (blocks_ == 0) return 0;
  return tdsl::launch(fold_kernel_, blocks_, 256, 8192, stream_,
                      tdsl::in<float>(part, int64_t(P) * int64_t(N)),
                      tdsl::out<float>(y, int64_t(N)),
                      P,
                      N);
}

// What a code that the launcher returned means.
extern "C" const char* tiledsl_fold_message(int code) {
  switch (code) {
    case 1: return "the size P is negative or too large";
    case 2: return "the size N is negative or too large";
    default: return code >= 1000 ? "an error of CUDA: 1000 and its number" : "";
  }
}
