// Scalar arithmetic as the tile language means it: rounding, division, casts, NaN.
#ifndef TILEDSL_SCALAR_H
#define TILEDSL_SCALAR_H

#include <cstdint>

#ifdef __aicore__
#define TDSL_FN __aicore__ inline
#else
#define TDSL_FN inline
#endif

namespace tdsl {

constexpr float kInf = __builtin_huge_valf();
constexpr float kNan = __builtin_nanf("");

template <bool kChoice, typename A, typename B> struct Choose { using Type = A; };
template <typename A, typename B> struct Choose<false, A, B> { using Type = B; };

// The type in which numbers of types A and B meet: the wider; the float of a float and an integer.
template <typename A, typename B> struct Common { using Type = decltype(A() + B()); };

template <typename T> struct Limits;
template <> struct Limits<int8_t> { static constexpr int64_t kLow = -128, kHigh = 127; };
template <> struct Limits<int16_t> { static constexpr int64_t kLow = -32768, kHigh = 32767; };
template <> struct Limits<int32_t> { static constexpr int64_t kLow = -2147483648LL, kHigh = 2147483647LL; };
template <> struct Limits<int64_t> { static constexpr int64_t kLow = INT64_MIN, kHigh = INT64_MAX; };
template <> struct Limits<uint8_t> { static constexpr int64_t kLow = 0, kHigh = 255; };
template <> struct Limits<uint16_t> { static constexpr int64_t kLow = 0, kHigh = 65535; };
template <> struct Limits<uint32_t> { static constexpr int64_t kLow = 0, kHigh = 4294967295LL; };

// ---- rounding -----------------------------------------------------------------------------------

// From 2^23 on every float is whole; NaN is returned as it is.
TDSL_FN float Trunc(float x) {
    return x > -8388608.0f && x < 8388608.0f ? float(int32_t(x)) : x;
}
TDSL_FN float Floor(float x) {
    const float whole = Trunc(x);
    return whole > x ? whole - 1.0f : whole;
}
TDSL_FN float Ceil(float x) {
    const float whole = Trunc(x);
    return whole < x ? whole + 1.0f : whole;
}
TDSL_FN float Rint(float x) {
    const float low = Floor(x), rest = x - low;
    const float half = low * 0.5f;
    const bool even = Floor(half) == half;
    return rest > 0.5f || (rest == 0.5f && !even) ? low + 1.0f : low;
}

// ---- division, smaller and larger ---------------------------------------------------------------

// Division by zero gives 0, and its remainder the dividend.
template <typename A, typename B> TDSL_FN typename Common<A, B>::Type FloorDiv(A a, B b) {
    using T = typename Common<A, B>::Type;
    const T x = a, y = b;
    if (y == 0) return 0;
    if (y == T(-1) && T(-1) < 0) return T(0 - uint64_t(x));  // the lowest number has no opposite
    const T q = x / y;
    return q * y != x && ((x < 0) != (y < 0)) ? q - 1 : q;
}
TDSL_FN float FloorDiv(float a, float b) { return Floor(a / b); }

template <typename A, typename B> TDSL_FN typename Common<A, B>::Type FloorMod(A a, B b) {
    return a - FloorDiv(a, b) * b;
}
TDSL_FN float FloorMod(float a, float b) { return a - b * Floor(a / b); }

template <typename A, typename B> TDSL_FN typename Common<A, B>::Type Min(A a, B b) {
    using T = typename Common<A, B>::Type;
    const T x = a, y = b;
    return x != x ? x : y != y ? y : x < y ? x : y;
}
template <typename A, typename B> TDSL_FN typename Common<A, B>::Type Max(A a, B b) {
    using T = typename Common<A, B>::Type;
    const T x = a, y = b;
    return x != x ? x : y != y ? y : x > y ? x : y;
}
template <typename T> TDSL_FN T Abs(T x) { return x < 0 ? -x : x; }
template <typename T> TDSL_FN T Sign(T x) { return x > 0 ? T(1) : x < 0 ? T(-1) : x; }
TDSL_FN bool IsNan(float x) { return x != x; }
TDSL_FN bool IsInf(float x) { return x == kInf || x == -kInf; }

TDSL_FN int64_t Pow(int64_t base, int64_t exponent) {
    if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent % 2 == 0 ? 1 : -1) : 0;
    int64_t result = 1;
    for (; exponent > 0; exponent >>= 1, base *= base)
        if (exponent & 1) result *= base;
    return result;
}

// ---- bits ---------------------------------------------------------------------------------------

template <typename T> TDSL_FN T Shl(T x, int64_t by) {
    return by < 0 || by >= int64_t(sizeof(T)) * 8 ? T(0) : T(uint64_t(x) << by);
}
template <typename T> TDSL_FN T Shr(T x, int64_t by) {
    const int64_t most = int64_t(sizeof(T)) * 8 - 1;
    return T(x >> (by < 0 ? 0 : by > most ? most : by));
}
template <typename T> TDSL_FN int32_t Popcount(T x) {
    uint64_t bits = sizeof(T) < 8 ? uint64_t(x) & ((uint64_t(1) << (sizeof(T) * 8 % 64)) - 1) : uint64_t(x);
    int32_t n = 0;
    for (; bits != 0; bits &= bits - 1) ++n;
    return n;
}

// ---- casts --------------------------------------------------------------------------------------

// To an integer: floats truncate, and what does not fit saturates; NaN becomes 0.
template <typename T, typename U> TDSL_FN T Saturate(U whole) {
    const int64_t x = int64_t(whole);
    return x < Limits<T>::kLow ? T(Limits<T>::kLow) : x > Limits<T>::kHigh ? T(Limits<T>::kHigh) : T(x);
}
template <typename T> TDSL_FN T Saturate(float x) {
    if (x != x) return T(0);
    if (x >= 9223372036854775807.0f) return T(Limits<T>::kHigh);
    if (x <= -9223372036854775807.0f) return T(Limits<T>::kLow);
    return Saturate<T>(int64_t(x));
}
// Dropping high bits.
template <typename T, typename U> TDSL_FN T Wrap(U x) { return T(uint64_t(int64_t(x))); }

template <typename T, typename U> TDSL_FN T Bitcast(U x) {
    static_assert(sizeof(T) == sizeof(U), "a bitcast keeps the width");
    union {
        U from;
        T to;
    } both = {x};
    return both.to;
}

// ---- 8-bit floats, which no unit computes on ----------------------------------------------------

// What a code of kMantissa bits and an exponent of bias kBias stands for.
template <int32_t kMantissa, int32_t kBias> TDSL_FN float FromF8(int32_t code) {
    const int32_t size = code & 127, infinity = kMantissa == 2 ? 124 : 127;
    const float sign = (code & 128) != 0 ? -1.0f : 1.0f;
    if (size >= infinity) return size == 124 ? sign * kInf : kNan;
    if (size >> kMantissa != 0)
        return sign * Bitcast<float>((size << (23 - kMantissa)) + ((127 - kBias) << 23));
    return sign * float(size) * Bitcast<float>((128 - kBias - kMantissa) << 23);
}
// Rounded to the nearest number with so many bits behind the first, ties to even.
template <int32_t kMantissa, int32_t kBias> TDSL_FN float RoundTo(float x) {
    const int32_t bits = Bitcast<int32_t>(x), least = (128 - kBias) << 23, power = bits & 0x7f800000;
    // Adding this leaves what the type holds of a number with such an exponent.
    const float large = Bitcast<float>(power > least ? power : least) * (1.5f * float(1 << (23 - kMantissa)));
    const float near = (x + large) - large;
    return Bitcast<float>(Bitcast<int32_t>(near) | (bits & (-2147483647 - 1)));
}
// What is beyond saturates, infinities too.
template <int32_t kMantissa, int32_t kBias> TDSL_FN float RoundToF8(float x) {
    constexpr float top = kMantissa == 2 ? 57344.0f : 448.0f;
    return x != x ? x : RoundTo<kMantissa, kBias>(x > top ? top : x < -top ? -top : x);
}
TDSL_FN float RoundToHalf(float x) {
    if (x != x) return x;
    return x >= 65520.0f ? kInf : x <= -65520.0f ? -kInf : RoundTo<10, 15>(x);
}
TDSL_FN float RoundToBfloat16(float x) {
    const uint32_t bits = Bitcast<uint32_t>(x);
    return x != x ? x : Bitcast<float>((bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u);
}

}  // namespace tdsl

#endif
