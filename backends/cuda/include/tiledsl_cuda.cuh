// tiledsl_cuda.cuh: the leaf operations of kernels that tiledsl writes. C++17.
//
// nvcc compiles it for compute capability 8.0 and later. With TDSL_HOST defined, g++ compiles the
// same kernels against a model of a GPU (tiledsl_host.h), and they run on the CPU.
//
// Arithmetic on f16, bf16 and f8 happens in float: these types are storage, converted when a value
// is read or written.
#pragma once

#if defined(TDSL_HOST)
#include "tiledsl_host.h"
#else
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#define TDSL_DEVICE static __device__ __forceinline__
#define TDSL_BOTH static __host__ __device__ __forceinline__
#define TDSL_MEMBER __host__ __device__ __forceinline__
#define TDSL_TABLE static __device__ const
#define TDSL_ENTRY(name) tiledsl_##name
#define TDSL_SHARED_MEMORY(name) extern __shared__ __align__(128) unsigned char name[]
#endif

namespace tdsl {

// ---- assertions ---------------------------------------------------------------------------------

// Print a line and end the launch.
#if defined(TDSL_HOST)
static inline void trap(const char* line) {
  printf("%s", line);
  host::trap(line);
}
#else
TDSL_DEVICE void trap(const char* line) {
  printf("%s", line);
  __trap();
}
#endif

// ---- bits ---------------------------------------------------------------------------------------

template <class To, class From> TDSL_BOTH To bits_as(From x) {
  static_assert(sizeof(To) == sizeof(From), "another width");
  union Both {
    From from;
    To to;
    TDSL_MEMBER Both(From x) : from(x) {}
  };
  return Both(x).to;
}

// Round to a float type of `MAN` mantissa bits and exponent bias `BIAS`, nearest even. `TOP` is the
// code of the largest number, `OVER` that of what lies beyond: infinity, or TOP again.
template <int MAN, int BIAS, uint32_t TOP, uint32_t OVER, uint32_t NOT_A_NUMBER>
TDSL_BOTH uint32_t encode(float x) {
  const uint32_t bits = bits_as<uint32_t>(x);
  const uint32_t magnitude = bits & 0x7fffffffu;
  const uint32_t least = uint32_t(128 - BIAS) << 23;  // the least normal number
  uint32_t code;
  if (magnitude > 0x7f800000u) return NOT_A_NUMBER;
  if (magnitude < least) {
    // Adding a number whose last place is the least subnormal rounds to it.
    const float magic = bits_as<float>(uint32_t(127 - BIAS + 24 - MAN) << 23);
    code = bits_as<uint32_t>(bits_as<float>(magnitude) + magic) - bits_as<uint32_t>(magic);
  } else {
    const uint32_t odd = (magnitude >> (23 - MAN)) & 1u;
    code = (magnitude + (1u << (22 - MAN)) - 1u + odd) >> (23 - MAN);
    code -= uint32_t(127 - BIAS) << MAN;
    if (code > TOP) code = OVER;
  }
  return code;
}

// ---- storage types ------------------------------------------------------------------------------

struct f16 {
  uint16_t bits;
  f16() = default;
  TDSL_MEMBER f16(float x) {
#if defined(__CUDA_ARCH__)
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
#else
    bits = uint16_t(encode<10, 15, 0x7bffu, 0x7c00u, 0x7e00u>(x) |
                    (bits_as<uint32_t>(x) >> 16 & 0x8000u));
#endif
  }
  TDSL_MEMBER operator float() const {
#if defined(__CUDA_ARCH__)
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
#else
    const uint32_t sign = uint32_t(bits & 0x8000u) << 16, rest = bits & 0x7fffu;
    if (rest >= 0x7c00u) return bits_as<float>(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
    // Scaling by a power of two makes subnormals right.
    return bits_as<float>(sign | bits_as<uint32_t>(bits_as<float>(rest << 13) * 0x1p112f));
#endif
  }
};

struct bf16 {
  uint16_t bits;
  bf16() = default;
  TDSL_MEMBER bf16(float x) {
    const uint32_t u = bits_as<uint32_t>(x);
    bits = (u & 0x7fffffffu) > 0x7f800000u ? uint16_t(0x7fc0u | (u >> 16 & 0x8000u))
                                           : uint16_t((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
  }
  TDSL_MEMBER operator float() const { return bits_as<float>(uint32_t(bits) << 16); }
};

struct f8e4m3 {
  uint8_t bits;
  f8e4m3() = default;
  TDSL_MEMBER f8e4m3(float x) {
    bits = uint8_t(encode<3, 7, 0x7eu, 0x7eu, 0x7fu>(x) | (bits_as<uint32_t>(x) >> 24 & 0x80u));
  }
  TDSL_MEMBER operator float() const {
    const uint32_t sign = uint32_t(bits & 0x80u) << 24, rest = bits & 0x7fu;
    if (rest == 0x7fu) return bits_as<float>(sign | 0x7fc00000u);
    return bits_as<float>(sign | bits_as<uint32_t>(bits_as<float>(rest << 20) * 0x1p120f));
  }
};

struct f8e5m2 {
  uint8_t bits;
  f8e5m2() = default;
  TDSL_MEMBER f8e5m2(float x) {
    bits = uint8_t(encode<2, 15, 0x7bu, 0x7cu, 0x7eu>(x) | (bits_as<uint32_t>(x) >> 24 & 0x80u));
  }
  TDSL_MEMBER operator float() const {
    f16 wide;
    wide.bits = uint16_t(uint16_t(bits) << 8);
    return wide;
  }
};

// Integers of 4 bits: registers and shared memory have a byte for each, tensors one for two.
struct i4 {
  int8_t value;
  i4() = default;
  TDSL_MEMBER i4(int x) : value(int8_t(((x & 15) ^ 8) - 8)) {}
  TDSL_MEMBER operator int8_t() const { return value; }
};
struct u4 {
  uint8_t value;
  u4() = default;
  TDSL_MEMBER u4(int x) : value(uint8_t(x & 15)) {}
  TDSL_MEMBER operator uint8_t() const { return value; }
};

// What a register holds of a type; whether its numbers are floats; the largest where casts saturate.
template <class T> struct Type {
  using Value = T;
  static constexpr bool floats = false;
};
template <class V> struct Float {
  using Value = V;
  static constexpr bool floats = true;
  static constexpr float top = 0.0f;
};
template <> struct Type<f16> : Float<float> {};
template <> struct Type<bf16> : Float<float> {};
template <> struct Type<float> : Float<float> {};
template <> struct Type<double> : Float<double> {};
template <> struct Type<f8e4m3> : Float<float> { static constexpr float top = 448.0f; };
template <> struct Type<f8e5m2> : Float<float> { static constexpr float top = 57344.0f; };
template <> struct Type<i4> { using Value = int8_t; static constexpr bool floats = false; };
template <> struct Type<u4> { using Value = uint8_t; static constexpr bool floats = false; };
template <class T> using Value = typename Type<T>::Value;

template <class A, class B> constexpr bool same = false;
template <class A> constexpr bool same<A, A> = true;
template <bool FIRST, class A, class B> struct Either { using type = A; };
template <class A, class B> struct Either<false, A, B> { using type = B; };

// ---- casts --------------------------------------------------------------------------------------

template <class T> struct Integer {
  static constexpr bool is_signed = T(-1) < T(0);
  static constexpr int bits = int(sizeof(T)) * 8 - is_signed;
  static constexpr int64_t low = is_signed ? -(int64_t(1) << (bits - 1)) * 2 : 0;
  static constexpr int64_t high = (((int64_t(1) << (bits - 1)) - 1) << 1) + 1;
};

template <> struct Integer<i4> { static constexpr int64_t low = -8, high = 7; };
template <> struct Integer<u4> { static constexpr int64_t low = 0, high = 15; };

// Cast: floats round to nearest even; integers saturate, a fraction is dropped, NaN gives 0.
template <class T, class S> TDSL_BOTH Value<T> cast(S x) {
  if constexpr (Type<T>::floats) {
    if constexpr (sizeof(T) == 1) {  // f8 saturates, infinities too
      const float y = float(x), top = Type<T>::top;
      return Value<T>(T(y > top ? top : y < -top ? -top : y));
    } else if constexpr (sizeof(T) == 2) {
      return Value<T>(T(float(x)));
    } else {
      return Value<T>(x);
    }
  } else if constexpr (same<T, bool>) {
    return x != S(0);
  } else if constexpr (Type<S>::floats) {
    const S above = S(uint64_t(Integer<T>::high) / 2 + 1) * S(2);  // the first number too large
    if (x != x) return T(0);
    if (x >= above) return T(Integer<T>::high);
    if (x < S(Integer<T>::low)) return T(Integer<T>::low);
    return T(x);
  } else {
    const int64_t y = int64_t(x);
    if (y < Integer<T>::low) return T(Integer<T>::low);
    if (y > Integer<T>::high) return T(Integer<T>::high);
    return T(y);
  }
}

// Cast to an integer by dropping high bits.
template <class T, class S> TDSL_BOTH Value<T> wrap(S x) {
  if constexpr (Type<S>::floats) return T(cast<int64_t>(x));
  else return T(x);
}

// The same bits as another type; `x` in the form in which memory holds it.
template <class T, class S> TDSL_BOTH Value<T> bitcast(S x) {
  if constexpr (same<T, i4> || same<T, u4>) return T(x);
  else return Value<T>(bits_as<T>(x));
}

// ---- arithmetic ---------------------------------------------------------------------------------

// The smaller and the larger; NaN is passed on.
template <class T> TDSL_BOTH T minimum(T a, T b) {
  if constexpr (Type<T>::floats) return a != a ? a : b != b ? b : b < a ? b : a;
  else return b < a ? b : a;
}
template <class T> TDSL_BOTH T maximum(T a, T b) {
  if constexpr (Type<T>::floats) return a != a ? a : b != b ? b : a < b ? b : a;
  else return a < b ? b : a;
}

template <class T> TDSL_BOTH bool negative(T x) {
  if constexpr (Integer<T>::is_signed) return x < T(0);
  else return false;
}

// Division that rounds down; by 0 it gives 0, and leaves all as remainder.
template <class T> TDSL_BOTH T floordiv(T a, T b) {
  if (b == T(0)) return T(0);
  if constexpr (Integer<T>::is_signed) {
    if (b == T(-1)) return T(0) - a;  // the lowest number wraps
    const T q = a / b;
    return q - T((a % b != T(0)) && ((a < T(0)) != (b < T(0))));
  } else {
    return a / b;
  }
}
template <class T> TDSL_BOTH T mod(T a, T b) { return a - b * floordiv(a, b); }
TDSL_BOTH float fmod_floor(float a, float b) { return a - b * floorf(a / b); }
TDSL_BOTH double fmod_floor(double a, double b) { return a - b * floor(a / b); }

// Integer power; a negative exponent gives 0, or a power of 1 or -1.
template <class T> TDSL_BOTH T ipow(T a, T b) {
  if (negative(b)) return a == T(1) ? T(1) : a == T(-1) ? (b % T(2) == T(0) ? T(1) : T(-1)) : T(0);
  T result = T(1);
  for (; b > T(0); b = T(b >> 1)) {
    if (b & T(1)) result = T(result * a);
    a = T(a * a);
  }
  return result;
}

template <class T> TDSL_BOTH T iabs(T a) { return negative(a) ? T(0) - a : a; }
template <class T> TDSL_BOTH T isign(T a) { return T(T(a > T(0)) - T(negative(a))); }
template <class T> TDSL_BOTH T sign(T x) {
  return x > T(0) ? T(1) : x < T(0) ? T(-1) : x == T(0) ? T(0) : x;
}
template <class T> TDSL_BOTH T shl(T a, T b) {
  const bool out = negative(b) || b >= T(sizeof(T) * 8);
  return out ? T(0) : T(uint64_t(a) << (out ? 0 : int(b)));
}
template <class T> TDSL_BOTH T shr(T a, T b) {
  constexpr T last = T(sizeof(T) * 8 - 1);
  return T(a >> (negative(b) ? T(0) : b > last ? last : b));
}
template <class T> TDSL_BOTH int popcount(T a) {
  uint64_t bits = uint64_t(a);
  if (sizeof(T) < 8) bits &= (uint64_t(1) << (sizeof(T) % 8 * 8)) - 1;
#if defined(__CUDA_ARCH__)
  return __popcll(bits);
#else
  return __builtin_popcountll(bits);
#endif
}

// ---- random numbers: Philox 4x32-10 (Salmon et al. 2011) of key `seed` and counter `offset` -----

template <class S, class O> TDSL_BOTH uint32_t bits(S seed, O offset) {
  const uint64_t wide_seed = uint64_t(int64_t(seed)), wide_offset = uint64_t(int64_t(offset));
  uint32_t k0 = uint32_t(wide_seed), k1 = uint32_t(wide_seed >> 32);
  uint32_t c0 = uint32_t(wide_offset), c1 = uint32_t(wide_offset >> 32), c2 = 0, c3 = 0;
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t(0xD2511F53u) * c0, p1 = uint64_t(0xCD9E8D57u) * c2;
    const uint32_t n0 = uint32_t(p1 >> 32) ^ c1 ^ k0, n2 = uint32_t(p0 >> 32) ^ c3 ^ k1;
    c1 = uint32_t(p1);
    c3 = uint32_t(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c0;
}
template <class S, class O> TDSL_BOTH float rand(S seed, O offset) {
  return float(bits(seed, offset) >> 8) * 0x1p-24f;
}

// ---- sizes --------------------------------------------------------------------------------------

// Whether `index` is one of `size` positions.
TDSL_BOTH bool inside(int index, int size) { return unsigned(index) < unsigned(size); }
// The number of tiles that cover the positions from `lo` up to `hi`.
TDSL_BOTH int tiles(int lo, int hi, int tile) {
  return hi > lo ? int((int64_t(hi) - lo + tile - 1) / tile) : 0;
}

// ---- memory -------------------------------------------------------------------------------------

#if !defined(TDSL_HOST)
template <class T> using In = const T* __restrict__;
template <class T> using Out = T* __restrict__;
template <class T> using InOut = T*;
template <class T> using Shared = T*;
template <class T> TDSL_BOTH const T* in(const void* p, int64_t) { return static_cast<const T*>(p); }
template <class T> TDSL_BOTH T* out(void* p, int64_t) { return static_cast<T*>(p); }
template <class T> TDSL_DEVICE T* shared(unsigned char* memory, int offset, int, const char*) {
  return reinterpret_cast<T*>(memory + offset);
}
#endif

// An element of 4 bits of a row that begins at byte `row`; the first of two is in the low half.
template <class T, class P> TDSL_DEVICE Value<T> half_byte(const P& bytes, int64_t row, int at) {
  return T(bytes[row + at / 2] >> (at % 2 * 4));
}
// Other threads may change the other half of the byte.
template <class P> TDSL_DEVICE void set_half_byte(const P& bytes, int64_t row, int at, int x) {
#if defined(TDSL_HOST)
  uint8_t& byte = bytes[row + at / 2];
  byte = uint8_t((byte & ~(15 << at % 2 * 4)) | (x & 15) << at % 2 * 4);
#else
  const uintptr_t byte = reinterpret_cast<uintptr_t>(bytes + row + at / 2);
  unsigned* const word = reinterpret_cast<unsigned*>(byte & ~uintptr_t(3));
  const int place = int(byte & 3) * 8 + at % 2 * 4;
  atomicAnd(word, ~(15u << place));
  atomicOr(word, unsigned(x & 15) << place);
#endif
}

// ---- atomic updates -----------------------------------------------------------------------------

#if !defined(TDSL_HOST)
template <class T, class F> TDSL_DEVICE void atomic_by_swap(T* p, F change) {
  if constexpr (sizeof(T) >= 4) {
    using Word = typename Either<sizeof(T) == 8, unsigned long long, unsigned>::type;
    Word* const word = reinterpret_cast<Word*>(p);
    Word old = *word, seen;
    do {
      seen = old;
      old = atomicCAS(word, seen, bits_as<Word>(T(change(bits_as<T>(seen)))));
    } while (old != seen);
  } else {
    // The word around it; the other elements in it keep what they have.
    using Part = typename Either<sizeof(T) == 2, uint16_t, uint8_t>::type;
    const unsigned place = unsigned(reinterpret_cast<uintptr_t>(p) & 3) * 8;
    unsigned* const word = reinterpret_cast<unsigned*>(reinterpret_cast<uintptr_t>(p) & ~uintptr_t(3));
    const unsigned mask = ((1u << (sizeof(T) * 8)) - 1u) << place;
    unsigned old = *word, seen;
    do {
      seen = old;
      const T now = T(change(bits_as<T>(Part((seen & mask) >> place))));
      old = atomicCAS(word, seen, (seen & ~mask) | (unsigned(bits_as<Part>(now)) << place));
    } while (old != seen);
  }
}
template <class T> TDSL_DEVICE void atomic_add(T& at, Value<T> x) {
  atomic_by_swap(&at, [=](Value<T> old) { return old + x; });
}
TDSL_DEVICE void atomic_add(float& at, float x) { atomicAdd(&at, x); }
TDSL_DEVICE void atomic_add(double& at, double x) { atomicAdd(&at, x); }
TDSL_DEVICE void atomic_add(int& at, int x) { atomicAdd(&at, x); }
TDSL_DEVICE void atomic_add(unsigned& at, unsigned x) { atomicAdd(&at, x); }
template <class T> TDSL_DEVICE void atomic_max(T& at, Value<T> x) {
  atomic_by_swap(&at, [=](Value<T> old) { return maximum<Value<T>>(old, x); });
}
TDSL_DEVICE void atomic_max(int& at, int x) { atomicMax(&at, x); }
template <class T> TDSL_DEVICE void atomic_min(T& at, Value<T> x) {
  atomic_by_swap(&at, [=](Value<T> old) { return minimum<Value<T>>(old, x); });
}
TDSL_DEVICE void atomic_min(int& at, int x) { atomicMin(&at, x); }
#else
template <class T> void atomic_add(T& at, Value<T> x) { at = T(Value<T>(at) + x); }
template <class T> void atomic_max(T& at, Value<T> x) { at = T(maximum<Value<T>>(at, x)); }
template <class T> void atomic_min(T& at, Value<T> x) { at = T(minimum<Value<T>>(at, x)); }
#endif

// ---- reductions ---------------------------------------------------------------------------------

struct Sum { template <class T> TDSL_DEVICE T join(T a, T b) { return a + b; } };
struct Product { template <class T> TDSL_DEVICE T join(T a, T b) { return a * b; } };
struct Maximum { template <class T> TDSL_DEVICE T join(T a, T b) { return maximum(a, b); } };
struct Minimum { template <class T> TDSL_DEVICE T join(T a, T b) { return minimum(a, b); } };
struct Any { template <class T> TDSL_DEVICE T join(T a, T b) { return a || b; } };
struct All { template <class T> TDSL_DEVICE T join(T a, T b) { return a && b; } };

// An element and its position; `at` is -1 where there is none yet.
template <class T> struct Best {
  T value;
  int at;
};
// The better of two; the lower position among equals; NaN beats all.
struct ArgMax {
  template <class T> TDSL_DEVICE Best<T> join(Best<T> a, Best<T> b) {
    if (a.at < 0 || b.at < 0) return a.at < 0 ? b : a;
    const bool nan_a = a.value != a.value, nan_b = b.value != b.value;
    if (nan_a || nan_b ? nan_a && nan_b : a.value == b.value) return a.at < b.at ? a : b;
    return nan_a || (!nan_b && b.value < a.value) ? a : b;
  }
};
struct ArgMin {
  template <class T> TDSL_DEVICE Best<T> join(Best<T> a, Best<T> b) {
    if (a.at < 0 || b.at < 0) return a.at < 0 ? b : a;
    const bool nan_a = a.value != a.value, nan_b = b.value != b.value;
    if (nan_a || nan_b ? nan_a && nan_b : a.value == b.value) return a.at < b.at ? a : b;
    return nan_a || (!nan_b && a.value < b.value) ? a : b;
  }
};

#if !defined(TDSL_HOST)
template <class T> TDSL_DEVICE T shuffle_xor(T x, int mask) {
  if constexpr (sizeof(T) < 4) return T(__shfl_xor_sync(0xffffffffu, int(x), mask));
  else return __shfl_xor_sync(0xffffffffu, x, mask);
}
template <class T> TDSL_DEVICE T shuffle_up(T x, int by) {
  if constexpr (sizeof(T) < 4) return T(__shfl_up_sync(0xffffffffu, int(x), by));
  else return __shfl_up_sync(0xffffffffu, x, by);
}
template <class T> TDSL_DEVICE T shuffle_from(T x, int lane) {
  if constexpr (sizeof(T) < 4) return T(__shfl_sync(0xffffffffu, int(x), lane));
  else return __shfl_sync(0xffffffffu, x, lane);
}
#endif
template <class T> TDSL_DEVICE Best<T> shuffle_xor(Best<T> x, int mask) {
  return Best<T>{shuffle_xor(x.value, mask), shuffle_xor(x.at, mask)};
}

// Join the values of `WIDTH` neighbouring threads; each of them gets the result. All threads of the
// block take part. `exchange` is for teams of several warps.
template <int WIDTH, class Op, class T> TDSL_DEVICE T team(T x) {
#pragma unroll
  for (int step = 1; step < WIDTH; step *= 2) x = Op::join(x, shuffle_xor(x, step));
  return x;
}
template <int WIDTH, class Op, class T> TDSL_DEVICE T team(T x, Shared<double> exchange) {
  x = team<32, Op>(x);
  T* const parts = reinterpret_cast<T*>(&exchange[0]);
  const int warp = threadIdx.x / 32;
  __syncthreads();
  if (threadIdx.x % 32 == 0) parts[warp] = x;
  __syncthreads();
  const int first = warp / (WIDTH / 32) * (WIDTH / 32);
  x = parts[first];
#pragma unroll
  for (int i = 1; i < WIDTH / 32; ++i) x = Op::join(x, parts[first + i]);
  return x;
}

// Join the values of this lane and of those below it.
template <class Op, class T> TDSL_DEVICE T scan(T x) {
#pragma unroll
  for (int step = 1; step < 32; step *= 2) {
    const T before = shuffle_up(x, step);
    if (int(threadIdx.x % 32) >= step) x = Op::join(before, x);
  }
  return x;
}

// Whether `a` at position `i` stands before `b` at `j` in ascending order; NaN comes last.
template <class T> TDSL_DEVICE bool before(T a, int i, T b, int j) {
  const bool nan_a = a != a, nan_b = b != b;
  if (nan_a || nan_b) return nan_a && nan_b ? i < j : nan_b;
  return a < b || (a == b && i < j);
}
// The same in descending order; the lower position is still first among equals.
template <class T> TDSL_DEVICE bool before_down(T a, int i, T b, int j) {
  const bool nan_a = a != a, nan_b = b != b;
  if (nan_a || nan_b) return nan_a && nan_b ? i < j : nan_a;
  return b < a || (a == b && i < j);
}

// ---- panels -------------------------------------------------------------------------------------

#if !defined(TDSL_HOST)
template <class T> TDSL_DEVICE void move_16_bytes(T* to, const T* from) {
  *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(from);
}
template <class T> TDSL_DEVICE bool is_aligned(const T* p, int64_t first) {
  return reinterpret_cast<uintptr_t>(p + first) % 16 == 0;
}
#endif

// Copy rows of a tensor, `stride` apart from element `first` on, into a ROWS x COLS panel. Beyond
// `rows` and `cols` the panel gets 0. Where all is aligned, 16 bytes go at a time.
template <int ROWS, int COLS, int PITCH, int THREADS, class T, class P>
TDSL_DEVICE void copy_panel(Shared<T> panel, P from, int64_t first, int64_t stride, int rows, int cols) {
  constexpr int PACK = 16 / int(sizeof(T));
  if constexpr (COLS % PACK == 0 && PITCH % PACK == 0) {
    if (stride % PACK == 0 && is_aligned(from, first)) {
      constexpr int PACKS = COLS / PACK, COUNT = ROWS * PACKS, BATCH = 4;
      struct alignas(16) Pack { T elements[PACK]; };
      for (int base = 0; base < COUNT; base += BATCH * THREADS) {
        Pack packs[BATCH];
#pragma unroll
        for (int b = 0; b < BATCH; ++b) {  // all loads before the first store
          const int e = base + b * THREADS + int(threadIdx.x);
          const int row = e / PACKS, col = e % PACKS * PACK;
          const int64_t place = first + row * stride + col;
          if (row < rows && col + PACK <= cols && e < COUNT) {
            move_16_bytes(packs[b].elements, &from[place]);
          } else {
#pragma unroll
            for (int i = 0; i < PACK; ++i)
              packs[b].elements[i] = row < rows && col + i < cols && e < COUNT ? T(from[place + i]) : T(0.0f);
          }
        }
#pragma unroll
        for (int b = 0; b < BATCH; ++b) {
          const int e = base + b * THREADS + int(threadIdx.x);
          if (e < COUNT) move_16_bytes(&panel[e / PACKS * PITCH + e % PACKS * PACK], packs[b].elements);
        }
      }
      return;
    }
  }
#pragma unroll 4
  for (int e = threadIdx.x; e < ROWS * COLS; e += THREADS) {
    const int row = e / COLS, col = e % COLS;
    panel[row * PITCH + col] = row < rows && col < cols ? T(from[first + row * stride + col]) : T(0.0f);
  }
}

// ---- products -----------------------------------------------------------------------------------

#if !defined(TDSL_HOST)
// Four 8x8 matrices of 16-bit elements; lane 8 i + j gives the address of row j of matrix i.
TDSL_DEVICE void load_matrices(uint32_t (&r)[4], const void* row) {
  const uint32_t address = uint32_t(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}
TDSL_DEVICE void load_transposed(uint32_t (&r)[4], const void* row) {
  const uint32_t address = uint32_t(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}
// d += a b for a 16x16, b 16x8.
template <class T>
TDSL_DEVICE void mma_16x8x16(float* d, const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  if constexpr (same<T, f16>) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
}
#endif

// Accumulators of tensor cores. Warp (a, b) of HIGH x WIDE has the 16-row slabs a, a + HIGH, …
// and the 16-column slabs b, b + WIDE, …: M fragments of 16 rows and N of 8 columns.
template <int HIGH, int WIDE, int M, int N> struct Mma {
  static constexpr int ROWS = 2 * M, COLS = 2 * N;
  float v[M * N * 4];
  TDSL_DEVICE int row(int i) {
    return ((i / 2) * HIGH + int(threadIdx.x) / 32 / WIDE) * 16 + i % 2 * 8 + int(threadIdx.x) % 32 / 4;
  }
  TDSL_DEVICE int col(int j) {
    return (j / 4 * WIDE + int(threadIdx.x) / 32 % WIDE) * 16 + j / 2 % 2 * 8 +
           int(threadIdx.x) % 4 * 2 + j % 2;
  }
  TDSL_MEMBER float& operator()(int i, int j) {
    return v[((i / 2) * N + j / 2) * 4 + i % 2 * 2 + j % 2];
  }
  TDSL_MEMBER void clear() {
#pragma unroll
    for (int e = 0; e < M * N * 4; ++e) v[e] = 0.0f;
  }
};

// acc += a b. `a` lies as rows x depth, or as depth x rows where A_BY_DEPTH; `b` as cols x depth, or
// depth x cols where B_BY_DEPTH; PITCH elements a row. `depth` columns of the product's sum, up to
// the next multiple of 16; `cols` columns of the result.
template <bool A_BY_DEPTH, bool B_BY_DEPTH, int PITCH_A, int PITCH_B, class T, int HIGH, int WIDE, int M, int N>
TDSL_DEVICE void multiply(Mma<HIGH, WIDE, M, N>& acc, Shared<T> a, Shared<T> b, int depth, int cols) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int row0 = warp / WIDE * 16, col0 = warp % WIDE * 16;
  for (int k = 0; k < depth; k += 16) {
    uint32_t fa[M][4];
#pragma unroll
    for (int i = 0; i < M; ++i) {
      const int row = row0 + i * HIGH * 16;
      if constexpr (A_BY_DEPTH)
        load_transposed(fa[i], &a[(k + lane % 8 + lane / 16 * 8) * PITCH_A + row + lane / 8 % 2 * 8]);
      else
        load_matrices(fa[i], &a[(row + lane % 16) * PITCH_A + k + lane / 16 * 8]);
    }
#pragma unroll
    for (int j = 0; j < N / 2; ++j) {
      const int col = col0 + j * WIDE * 16;
      if (col < cols) {
        uint32_t fb[4];
        if constexpr (B_BY_DEPTH)
          load_transposed(fb, &b[(k + lane % 16) * PITCH_B + col + lane / 16 * 8]);
        else
          load_matrices(fb, &b[(col + lane % 8 + lane / 16 * 8) * PITCH_B + k + lane / 8 % 2 * 8]);
#pragma unroll
        for (int i = 0; i < M; ++i) {
          mma_16x8x16<T>(&acc.v[(i * N + 2 * j) * 4], fa[i], fb[0], fb[1]);
          mma_16x8x16<T>(&acc.v[(i * N + 2 * j + 1) * 4], fa[i], fb[2], fb[3]);
        }
      }
    }
  }
}

// Accumulators of plain multiply-adds: thread (a, b) of HIGH x WIDE has M rows from a on, HIGH
// apart, and N columns from b on, WIDE apart.
template <class T, int HIGH, int WIDE, int M, int N> struct Fma {
  static constexpr int ROWS = M, COLS = N;
  T v[M * N];
  TDSL_DEVICE int row(int i) { return int(threadIdx.x) / WIDE + i * HIGH; }
  TDSL_DEVICE int col(int j) { return int(threadIdx.x) % WIDE + j * WIDE; }
  TDSL_MEMBER T& operator()(int i, int j) { return v[i * N + j]; }
  TDSL_MEMBER void clear() {
#pragma unroll
    for (int e = 0; e < M * N; ++e) v[e] = T(0);
  }
};

template <bool A_BY_DEPTH, bool B_BY_DEPTH, int PITCH_A, int PITCH_B, class S, class T, int HIGH, int WIDE, int M, int N>
TDSL_DEVICE void multiply(Fma<T, HIGH, WIDE, M, N>& acc, Shared<S> a, Shared<S> b, int depth, int) {
  using Acc = Fma<T, HIGH, WIDE, M, N>;
  for (int k = 0; k < depth; ++k) {
    T fa[M], fb[N];
#pragma unroll
    for (int i = 0; i < M; ++i) fa[i] = T(a[A_BY_DEPTH ? k * PITCH_A + Acc::row(i) : Acc::row(i) * PITCH_A + k]);
#pragma unroll
    for (int j = 0; j < N; ++j) fb[j] = T(b[B_BY_DEPTH ? k * PITCH_B + Acc::col(j) : Acc::col(j) * PITCH_B + k]);
#pragma unroll
    for (int i = 0; i < M; ++i)
#pragma unroll
      for (int j = 0; j < N; ++j) acc.v[i * N + j] += fa[i] * fb[j];
  }
}

// ---- launches -----------------------------------------------------------------------------------

#if !defined(TDSL_HOST)
using stream_t = cudaStream_t;

// Blocks for a kernel that deals its programs out itself: a few for each multiprocessor.
inline unsigned resident_blocks() {
  int device = 0, processors = 1;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  return unsigned(processors) * 4;
}

// Launch; return 0, or 1000 and the error of CUDA.
template <class... P, class... A>
int launch(void (*kernel)(P...), int64_t blocks, int threads, int shared, stream_t stream, A... args) {
  if (shared > 48 * 1024) {
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared);
    if (error != cudaSuccess) return 1000 + int(error);
  }
  kernel<<<unsigned(blocks < 0x7fffffff ? blocks : 0x7fffffff), threads, shared, stream>>>(args...);
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? 0 : 1000 + int(error);
}
#endif

}  // namespace tdsl
