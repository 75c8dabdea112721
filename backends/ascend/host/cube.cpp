// Copies between global memory and the chip, the loads of the cube unit, its product and Fixpipe.
#include <cstring>

#include "state.h"

namespace ascend_model {
namespace {

using half = _Float16;
constexpr int64_t kFractal = 512;

float HalfToFloat(const uint8_t *at) {
    half value;
    std::memcpy(&value, at, 2);
    return float(value);
}
float Bf16ToFloat(const uint8_t *at) {
    uint16_t bits;
    std::memcpy(&bits, at, 2);
    const uint32_t wide = uint32_t(bits) << 16;
    float value;
    std::memcpy(&value, &wide, 4);
    return value;
}
uint16_t FloatToBf16(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    if (value != value) return uint16_t((bits >> 16) | 0x40);
    return uint16_t((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

template <typename T> T Combine(Atomic atomic, T a, T b) {
    if (atomic == Atomic::kAdd) return T(a + b);
    if (a != a || b != b) return a != a ? a : b;
    return (atomic == Atomic::kMax) == (a > b) ? a : b;
}

template <typename T> void CombineRow(Atomic atomic, uint8_t *dst, const uint8_t *src, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i += int64_t(sizeof(T))) {
        T a, b;
        std::memcpy(&a, dst + i, sizeof(T));
        std::memcpy(&b, src + i, sizeof(T));
        const T c = Combine(atomic, a, b);
        std::memcpy(dst + i, &c, sizeof(T));
    }
}

void PutRow(Atomic atomic, Type type, uint8_t *dst, const uint8_t *src, int64_t bytes) {
    if (atomic == Atomic::kNone) {
        std::memcpy(dst, src, size_t(bytes));
        return;
    }
    switch (type) {
        case Type::kF32: return CombineRow<float>(atomic, dst, src, bytes);
        case Type::kF16: return CombineRow<half>(atomic, dst, src, bytes);
        case Type::kI32: return CombineRow<int32_t>(atomic, dst, src, bytes);
        case Type::kI16: return CombineRow<int16_t>(atomic, dst, src, bytes);
        case Type::kI8: return CombineRow<int8_t>(atomic, dst, src, bytes);
        default:
            for (int64_t i = 0; i < bytes; i += 2) {
                const uint16_t sum = FloatToBf16(Combine(atomic, Bf16ToFloat(dst + i), Bf16ToFloat(src + i)));
                std::memcpy(dst + i, &sum, 2);
            }
    }
}

}  // namespace

// ---- global memory and UB -----------------------------------------------------------------------

void CopyIn(int size, const Place &dst, const Global &src, const Rows &rows, const Pad &pad) {
    Instruction in("DataCopyPad", Queue::kMte2);
    in.Require(!Unified(), kNotUnified);
    in.Range("blockCount", rows.count, 1, 4095);
    in.Range("blockLen", rows.bytes, 1, 2097151);
    in.Range("srcStride", rows.src_gap, 0, UINT32_MAX);
    in.Range("dstStride", rows.dst_gap, 0, UINT32_MAX);
    in.Range("leftPadding in bytes", pad.left * size, 0, 32);
    in.Range("rightPadding in bytes", pad.right * size, 0, 32);
    in.Require(rows.bytes % size == 0, "blockLen must be a multiple of the element");
    in.Align("dst", dst, kBlock);
    const int64_t left = pad.on ? pad.left * size : 0, right = pad.on ? pad.right * size : 0;
    const int64_t row = RoundUp(left + rows.bytes + right, kBlock), step = row + rows.dst_gap * kBlock;
    for (int64_t r = 0; r < rows.count; ++r) {
        in.Check("src", src, r * (rows.bytes + rows.src_gap), rows.bytes);
        in.Write("dst", dst, r * step, row);
    }
    uint8_t *to = in.Pointer(dst);
    const uint8_t *from = src.base + src.at;
    in.Do([=] {
        for (int64_t r = 0; r < rows.count; ++r) {
            uint8_t *out = to + r * step;
            std::memset(out, 0xFF, size_t(row));
            for (int64_t i = 0; i < left; i += size) std::memcpy(out + i, &pad.value, size_t(size));
            std::memcpy(out + left, from + r * (rows.bytes + rows.src_gap), size_t(rows.bytes));
            for (int64_t i = 0; i < right; i += size)
                std::memcpy(out + left + rows.bytes + i, &pad.value, size_t(size));
        }
    });
}

void CopyOut(Type type, const Global &dst, const Place &src, const Rows &rows) {
    Instruction in("DataCopyPad", Queue::kMte3);
    in.Require(!Unified(), kNotUnified);
    const int64_t size = SizeOf(type);
    in.Range("blockCount", rows.count, 1, 4095);
    in.Range("blockLen", rows.bytes, 1, 2097151);
    in.Range("srcStride", rows.src_gap, 0, UINT32_MAX);
    in.Range("dstStride", rows.dst_gap, 0, UINT32_MAX);
    in.Require(rows.bytes % size == 0, "blockLen must be a multiple of the element");
    in.Align("src", src, kBlock);
    const int64_t step = RoundUp(rows.bytes, kBlock) + rows.src_gap * kBlock;
    for (int64_t r = 0; r < rows.count; ++r) {
        in.Read("src", src, r * step, rows.bytes);
        in.Check("dst", dst, r * (rows.bytes + rows.dst_gap), rows.bytes);
    }
    const Core &core = Current();
    const Atomic atomic = core.atomic;
    in.Require(atomic == Atomic::kNone || core.atomic_type == type, "SetAtomic names another type");
    uint8_t *to = dst.base + dst.at;
    const uint8_t *from = in.Pointer(src);
    in.Do([=] {
        for (int64_t r = 0; r < rows.count; ++r)
            PutRow(atomic, type, to + r * (rows.bytes + rows.dst_gap), from + r * step, rows.bytes);
    });
}

void SetAtomic(Atomic atomic, Type type) {
    Core &core = Current();
    if (atomic != Atomic::kNone && Unified()) Fail("SetAtomic", kNotUnified);
    if (atomic != Atomic::kNone && type != Type::kF32 && type != Type::kF16 && type != Type::kBf16 &&
        type != Type::kI32 && type != Type::kI16 && type != Type::kI8)
        Fail("SetAtomic", "takes float, half, bfloat16_t, int32_t, int16_t and int8_t");
    core.atomic = atomic;
    core.atomic_type = type;
}

// ---- unified cores: between UB, L1 and L0C ------------------------------------------------------

void CopyToL1(const Place &dst, const Place &src, const Rows &rows) {
    Instruction in("DataCopy (UB to L1)", Queue::kMte3);
    in.Range("blockCount", rows.count, 1, 4095);
    in.Range("blockLen", rows.bytes, 1, 65535);
    in.Range("srcStride", rows.src_gap, 0, 65535);
    in.Range("dstStride", rows.dst_gap, 0, 65535);
    in.Require(src.memory == Memory::kUb && dst.memory == Memory::kL1, "the model knows UB to L1 only");
    in.Align("src", src, kBlock);
    in.Align("dst", dst, kBlock);
    const int64_t bytes = rows.bytes * kBlock, from_step = bytes + rows.src_gap * kBlock;
    const int64_t to_step = bytes + rows.dst_gap * kBlock;
    for (int64_t r = 0; r < rows.count; ++r) {
        in.Read("src", src, r * from_step, bytes);
        in.Write("dst", dst, r * to_step, bytes);
    }
    uint8_t *to = in.Pointer(dst);
    const uint8_t *from = in.Pointer(src);
    in.Do([=] {
        for (int64_t r = 0; r < rows.count; ++r) std::memcpy(to + r * to_step, from + r * from_step, size_t(bytes));
    });
}

void CopyFromL0C(Type type, const Place &dst, const Place &src, const Rows &rows) {
    Instruction in("DataCopy (L0C to UB)", Queue::kV);
    in.Require(rows.count == 1 && rows.src_gap == 0 && rows.dst_gap == 0, "the model knows one run of fractals only");
    in.Range("blockLen", rows.bytes, 1, 65535);
    in.Require(src.memory == Memory::kL0C && dst.memory == Memory::kUb, "from L0C to UB");
    in.Require(SizeOf(type) == 4, "the model knows 32 bits only");
    in.Align("src", src, 64);
    in.Align("dst", dst, kBlock);
    const int64_t bytes = rows.bytes * 1024;
    in.Read("src", src, 0, bytes);
    in.Write("dst", dst, 0, bytes);
    uint8_t *to = in.Pointer(dst);
    const uint8_t *from = in.Pointer(src);
    in.Do([=] { std::memcpy(to, from, size_t(bytes)); });
}

// ---- to L1, L0A, L0B ----------------------------------------------------------------------------

void CopyNz(int size, const Place &dst, const Global &src, const Nd2Nz &c) {
    Instruction in("DataCopy (Nd2Nz)", Queue::kMte2);
    in.Require(!Unified(), kNotUnified);
    in.Range("ndNum", c.matrices, 1, 4095);
    in.Require(c.matrices == 1, "the model knows ndNum 1 only");
    in.Range("nValue", c.rows, 1, 16384);
    in.Range("dValue", c.cols, 1, 65535);
    in.Range("srcDValue", c.src_stride, 1, 65535);
    in.Range("dstNzC0Stride", c.dst_c0_stride, 1, 16384);
    in.Range("dstNzNStride", c.dst_row_stride, 1, 16384);
    in.Require(dst.memory == Memory::kL1, "dst must be in L1");
    in.Align("dst", dst, kBlock);
    const int64_t c0 = kBlock / size, blocks = (c.cols + c0 - 1) / c0;
    for (int64_t r = 0; r < c.rows; ++r) in.Check("src", src, r * c.src_stride * size, c.cols * size);
    for (int64_t b = 0; b < blocks; ++b)
        for (int64_t r = 0; r < c.rows; ++r)
            in.Write("dst", dst, (b * c.dst_c0_stride + r * c.dst_row_stride) * kBlock, kBlock);
    uint8_t *to = in.Pointer(dst);
    const uint8_t *from = src.base + src.at;
    in.Do([=] {
        for (int64_t b = 0; b < blocks; ++b)
            for (int64_t r = 0; r < c.rows; ++r) {
                uint8_t *out = to + (b * c.dst_c0_stride + r * c.dst_row_stride) * kBlock;
                const int64_t n = std::min(c0, c.cols - b * c0);
                std::memset(out, 0, kBlock);
                std::memcpy(out, from + (r * c.src_stride + b * c0) * size, size_t(n * size));
            }
    });
}

namespace {

void CheckLoad(Instruction &in, const Place &dst, const Place &src) {
    in.Require(src.memory == Memory::kL1, "src must be in L1");
    in.Require(dst.memory == Memory::kL0A || dst.memory == Memory::kL0B, "dst must be in L0A or L0B");
    in.Align("src", src, kBlock);
    in.Align("dst", dst, kFractal);
}

}  // namespace

void Load(Type type, const Place &dst, const Place &src, const Load2D &c) {
    Instruction in("LoadData", Queue::kMte1);
    CheckLoad(in, dst, src);
    in.Range("startIndex", c.start, 0, 65535);
    in.Range("repeatTimes", c.repeats, 1, 255);
    in.Range("srcStride", c.src_stride, 0, 65535);
    in.Range("dstGap", c.dst_gap, 0, 65535);
    in.Require(!c.transpose || SizeOf(type) == 2, "it transposes 16 bits only");
    for (int64_t r = 0; r < c.repeats; ++r) {
        in.Read("src", src, (c.start + r * c.src_stride) * kFractal, kFractal);
        in.Write("dst", dst, r * (1 + c.dst_gap) * kFractal, kFractal);
    }
    uint8_t *to = in.Pointer(dst);
    const uint8_t *from = in.Pointer(src) + c.start * kFractal;
    in.Do([=] {
        for (int64_t r = 0; r < c.repeats; ++r) {
            const uint8_t *block = from + r * c.src_stride * kFractal;
            uint8_t *out = to + r * (1 + c.dst_gap) * kFractal;
            if (!c.transpose) {
                std::memcpy(out, block, kFractal);
                continue;
            }
            for (int i = 0; i < 16; ++i)
                for (int j = 0; j < 16; ++j) std::memcpy(out + (j * 16 + i) * 2, block + (i * 16 + j) * 2, 2);
        }
    });
}

void Load(Type type, const Place &dst, const Place &src, const LoadTransposed &c) {
    Instruction in("LoadDataWithTranspose", Queue::kMte1);
    in.Require(!Unified(), kNotUnified);
    CheckLoad(in, dst, src);
    const int64_t size = SizeOf(type);
    in.Require(size == 1, "the model knows 8 bits only");
    in.Range("startIndex", c.start, 0, 65535);
    in.Range("repeatTimes", c.repeats, 1, 255);
    in.Range("srcStride", c.src_stride, 0, 65535);
    in.Range("dstGap", c.dst_gap, 0, 65535);
    in.Range("dstFracGap", c.dst_fractal_gap, 0, 65535);
    const int64_t square = 2 * kFractal;
    for (int64_t r = 0; r < c.repeats; ++r) {
        in.Read("src", src, (c.start + r * c.src_stride) * square, square);
        in.Write("dst", dst, r * (1 + c.dst_gap) * kFractal, kFractal);
        in.Write("dst", dst, (r * (1 + c.dst_gap) + 1 + c.dst_fractal_gap) * kFractal, kFractal);
    }
    uint8_t *to = in.Pointer(dst);
    const uint8_t *from = in.Pointer(src) + c.start * square;
    in.Do([=] {
        for (int64_t r = 0; r < c.repeats; ++r) {
            const uint8_t *block = from + r * c.src_stride * square;
            for (int64_t part = 0; part < 2; ++part) {
                uint8_t *out = to + (r * (1 + c.dst_gap) + part * (1 + c.dst_fractal_gap)) * kFractal;
                for (int64_t i = 0; i < 16; ++i)
                    for (int64_t j = 0; j < 32; ++j) out[i * 32 + j] = block[j * 32 + part * 16 + i];
            }
        }
    });
}

void Load(Type type, const Place &dst, const Place &src, const Load3D &c) {
    Instruction in("LoadData (3D)", Queue::kMte1);
    CheckLoad(in, dst, src);
    const int64_t size = SizeOf(type), c0 = kBlock / size;
    in.Require(c.plain && c.height == 1, "the model knows 1 x 1 filters without padding only");
    in.Require(size == 4, "the model knows 32 bits only");
    in.Require(dst.memory == Memory::kL0B || c.transpose, "the model transposes to L0A");
    in.Range("l1W", c.width, 1, 32767);
    in.Range("channelSize", c.channels, 1, 65535);
    in.Require(c.k_extension % c0 == 0 && c.k_start % c0 == 0, "kExtension and kStartPt fill 32 bytes");
    in.Require(c.m_extension % 16 == 0 && c.m_start % 16 == 0, "mExtension and mStartPt are multiples of 16");
    in.Require(c.k_start + c.k_extension <= c.channels, "kExtension passes channelSize");
    in.Require(c.m_start + c.m_extension <= c.width, "mExtension passes l1W");
    for (int64_t b = c.k_start / c0; b < (c.k_start + c.k_extension) / c0; ++b)
        in.Read("src", src, (b * c.width + c.m_start) * kBlock, c.m_extension * kBlock);
    // The target has the source's rows along k: L0A (k_extension x m_extension), row blocks of 16;
    // L0B (m_extension x k_extension), stored with its columns as rows. Both are the transpose.
    const int64_t outer = (c.k_extension + 15) / 16, inner = c.m_extension / c0;
    const bool left = dst.memory == Memory::kL0A;
    in.Write("dst", dst, 0, outer * inner * kFractal);
    uint8_t *to = in.Pointer(dst);
    const uint8_t *from = in.Pointer(src);
    in.Do([=] {
        std::memset(to, 0xFF, size_t(outer * inner * kFractal));
        for (int64_t i = 0; i < c.k_extension; ++i)
            for (int64_t j = 0; j < c.m_extension; ++j) {
                const int64_t channel = c.k_start + i;
                const int64_t fractal = left ? i / 16 * inner + j / c0 : j / c0 * outer + i / 16;
                std::memcpy(to + fractal * kFractal + (i % 16 * c0 + j % c0) * size,
                            from + (channel / c0 * c.width + c.m_start + j) * kBlock + channel % c0 * size,
                            size_t(size));
            }
    });
}

void InitConst(int size, const Place &dst, int64_t repeats, int64_t blocks, int64_t gap, uint64_t value) {
    const bool l1 = dst.memory == Memory::kL1;
    Instruction in("InitConstValue", l1 ? Queue::kMte2 : Queue::kMte1);
    in.Require(l1 || dst.memory == Memory::kL0A || dst.memory == Memory::kL0B, "the model knows L1, L0A and L0B only");
    in.Require(!l1 || !Unified(), kNotUnified);
    const int64_t unit = l1 ? kBlock : kFractal;
    in.Require(size == 2 || (size == 4 && !Unified()), "takes 16 bits, and 32 where cores are separate");
    in.Range("repeatTimes", repeats, 1, Unified() ? 255 : 32767);
    in.Range("blockNum", blocks, 1, 32767);
    in.Range("dstGap", gap, 0, 32767);
    in.Align("dst", dst, unit);
    for (int64_t r = 0; r < repeats; ++r) in.Write("dst", dst, r * (blocks + gap) * unit, blocks * unit);
    uint8_t *to = in.Pointer(dst);
    in.Do([=] {
        for (int64_t r = 0; r < repeats; ++r)
            for (int64_t i = 0; i < blocks * unit; i += size)
                std::memcpy(to + r * (blocks + gap) * unit + i, &value, size_t(size));
    });
}

// ---- product and Fixpipe ------------------------------------------------------------------------

namespace {

float ToFloat(Type type, const uint8_t *at) {
    if (type == Type::kF16) return HalfToFloat(at);
    if (type == Type::kBf16) return Bf16ToFloat(at);
    float value;
    std::memcpy(&value, at, 4);
    return value;
}

// `rows` x `k` elements of fractals of 16 x C0, row-major; L0B is given by its columns.
template <typename T>
std::vector<T> Unpack(Type type, const uint8_t *from, int64_t rows, int64_t k, bool left, bool vector) {
    const int64_t size = SizeOf(type), c0 = kBlock / size;
    const int64_t down = (rows + 15) / 16, across = (k + c0 - 1) / c0;
    std::vector<T> out(size_t(rows * k));
    for (int64_t r = 0; r < rows; ++r)
        for (int64_t j = 0; j < k; ++j) {
            const int64_t fractal = left ? r / 16 * across + j / c0 : j / c0 * down + r / 16;
            const int64_t at = vector ? j * size : fractal * kFractal + (r % 16 * c0 + j % c0) * size;
            if constexpr (std::is_same_v<T, float>) out[size_t(r * k + j)] = ToFloat(type, from + at);
            else out[size_t(r * k + j)] = T(int8_t(from[at]));
        }
    return out;
}

template <typename T>
void MultiplyAll(Type type, T *dst, const uint8_t *a, const uint8_t *b, const Product &c) {
    const auto left = Unpack<T>(type, a, c.m, c.k, true, c.m == 1);
    const auto right = Unpack<T>(type, b, c.n, c.k, false, false);
    std::vector<T> columns(size_t(c.k * c.n)), row(static_cast<size_t>(c.n));
    for (int64_t n = 0; n < c.n; ++n)
        for (int64_t k = 0; k < c.k; ++k) columns[size_t(k * c.n + n)] = right[size_t(n * c.k + k)];
    const int64_t height = RoundUp(c.m, 16);
    for (int64_t m = 0; m < c.m; ++m) {
        std::fill(row.begin(), row.end(), T(0));
        for (int64_t k = 0; k < c.k; ++k) {
            const T x = left[size_t(m * c.k + k)];
            const T *y = &columns[size_t(k * c.n)];
            for (int64_t n = 0; n < c.n; ++n) row[size_t(n)] += x * y[n];
        }
        for (int64_t n = 0; n < c.n; ++n) {
            T &out = dst[n / 16 * height * 16 + m * 16 + n % 16];
            out = c.first ? row[size_t(n)] : out + row[size_t(n)];
        }
    }
}

}  // namespace

void Multiply(Type type, Type out, const Place &dst, const Place &a, const Place &b, const Product &c) {
    Instruction in("Mmad", Queue::kM);
    const bool whole = type == Type::kI8;
    in.Require(whole || type == Type::kF16 || type == Type::kBf16 || type == Type::kF32,
               "takes half, bfloat16_t, float and int8_t");
    in.Require(!Unified() || whole || type == Type::kF16, "takes half and int8_t on unified cores");
    in.Require(out == (whole ? Type::kI32 : Type::kF32), "the result is float, of int8_t int32_t");
    in.Range("m", c.m, 1, 4095);
    in.Range("n", c.n, 1, 4095);
    in.Range("k", c.k, 1, 4095);
    in.Require(a.memory == Memory::kL0A && b.memory == Memory::kL0B && dst.memory == Memory::kL0C,
               "the operands are in L0A, L0B and L0C");
    in.Align("dst", dst, 1024);
    in.Align("the left side", a, kFractal);
    in.Align("the right side", b, kFractal);
    const int64_t c0 = kBlock / SizeOf(type), depth = (c.k + c0 - 1) / c0;
    const int64_t down = (c.m + 15) / 16, across = (c.n + 15) / 16;
    in.Read("the left side", a, 0, (c.m == 1 ? RoundUp(c.k * SizeOf(type), kFractal) : down * depth * kFractal));
    in.Read("the right side", b, 0, depth * across * kFractal);
    Core &core = Current();
    const int64_t bytes = down * across * 1024;
    if (!c.first) {
        const Shadow &last = core.shadow[int(Memory::kL0C)][size_t(dst.at / kBlock)];
        const bool pending = last.writer == Queue::kM && last.write > core.known[int(Queue::kM)][int(Queue::kM)];
        in.Require(!pending || (c.m / 16) * (c.n / 16) >= 10,
                   "small products into one place need PipeBarrier<PIPE_M> between them");
        in.Read("dst", dst, 0, bytes);
    }
    in.Write("dst", dst, 0, bytes);
    uint8_t *to = in.Pointer(dst);
    const uint8_t *left = in.Pointer(a), *right = in.Pointer(b);
    in.Do([=] {
        if (whole) MultiplyAll(type, reinterpret_cast<int32_t *>(to), left, right, c);
        else MultiplyAll(type, reinterpret_cast<float *>(to), left, right, c);
    });
}

void Fixpipe(Type out, Type type, const Global &dst, const Place &src, const FixpipeCall &c) {
    Instruction in("Fixpipe", Queue::kFix);
    in.Require(!Unified(), kNotUnified);
    in.Range("nSize", c.n, 1, 4095);
    in.Range("mSize", c.m, 1, 8192);
    in.Range("srcStride", c.src_stride, 1, 65535);
    in.Range("dstStride", c.dst_stride, 1, UINT32_MAX);
    in.Require(c.matrices == 1, "the model knows ndNum 1 only");
    in.Require(src.memory == Memory::kL0C, "src must be in L0C");
    in.Align("src", src, 64);
    in.Require(c.quantised ? c.quant == out && type == Type::kF32 : out == type,
               "half needs quantPre F322F16, bfloat16_t F322BF16, other types none");
    in.Require(c.src_stride >= c.m && c.src_stride % 16 == 0, "srcStride is mSize rounded up to 16");
    const int64_t size = SizeOf(out);
    for (int64_t b = 0; b < (c.n + 15) / 16; ++b) in.Read("src", src, b * c.src_stride * 64, c.m * 64);
    for (int64_t r = 0; r < c.m; ++r) in.Check("dst", dst, r * c.dst_stride * size, c.n * size);
    uint8_t *to = dst.base + dst.at;
    const uint8_t *from = in.Pointer(src);
    in.Do([=] {
        for (int64_t r = 0; r < c.m; ++r)
            for (int64_t n = 0; n < c.n; ++n) {
                const uint8_t *x = from + (n / 16 * c.src_stride * 16 + r * 16 + n % 16) * 4;
                uint8_t *y = to + (r * c.dst_stride + n) * size;
                float value;
                std::memcpy(&value, x, 4);
                if (out == Type::kF16) {
                    const half h = half(value);
                    std::memcpy(y, &h, 2);
                } else if (out == Type::kBf16) {
                    const uint16_t h = FloatToBf16(value);
                    std::memcpy(y, &h, 2);
                } else {
                    std::memcpy(y, x, 4);
                }
            }
    });
}

}  // namespace ascend_model
