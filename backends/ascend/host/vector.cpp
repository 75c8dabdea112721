// The vector unit: element-wise instructions, comparisons and selections.
#include <cmath>
#include <cstring>
#include <limits>

#include "state.h"

namespace ascend_model {
namespace {

using half = _Float16;

constexpr int64_t kRepeatBytes = 256;

template <typename T> T FromBits(uint64_t bits) {
    T value;
    std::memcpy(&value, &bits, sizeof(T));
    return value;
}

// ---- which types an instruction takes -----------------------------------------------------------

constexpr uint32_t Bit(Type t) { return 1u << int(t); }
constexpr uint32_t kFloats = Bit(Type::kF16) | Bit(Type::kF32);
constexpr uint32_t kArithmetic = kFloats | Bit(Type::kI16) | Bit(Type::kI32);
constexpr uint32_t kWords = Bit(Type::kI16) | Bit(Type::kU16);
constexpr uint32_t kMoved = kArithmetic | Bit(Type::kBf16) | Bit(Type::kU16) | Bit(Type::kU32);

uint32_t TypesOf(Op op) {
    switch (op) {
        case Op::kAdd: case Op::kSub: case Op::kMul: case Op::kMax: case Op::kMin:
        case Op::kAdds: case Op::kMuls: case Op::kMaxs: case Op::kMins: return kArithmetic;
        case Op::kDiv: case Op::kExp: case Op::kLn: case Op::kSqrt: case Op::kAbs: return kFloats;
        case Op::kRelu: return kFloats | Bit(Type::kI32);
        case Op::kAnd: case Op::kOr: case Op::kNot: return kWords;
        case Op::kShiftLeft: case Op::kShiftRight:
            return kWords | Bit(Type::kI32) | Bit(Type::kU32);
        case Op::kDuplicate: return kMoved;
        case Op::kCast: return ~0u;
    }
    return 0;
}

// The casts of each chip, with whether CAST_NONE is all that one takes or what it refuses.
enum class Mode { kNo, kNoneOnly, kNotNone, kAny };
Mode UnifiedCastMode(Type to, Type from) {
    auto is = [&](Type f, Type t) { return from == f && to == t; };
    if (is(Type::kF16, Type::kF32) || is(Type::kF32, Type::kF16) || is(Type::kI32, Type::kF32) ||
        is(Type::kI8, Type::kF16) || is(Type::kU8, Type::kF16) || is(Type::kI16, Type::kF16) ||
        is(Type::kI32, Type::kI16))
        return Mode::kNoneOnly;
    if (is(Type::kF32, Type::kI32) || is(Type::kF16, Type::kI32)) return Mode::kNotNone;
    return is(Type::kF16, Type::kI8) || is(Type::kF16, Type::kU8) ? Mode::kAny : Mode::kNo;
}
Mode CastMode(Type to, Type from) {
    if (Unified()) return UnifiedCastMode(to, from);
    auto is = [&](Type f, Type t) { return from == f && to == t; };
    if (is(Type::kF16, Type::kF32) || is(Type::kBf16, Type::kF32) || is(Type::kI8, Type::kF16) ||
        is(Type::kU8, Type::kF16) || is(Type::kI16, Type::kF32) || is(Type::kI32, Type::kI64) ||
        is(Type::kI32, Type::kI16) || is(Type::kI64, Type::kI32))
        return Mode::kNoneOnly;
    if (is(Type::kF32, Type::kBf16) || is(Type::kF32, Type::kI16) || is(Type::kF32, Type::kI32) ||
        is(Type::kF32, Type::kI64) || is(Type::kF16, Type::kI16) || is(Type::kF16, Type::kI32) ||
        is(Type::kBf16, Type::kI32) || is(Type::kF32, Type::kF32) || is(Type::kI64, Type::kF32))
        return Mode::kNotNone;
    if (is(Type::kF32, Type::kF16) || is(Type::kF16, Type::kI8) || is(Type::kF16, Type::kU8) ||
        is(Type::kI16, Type::kF16) || is(Type::kI32, Type::kF32))
        return Mode::kAny;
    return Mode::kNo;
}

// ---- element by element -------------------------------------------------------------------------

template <typename T, typename F> void Each(const Vector &call, uint8_t *dst, const uint8_t *a,
                                            const uint8_t *b, F &&f) {
    constexpr int64_t lanes = kBlock / int64_t(sizeof(T));
    if (call.count >= 0) {
        T *d = reinterpret_cast<T *>(dst);
        const T *x = reinterpret_cast<const T *>(a), *y = reinterpret_cast<const T *>(b);
        for (int64_t i = 0; i < call.count; ++i) d[i] = f(x[i], y[i]);
        return;
    }
    for (int64_t r = 0; r < call.repeats; ++r) {
        for (int64_t left = call.mask, block = 0; left > 0; left -= lanes, ++block) {
            auto at = [&](auto *base, const Operand &o) {
                return base + (r * o.repeat_stride + block * o.block_stride) * kBlock;
            };
            T *d = reinterpret_cast<T *>(at(dst, call.dst));
            const T *x = reinterpret_cast<const T *>(at(a, call.a));
            const T *y = reinterpret_cast<const T *>(at(b, call.b));
            const int64_t n = left < lanes ? left : lanes;
            for (int64_t i = 0; i < n; ++i) d[i] = f(x[i], y[i]);
        }
    }
}

template <typename T> T Larger(T a, T b) { return a != a ? a : b != b ? b : a > b ? a : b; }
template <typename T> T Smaller(T a, T b) { return a != a ? a : b != b ? b : a < b ? a : b; }

// Integers wrap: computed unsigned; half is computed in float and rounded once.
template <typename T, typename F> auto Wide(F f) {
    return [f](T a, T b) -> T {
        if constexpr (std::is_same_v<T, half>) return half(f(float(a), float(b)));
        else if constexpr (std::is_integral_v<T>)
            return T(f(uint32_t(int64_t(a)), uint32_t(int64_t(b))));
        else return f(a, b);
    };
}

template <typename T> void Arithmetic(const Vector &c, uint8_t *d, const uint8_t *a, const uint8_t *b) {
    const T s = FromBits<T>(c.scalar);
    auto scalar = [s](auto f) { return [s, f](T x, T) { return f(x, s); }; };
    auto add = Wide<T>([](auto x, auto y) { return x + y; });
    auto mul = Wide<T>([](auto x, auto y) { return x * y; });
    switch (c.op) {
        case Op::kAdd: Each<T>(c, d, a, b, add); break;
        case Op::kSub: Each<T>(c, d, a, b, Wide<T>([](auto x, auto y) { return x - y; })); break;
        case Op::kMul: Each<T>(c, d, a, b, mul); break;
        case Op::kMax: Each<T>(c, d, a, b, Larger<T>); break;
        case Op::kMin: Each<T>(c, d, a, b, Smaller<T>); break;
        case Op::kAdds: Each<T>(c, d, a, a, scalar(add)); break;
        case Op::kMuls: Each<T>(c, d, a, a, scalar(mul)); break;
        case Op::kMaxs: Each<T>(c, d, a, a, scalar(Larger<T>)); break;
        case Op::kMins: Each<T>(c, d, a, a, scalar(Smaller<T>)); break;
        case Op::kRelu: Each<T>(c, d, a, a, [](T x, T) { return Larger<T>(x, T(0)); }); break;
        case Op::kDuplicate: Each<T>(c, d, d, d, [s](T, T) { return s; }); break;
        default: break;
    }
    if constexpr (!std::is_integral_v<T>) {
        auto one = [&](auto f) { Each<T>(c, d, a, a, [f](T x, T) { return T(f(float(x))); }); };
        switch (c.op) {
            case Op::kDiv: Each<T>(c, d, a, b, Wide<T>([](auto x, auto y) { return x / y; })); break;
            case Op::kExp: one([](float x) { return std::exp(x); }); break;
            case Op::kLn: one([](float x) { return std::log(x); }); break;
            case Op::kSqrt: one([](float x) { return std::sqrt(x); }); break;
            case Op::kAbs: one([](float x) { return std::fabs(x); }); break;
            default: break;
        }
    }
}

template <typename T> void Bitwise(const Vector &c, uint8_t *d, const uint8_t *a, const uint8_t *b) {
    const uint64_t by = uint64_t(FromBits<T>(c.scalar));
    constexpr uint64_t bits = sizeof(T) * 8;
    switch (c.op) {
        case Op::kAnd: Each<T>(c, d, a, b, [](T x, T y) { return T(x & y); }); break;
        case Op::kOr: Each<T>(c, d, a, b, [](T x, T y) { return T(x | y); }); break;
        case Op::kNot: Each<T>(c, d, a, a, [](T x, T) { return T(~x); }); break;
        case Op::kShiftLeft:
            Each<T>(c, d, a, a, [by](T x, T) { return by < bits ? T(uint64_t(x) << by) : T(0); });
            break;
        case Op::kShiftRight:
            Each<T>(c, d, a, a, [by](T x, T) { return T(x >> (by < bits ? by : bits - 1)); });
            break;
        default: break;
    }
}

bool IsBitwise(Op op) {
    return op == Op::kAnd || op == Op::kOr || op == Op::kNot || op == Op::kShiftLeft ||
           op == Op::kShiftRight;
}

// ---- casts --------------------------------------------------------------------------------------

double Rounded(double x, Round mode) {
    switch (mode) {
        case Round::kFloor: return std::floor(x);
        case Round::kCeil: return std::ceil(x);
        case Round::kRound: return std::round(x);
        case Round::kTrunc: return std::trunc(x);
        default: return std::nearbyint(x);
    }
}

template <typename To> To Saturated(double x) {
    if (x != x) return 0;
    if (x <= double(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
    if (x >= double(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
    return To(x);
}

struct Bf16 {
    uint16_t bits;
    operator float() const { return FromBits<float>(uint64_t(bits) << 16); }
};

// `x` to a float type whose neighbours `next` tells, rounded as the mode says.
template <typename To, typename Near, typename Next>
To RoundedFloat(float x, Round mode, Near near, Next next) {
    To y = near(x);
    const float back = float(y);
    if (x != x || back == x || mode == Round::kNone || mode == Round::kRint) return y;
    const bool up = mode == Round::kCeil || (mode == Round::kTrunc && x < 0);
    if (mode == Round::kRound || mode == Round::kOdd) return y;
    if (up && back < x) return next(y, true);
    if (!up && back > x) return next(y, false);
    return y;
}

template <typename To> To ToFloat(float x, Round mode) {
    auto step = [](uint16_t bits, bool up) {
        const bool negative = bits & 0x8000;
        return uint16_t(up != negative ? bits + 1 : bits - 1);
    };
    if constexpr (std::is_same_v<To, half>)
        return RoundedFloat<half>(x, mode, [](float v) { return half(v); }, [&](half y, bool up) {
            uint16_t bits;
            std::memcpy(&bits, &y, 2);
            return FromBits<half>(step(bits, up));
        });
    else
        return RoundedFloat<Bf16>(
            x, mode,
            [](float v) -> Bf16 {
                uint32_t bits;
                std::memcpy(&bits, &v, 4);
                if (v != v) return {uint16_t((bits >> 16) | 0x40)};
                return {uint16_t((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)};
            },
            [&](Bf16 y, bool up) { return Bf16{step(y.bits, up)}; });
}

template <typename To, typename From> void CastAll(uint8_t *dst, const uint8_t *src, int64_t n, Round mode) {
    To *d = reinterpret_cast<To *>(dst);
    const From *s = reinterpret_cast<const From *>(src);
    constexpr bool whole = std::is_integral_v<From>;
    for (int64_t i = 0; i < n; ++i) {
        if constexpr (std::is_integral_v<To>) {
            if constexpr (sizeof(From) == 8 && whole)
                d[i] = To(s[i] < INT32_MIN ? INT32_MIN : s[i] > INT32_MAX ? INT32_MAX : s[i]);
            else d[i] = Saturated<To>(whole ? double(s[i]) : Rounded(double(float(s[i])), mode));
        } else if constexpr (std::is_same_v<To, float>) {
            if constexpr (whole) d[i] = float(s[i]);
            else if constexpr (std::is_same_v<From, float>) d[i] = float(Rounded(s[i], mode));
            else d[i] = float(s[i]);
        } else {
            d[i] = ToFloat<To>(float(s[i]), mode);
        }
    }
}

template <typename To> void CastTo(Type from, uint8_t *d, const uint8_t *s, int64_t n, Round mode) {
    switch (from) {
        case Type::kI8: return CastAll<To, int8_t>(d, s, n, mode);
        case Type::kU8: return CastAll<To, uint8_t>(d, s, n, mode);
        case Type::kI16: return CastAll<To, int16_t>(d, s, n, mode);
        case Type::kI32: return CastAll<To, int32_t>(d, s, n, mode);
        case Type::kI64: return CastAll<To, int64_t>(d, s, n, mode);
        case Type::kF16: return CastAll<To, half>(d, s, n, mode);
        case Type::kBf16: return CastAll<To, Bf16>(d, s, n, mode);
        default: return CastAll<To, float>(d, s, n, mode);
    }
}

void Cast(const Vector &c, uint8_t *d, const uint8_t *s) {
    const Type from = c.a.type;
    switch (c.dst.type) {
        case Type::kI8: return CastTo<int8_t>(from, d, s, c.count, c.mode);
        case Type::kU8: return CastTo<uint8_t>(from, d, s, c.count, c.mode);
        case Type::kI16: return CastTo<int16_t>(from, d, s, c.count, c.mode);
        case Type::kI32: return CastTo<int32_t>(from, d, s, c.count, c.mode);
        case Type::kI64: return CastTo<int64_t>(from, d, s, c.count, c.mode);
        case Type::kF16: return CastTo<half>(from, d, s, c.count, c.mode);
        case Type::kBf16: return CastTo<Bf16>(from, d, s, c.count, c.mode);
        default: return CastTo<float>(from, d, s, c.count, c.mode);
    }
}

void Execute(const Vector &c, uint8_t *d, const uint8_t *a, const uint8_t *b) {
    if (c.op == Op::kCast) return Cast(c, d, a);
    if (IsBitwise(c.op)) {
        switch (c.dst.type) {
            case Type::kI16: return Bitwise<int16_t>(c, d, a, b);
            case Type::kU16: return Bitwise<uint16_t>(c, d, a, b);
            case Type::kI32: return Bitwise<int32_t>(c, d, a, b);
            default: return Bitwise<uint32_t>(c, d, a, b);
        }
    }
    switch (c.dst.type) {
        case Type::kF16: return Arithmetic<half>(c, d, a, b);
        case Type::kF32: return Arithmetic<float>(c, d, a, b);
        case Type::kI16: case Type::kU16: case Type::kBf16: return Arithmetic<int16_t>(c, d, a, b);
        default: return Arithmetic<int32_t>(c, d, a, b);
    }
}

// ---- checks -------------------------------------------------------------------------------------

// Call `f` with the first byte and the length of each row of bytes that an operand takes.
template <typename F> void Runs(const Vector &call, const Operand &o, F &&f) {
    const int64_t size = SizeOf(o.type);
    if (call.count >= 0) return f(int64_t(0), call.count * size);
    const int64_t bytes = call.mask * size;
    for (int64_t r = 0; r < call.repeats; ++r) {
        const int64_t start = r * o.repeat_stride * kBlock;
        if (o.block_stride == 1) {
            f(start, bytes);
            continue;
        }
        for (int64_t done = 0, at = start; done < bytes; done += kBlock, at += o.block_stride * kBlock)
            f(at, bytes - done < kBlock ? bytes - done : kBlock);
    }
}

// Operands overlap exactly or not at all.
void CheckOverlap(const Instruction &in, const Vector &call, const Operand &src) {
    if (call.dst.place.at == src.place.at && SizeOf(call.dst.type) == SizeOf(src.type) &&
        (call.count >= 0 || (call.dst.block_stride == src.block_stride &&
                             call.dst.repeat_stride == src.repeat_stride)))
        return;
    auto span = [&](const Operand &o, int64_t &low, int64_t &high) {
        low = INT64_MAX, high = 0;
        Runs(call, o, [&](int64_t at, int64_t bytes) {
            low = std::min(low, o.place.at + at);
            high = std::max(high, o.place.at + at + bytes);
        });
    };
    int64_t low, high, src_low, src_high;
    span(call.dst, low, high);
    span(src, src_low, src_high);
    if (high <= src_low || src_high <= low) return;
    std::vector<bool> written(size_t((high - low) / kBlock + 1));
    Runs(call, call.dst, [&](int64_t at, int64_t bytes) {
        for (int64_t b = at; b < at + bytes; b += kBlock) written[(call.dst.place.at + b - low) / kBlock] = true;
    });
    Runs(call, src, [&](int64_t at, int64_t bytes) {
        for (int64_t b = src.place.at + at; b < src.place.at + at + bytes; b += kBlock)
            if (b >= low && b < high && written[(b - low) / kBlock])
                in.Stop("operands overlap, and not exactly");
    });
}

}  // namespace

void Issue(const Vector &call) {
    Instruction in(call.name, Queue::kV);
    const Operand *const sources[] = {&call.a, &call.b};
    if (!(TypesOf(call.op) & Bit(call.dst.type)))
        in.Stop(std::string(NameOf(call.dst.type)) + " is not supported");
    if (call.op == Op::kCast) {
        const Mode mode = CastMode(call.dst.type, call.a.type);
        if (mode == Mode::kNo)
            in.Stop(std::string("there is no cast from ") + NameOf(call.a.type) + " to " + NameOf(call.dst.type));
        in.Require(mode != Mode::kNoneOnly || call.mode == Round::kNone, "takes CAST_NONE only");
        in.Require(mode != Mode::kNotNone || call.mode != Round::kNone, "refuses CAST_NONE");
        in.Require(!Unified() || call.dst.type == Type::kI32 || call.mode != Round::kRint,
                   "takes no CAST_RINT on unified cores");
    }
    const char *const names[] = {"dst", "src0", "src1"};
    if (call.count < 0) {
        in.Range("mask", call.mask, 1, kRepeatBytes / SizeOf(call.dst.type));
        in.Range("repeatTimes", call.repeats, 0, 255);
        for (int i = 0; i <= call.sources; ++i) {
            const Operand &o = i == 0 ? call.dst : *sources[i - 1];
            in.Range("the block stride", o.block_stride, 0, 255);
            in.Range("the repeat stride", o.repeat_stride, 0, 255);
        }
    }
    in.Align("dst", call.dst.place, kBlock);
    for (int i = 0; i < call.sources; ++i) {
        const Operand &o = *sources[i];
        in.Align(names[i + 1], o.place, kBlock);
        CheckOverlap(in, call, o);
        Runs(call, o, [&](int64_t at, int64_t n) { in.Read(names[i + 1], o.place, at, n); });
    }
    Runs(call, call.dst, [&](int64_t at, int64_t n) { in.Write("dst", call.dst.place, at, n); });
    uint8_t *dst = in.Pointer(call.dst.place);
    const uint8_t *a = call.sources > 0 ? in.Pointer(call.a.place) : dst;
    const uint8_t *b = call.sources > 1 ? in.Pointer(call.b.place) : a;
    in.Do([call, dst, a, b] { Execute(call, dst, a, b); });
}

// ---- comparing and choosing ---------------------------------------------------------------------

namespace {

template <typename T> void CompareAll(Comparison op, uint8_t *mask, const T *a, const T *b, T s, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
        const T x = a[i], y = b ? b[i] : s;
        const bool holds = op == Comparison::kLt   ? x < y
                           : op == Comparison::kGt ? x > y
                           : op == Comparison::kEq ? x == y
                           : op == Comparison::kLe ? x <= y
                           : op == Comparison::kGe ? x >= y
                                                   : x != y;
        const uint8_t bit = uint8_t(1u << (i % 8));
        mask[i / 8] = uint8_t(holds ? mask[i / 8] | bit : mask[i / 8] & ~bit);
    }
}

}  // namespace

void Compare(Type type, Comparison op, const Place &mask, const Place &a, const Place *b,
             uint64_t scalar, int64_t count) {
    Instruction in(b ? "Compare" : "CompareScalar", Queue::kV);
    const int64_t bytes = count * SizeOf(type);
    const bool equality = type == Type::kI32 && op == Comparison::kEq && !Unified();
    in.Require((kFloats & Bit(type)) || equality, "takes half and float, and int32_t for EQ");
    in.Require(bytes % kRepeatBytes == 0, "the count must fill 256 bytes");
    in.Align("dst", mask, kBlock);
    in.Align("src0", a, kBlock);
    in.Read("src0", a, 0, bytes);
    if (b) {
        in.Align("src1", *b, kBlock);
        in.Read("src1", *b, 0, bytes);
    }
    in.Write("dst", mask, 0, count / 8);
    uint8_t *to = in.Pointer(mask);
    const uint8_t *x = in.Pointer(a), *y = b ? in.Pointer(*b) : nullptr;
    in.Do([=] {
        auto all = [&](auto s) {
            using T = decltype(s);
            CompareAll<T>(op, to, reinterpret_cast<const T *>(x), reinterpret_cast<const T *>(y), s, count);
        };
        if (type == Type::kF16) all(FromBits<half>(scalar));
        else if (type == Type::kF32) all(FromBits<float>(scalar));
        else all(FromBits<int32_t>(scalar));
    });
}

void Select(Type type, const Place &dst, const Place &mask, const Place &a, const Place *b,
            uint64_t scalar, int64_t count) {
    Instruction in("Select", Queue::kV);
    Core &core = Current();
    const int64_t size = SizeOf(type), reserved = SelectStart();
    core.selects = true;
    in.Require(kFloats & Bit(type), "takes half and float");
    in.Align("dst", dst, kBlock);
    in.Align("selMask", mask, kBlock);
    in.Align("src0", a, kBlock);
    in.Read("selMask", mask, 0, (count + 7) / 8);
    in.Read("src0", a, 0, count * size);
    if (b) {
        in.Align("src1", *b, kBlock);
        in.Read("src1", *b, 0, count * size);
    }
    in.Require(mask.at + (count + 7) / 8 <= dst.at || dst.at + count * size <= mask.at,
               "dst overlaps the mask");
    in.Write("dst", dst, 0, count * size);
    uint8_t *to = in.Pointer(dst), *ub = core.memory[int(Memory::kUb)];
    const uint8_t *bits = in.Pointer(mask), *x = in.Pointer(a), *y = b ? in.Pointer(*b) : nullptr;
    const int64_t used = core.allocated[int(Memory::kUb)];
    in.Do([=] {
        for (int64_t i = 0; i < count; ++i) {
            const bool first = bits[i / 8] >> (i % 8) & 1;
            const uint8_t *from = first ? x + i * size
                                  : y   ? y + i * size
                                        : reinterpret_cast<const uint8_t *>(&scalar);
            std::memcpy(to + i * size, from, size_t(size));
        }
        // Modes 1 and 2 keep addresses in the top 8 KB.
        if (used > reserved) std::memset(ub + reserved, 0xFF, size_t(used - reserved));
    });
}

}  // namespace ascend_model
