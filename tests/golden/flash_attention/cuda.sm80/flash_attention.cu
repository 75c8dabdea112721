// flash_attention, a kernel for cuda.sm80 that tiledsl wrote from flash_attention.tile.
//
// softmax(q @ k * scale) @ v without the matrix of scores: for each block of queries the keys go by
// once, and what was summed so far is corrected as the running maximum grows.
//
// Tile sizes: BS = 64, BL = 128.
// A block of 256 threads does a program at a time; it has 77056 bytes of shared memory.
// Numbers in comments are lines of flash_attention.tile. Names that end in _ are tiledsl's own.
#include "tiledsl_cuda.cuh"

namespace {

using acc_tile_ = tdsl::Mma<1, 8, 4, 4>;

using v3_tile_ = tdsl::Mma<2, 4, 2, 4>;

__global__ void __launch_bounds__(256, 1) flash_attention_kernel_(
    tdsl::In<tdsl::f16> q,
    tdsl::In<tdsl::f16> k,
    tdsl::In<tdsl::f16> v,
    tdsl::Out<tdsl::f16> o,
    int B,
    int H,
    int S,
    int D,
    int L,
    float scale
) {
  TDSL_SHARED_MEMORY(smem_);
  const tdsl::Shared<tdsl::f16> k_panel = tdsl::shared<tdsl::f16>(smem_, 0, 9216, "k_panel");  // f16[d, j], a chunk of it
  const tdsl::Shared<float> v3_tile = tdsl::shared<float>(smem_, 0, 8192, "v3_tile");  // f32[i, j]
  const tdsl::Shared<tdsl::f16> v_panel = tdsl::shared<tdsl::f16>(smem_, 0, 16896, "v_panel");  // f16[d, j], a chunk of it
  const tdsl::Shared<tdsl::f16> q_panel = tdsl::shared<tdsl::f16>(smem_, 18432, 4608, "q_panel");  // f16[i, d], a chunk of it
  const tdsl::Shared<float> p_tile = tdsl::shared<float>(smem_, 33792, 8192, "p_tile");  // f32[i, j]
  const tdsl::Shared<tdsl::f16> v19_panel = tdsl::shared<tdsl::f16>(smem_, 66560, 4608, "v19_panel");  // f16[i, j], a chunk of it
  const tdsl::Shared<float> top = tdsl::shared<float>(smem_, 75776, 64, "top");  // var top: f32[i]
  const tdsl::Shared<float> den = tdsl::shared<float>(smem_, 76032, 64, "den");  // var den: f32[i]
  const tdsl::Shared<float> v6_tile = tdsl::shared<float>(smem_, 76288, 64, "v6_tile");  // f32[i]
  const tdsl::Shared<float> v15_tile = tdsl::shared<float>(smem_, 76544, 64, "v15_tile");  // f32[i]
  const tdsl::Shared<float> fix_tile = tdsl::shared<float>(smem_, 76800, 64, "fix_tile");  // f32[i]

  const int b_tiles = tdsl::tiles(0, B, 1);
  const int h_tiles = tdsl::tiles(0, H, 1);
  const int i_tiles = tdsl::tiles(0, S, 64);
  const int64_t programs_ = int64_t(b_tiles) * int64_t(h_tiles) * int64_t(i_tiles);
  for (int64_t program_ = blockIdx.x; program_ < programs_; program_ += gridDim.x) {
    const int b = int(program_ / i_tiles / h_tiles);
    const int h = int(program_ / i_tiles % h_tiles);
    const int i0 = int(program_ % i_tiles) * 64;
    const int i_len = tdsl::minimum(64, S - i0);
    // 10: var acc: f32[i, d] = 0
    acc_tile_ acc;
    acc.clear();
    __syncthreads();
    // 8: var top: f32[i] = -inf
    for (int i_i = int(threadIdx.x); i_i < i_len; i_i += 256) {
      top[i_i] = -INFINITY;
      den[i_i] = 0.0f;
    }
    // 11: for j in L by BL:
    for (int j0_1 = 0; j0_1 < L; j0_1 += 128) {
      const int j_len = tdsl::minimum(128, (L - j0_1));
      // 12: s = q[b, h, i, d] @ k[b, h, j, d] * scale
      v3_tile_ v3;
      v3.clear();
      for (int d_chunk = 0; d_chunk < D; d_chunk += 64) {
        __syncthreads();
        tdsl::copy_panel<64, 64, 72, 256, tdsl::f16>(q_panel, q, ((int64_t(b) * H + h) * S + i0) * D + d_chunk, int64_t(D), i_len, D - d_chunk);
        tdsl::copy_panel<128, 64, 72, 256, tdsl::f16>(k_panel, k, ((int64_t(b) * H + h) * L + j0_1) * D + d_chunk, int64_t(D), j_len, D - d_chunk);
        __syncthreads();
        tdsl::multiply<false, false, 72, 72, tdsl::f16>(v3, q_panel, k_panel, tdsl::minimum((D - d_chunk), 64), j_len);
      }
      __syncthreads();
      #pragma unroll
      for (int i_ = 0; i_ < v3_tile_::ROWS; ++i_) {
        const int i_i = v3_tile_::row(i_);
        if (!(i_i < i_len)) continue;
        #pragma unroll
        for (int j_ = 0; j_ < v3_tile_::COLS; ++j_) {
          const int j_i = v3_tile_::col(j_);
          if (!(j_i < j_len)) continue;
          const float v3_1 = v3(i_, j_);
          v3_tile[i_i * 128 + j_i] = v3_1;
        }
      }
      __syncthreads();
      // 13: new = max(top, max(s over j))
      for (int base_ = 0; base_ < i_len; base_ += 8) {
        const int e_ = base_ + int(threadIdx.x) / 32;
        float v6_ = -INFINITY;
        if (e_ < i_len) {
          const int i_i = e_;
          for (int j_i = int(threadIdx.x) % 32; j_i < j_len; j_i += 32) {
            const float v3_1 = v3_tile[i_i * 128 + j_i];
            const float s = v3_1 * scale;
            v6_ = tdsl::Maximum::join(v6_, s);
          }
        }
        v6_ = tdsl::team<32, tdsl::Maximum>(v6_);
        if (threadIdx.x % 32 == 0 && e_ < i_len) {
          const int i_i = e_;
          v6_tile[i_i] = v6_;
        }
      }
      __syncthreads();
      // 14: p = exp(s - new)
      #pragma unroll
      for (int i_ = 0; i_ < v3_tile_::ROWS; ++i_) {
        const int i_i = v3_tile_::row(i_);
        if (!(i_i < i_len)) continue;
        const float top_5 = top[i_i];
        const float v6 = v6_tile[i_i];
        const float new_1 = tdsl::maximum(top_5, v6);
        #pragma unroll
        for (int j_ = 0; j_ < v3_tile_::COLS; ++j_) {
          const int j_i = v3_tile_::col(j_);
          if (!(j_i < j_len)) continue;
          const float v3_1 = v3(i_, j_);
          const float s = v3_1 * scale;
          const float v8 = s - new_1;
          const float p = expf(v8);
          p_tile[i_i * 128 + j_i] = p;
        }
      }
      __syncthreads();
      // 16: den = den * fix + sum(p over j)
      for (int base_ = 0; base_ < i_len; base_ += 8) {
        const int e_ = base_ + int(threadIdx.x) / 32;
        float v15_ = 0.0f;
        if (e_ < i_len) {
          const int i_i = e_;
          for (int j_i = int(threadIdx.x) % 32; j_i < j_len; j_i += 32) {
            const float p = p_tile[i_i * 128 + j_i];
            v15_ = tdsl::Sum::join(v15_, p);
          }
        }
        v15_ = tdsl::team<32, tdsl::Sum>(v15_);
        if (threadIdx.x % 32 == 0 && e_ < i_len) {
          const int i_i = e_;
          v15_tile[i_i] = v15_;
        }
      }
      // 15: fix = exp(top - new)
      for (int i_i = int(threadIdx.x); i_i < i_len; i_i += 256) {
        const float top_5 = top[i_i];
        const float v6 = v6_tile[i_i];
        const float new_1 = tdsl::maximum(top_5, v6);
        const float v11 = top_5 - new_1;
        const float fix = expf(v11);
        fix_tile[i_i] = fix;
      }
      __syncthreads();
      // 17: acc = acc * fix + T(p) @ v[b, h, j, d]
      #pragma unroll
      for (int i_ = 0; i_ < acc_tile_::ROWS; ++i_) {
        const int i_i = acc_tile_::row(i_);
        if (!(i_i < i_len)) continue;
        const float fix = fix_tile[i_i];
        #pragma unroll
        for (int j_ = 0; j_ < acc_tile_::COLS; ++j_) {
          const int d = acc_tile_::col(j_);
          if (!(d < D)) continue;
          const float acc_17 = acc(i_, j_);
          const float v18 = acc_17 * fix;
          acc(i_, j_) = v18;
        }
      }
      // 17: acc = acc * fix + T(p) @ v[b, h, j, d]
      for (int j_chunk = 0; j_chunk < j_len; j_chunk += 64) {
        __syncthreads();
        for (int e_ = int(threadIdx.x); e_ < 4096; e_ += 256) {
          const int row_ = e_ / 64, col_ = e_ % 64;
          const int i_i = row_;
          const int j_i = col_ + j_chunk;
          float staged_ = 0.0f;
          if (i_i < i_len && j_i < j_len) {
            const float p = p_tile[i_i * 128 + j_i];
            const float v19 = tdsl::cast<tdsl::f16>(p);
            staged_ = v19;
          }
          v19_panel[row_ * 72 + col_] = staged_;
        }
        tdsl::copy_panel<64, 256, 264, 256, tdsl::f16>(v_panel, v, ((int64_t(b) * H + h) * L + (j0_1 + j_chunk)) * D, int64_t(D), j_len - j_chunk, D);
        __syncthreads();
        tdsl::multiply<false, true, 72, 264, tdsl::f16>(acc, v19_panel, v_panel, tdsl::minimum((j_len - j_chunk), 64), D);
      }
      // 16: den = den * fix + sum(p over j)
      for (int i_i = int(threadIdx.x); i_i < i_len; i_i += 256) {
        const float den_13 = den[i_i];
        const float fix = fix_tile[i_i];
        const float v14 = den_13 * fix;
        const float v15 = v15_tile[i_i];
        const float v16 = v14 + v15;
        const float top_5 = top[i_i];
        const float v6 = v6_tile[i_i];
        const float new_1 = tdsl::maximum(top_5, v6);
        den[i_i] = v16;
        top[i_i] = new_1;
      }
    }
    __syncthreads();
    // 19: o[b, h, i, d] = acc / den
    #pragma unroll
    for (int i_ = 0; i_ < acc_tile_::ROWS; ++i_) {
      const int i_i = acc_tile_::row(i_);
      if (!(i_i < i_len)) continue;
      const int i = i0 + i_i;
      const float den_24 = den[i_i];
      #pragma unroll
      for (int j_ = 0; j_ < acc_tile_::COLS; ++j_) {
        const int d = acc_tile_::col(j_);
        if (!(d < D)) continue;
        const float acc_23 = acc(i_, j_);
        const float v25 = acc_23 / den_24;
        const float v26 = tdsl::cast<tdsl::f16>(v25);
        o[((int64_t(b) * H + h) * S + i) * D + d] = v26;
      }
    }
  }
}

}  // namespace

// Launch flash_attention on a stream. Returns 0, the number of a condition that does not hold
// (tiledsl_flash_attention_message tells it), or 1000 plus an error of CUDA.
//   q: f16[B, H, S, D]
//   k: f16[B, H, L, D]
//   v: f16[B, H, L, D]
//   o: f16[B, H, S, D]
//   size_B: the size B
//   size_H: the size H
//   size_S: the size S
//   size_D: the size D
//   size_L: the size L
//   scale: f32 scale
extern "C" int TDSL_ENTRY(flash_attention)(
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
    tdsl::stream_t stream_) {
  const int B = int(size_B);
  const int H = int(size_H);
  const int S = int(size_S);
  const int D = int(size_D);
  const int L = int(size_L);
  if (!(size_B >= 0 && size_B <= 2147418112)) return 1;
  if (!(size_H >= 0 && size_H <= 2147418112)) return 2;
  if (!(size_S >= 0 && size_S <= 2147418112)) return 3;
  if (!(size_D >= 0 && size_D <= 2147418112)) return 4;
  if (!(size_L >= 0 && size_L <= 2147418112)) return 5;
  if (!(D <= 256)) return 6;
  const int b_tiles = tdsl::tiles(0, B, 1);
  const int h_tiles = tdsl::tiles(0, H, 1);
  const int i_tiles = tdsl::tiles(0, S, 64);
  const int64_t blocks_ = int64_t(b_tiles) * int64_t(h_tiles) * int64_t(i_tiles);
  if (blocks_ == 0) return 0;
  return tdsl::launch(flash_attention_kernel_, blocks_, 256, 77056, stream_,
                      tdsl::in<tdsl::f16>(q, int64_t(B) * int64_t(H) * int64_t(S) * int64_t(D)),
                      tdsl::in<tdsl::f16>(k, int64_t(B) * int64_t(H) * int64_t(L) * int64_t(D)),
                      tdsl::in<tdsl::f16>(v, int64_t(B) * int64_t(H) * int64_t(L) * int64_t(D)),
                      tdsl::out<tdsl::f16>(o, int64_t(B) * int64_t(H) * int64_t(S) * int64_t(D)),
                      B,
                      H,
                      S,
                      D,
                      L,
                      scale);
}

// What a code that the launcher returned means.
extern "C" const char* tiledsl_flash_attention_message(int code) {
  switch (code) {
    case 1: return "the size B is negative or too large";
    case 2: return "the size H is negative or too large";
    case 3: return "the size S is negative or too large";
    case 4: return "the size D is negative or too large";
    case 5: return "the size L is negative or too large";
    case 6: return "it must hold that D <= 256";
    default: return code >= 1000 ? "an error of CUDA: 1000 and its number" : "";
  }
}
