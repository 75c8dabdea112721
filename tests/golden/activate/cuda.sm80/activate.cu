// activate, a kernel for cuda.sm80 that tiledsl wrote from gelu.tile.
//
// The Gaussian error linear unit, exact or by its approximation with tanh: a `const` parameter picks
// one when the kernel is built, and the other is not even compiled.
//
// Tile sizes: BN = 1024.
// A block of 256 threads does a program at a time; it has 0 bytes of shared memory.
// Numbers in comments are lines of gelu.tile. Names that end in _ are tiledsl's own.
#include "tiledsl_cuda.cuh"

namespace {

__global__ void __launch_bounds__(256, 1) activate_kernel_(
    tdsl::In<float> x,
    tdsl::Out<float> y,
    int N
) {
  const int i_tiles = tdsl::tiles(0, N, 1024);
  const int64_t programs_ = int64_t(i_tiles);
  for (int64_t program_ = blockIdx.x; program_ < programs_; program_ += gridDim.x) {
    const int i0 = int(program_) * 1024;
    const int i_len = tdsl::minimum(1024, N - i0);
    // 10: y[i] = gelu(x[i])
    for (int i_i = int(threadIdx.x); i_i < i_len; i_i += 256) {
      const int i = i0 + i_i;
      const float x_1 = x[i];
      const float v2 = 0.5f * x_1;
      const float v3 = x_1 * 0.70710677f;
      const float v4 = erff(v3);
      const float v5 = 1.0f + v4;
      const float v6 = v2 * v5;
      y[i] = v6;
    }
  }
}

}  // namespace

// Launch activate on a stream. Returns 0, the number of a condition that does not hold
// (tiledsl_activate_message tells it), or 1000 plus an error of CUDA.
//   x: f32[N]
//   y: f32[N]
//   size_N: the size N
extern "C" int TDSL_ENTRY(activate)(
    const float* x,
    float* y,
    int64_t size_N,
    tdsl::stream_t stream_) {
  const int N = int(size_N);
  if (!(size_N >= 0 && size_N <= 2147418112)) return 1;
  const int i_tiles = tdsl::tiles(0, N, 1024);
  const int64_t blocks_ = int64_t(i_tiles);
  if (blocks_ == 0) return 0;
  return tdsl::launch(activate_kernel_, blocks_, 256, 0, stream_,
                      tdsl::in<float>(x, int64_t(N)),
                      tdsl::out<float>(y, int64_t(N)),
                      N);
}

// What a code that the launcher returned means.
extern "C" const char* tiledsl_activate_message(int code) {
  switch (code) {
    case 1: return "the size N is negative or too large";
    default: return code >= 1000 ? "an error of CUDA: 1000 and its number" : "";
  }
}
