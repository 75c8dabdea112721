// The leaf operations of tiledsl on Ascend C: __NPU_ARCH__ 2201, and with tiledsl_unified.h 2002.
//
// Each operation of an NPU program is one call of a function here; each function keeps the limits of
// the intrinsics it uses: repeats and strides of at most 255, masks for tails, counts of zero,
// barriers between its own dependent steps. Counts, strides and offsets are in elements.
#ifndef TILEDSL_ASCEND_H
#define TILEDSL_ASCEND_H

#include "kernel_operator.h"
#include "tiledsl_scalar.h"

#if defined(__NPU_ARCH__) && __NPU_ARCH__ == 2002
#define TDSL_UNIFIED 1
#else
#define TDSL_UNIFIED 0
#endif

namespace tdsl {

using namespace AscendC;

constexpr int32_t kBlockBytes = 32;
constexpr int32_t kRepeatBytes = 256;
constexpr int32_t kMaxRepeats = 255;
constexpr int32_t kMaxStride = 255;

template <typename T> constexpr int32_t kPerBlock = kBlockBytes / int32_t(sizeof(T));
template <typename T> constexpr int32_t kPerRepeat = kRepeatBytes / int32_t(sizeof(T));
template <typename T> constexpr int32_t kPerFractal = 512 / int32_t(sizeof(T));

TDSL_FN int32_t CeilDiv(int32_t a, int32_t b) { return (a + b - 1) / b; }
TDSL_FN int32_t RoundUp(int32_t a, int32_t b) { return CeilDiv(a, b) * b; }
TDSL_FN int32_t Least(int32_t a, int32_t b) { return a < b ? a : b; }

// ---- operands -----------------------------------------------------------------------------------

// Slots of equal size on chip, one after the other.
struct Area {
    LocalTensor<uint8_t> bytes;
    uint32_t slot_bytes;
};

// Elements of type T in a slot of an area, from `offset` on.
template <typename T> TDSL_FN LocalTensor<T> At(const Area &area, int32_t offset = 0, int32_t slot = 0) {
    LocalTensor<uint8_t> bytes = area.bytes[uint32_t(slot) * area.slot_bytes];
    bytes.SetSize(area.slot_bytes);
    return bytes.ReinterpretCast<T>()[uint32_t(offset)];
}

enum class Kind { kFull, kRow, kCol, kOne };

// What a two-dimensional operation reads at (row, column): see Full, Row, Col and One.
template <Kind kKind, typename T> struct View {
    LocalTensor<T> tensor;
    int32_t stride;
};
// Element row * stride + column.
template <typename T> TDSL_FN View<Kind::kFull, T> Full(const LocalTensor<T> &tensor, int32_t stride) {
    return {tensor, stride};
}
// Element `column`, in every row.
template <typename T> TDSL_FN View<Kind::kRow, T> Row(const LocalTensor<T> &tensor) { return {tensor, 0}; }
// Block `row` of 32 bytes, which holds one value throughout.
template <typename T> TDSL_FN View<Kind::kCol, T> Col(const LocalTensor<T> &tensor) { return {tensor, 0}; }
// The first block of 32 bytes, which holds one value throughout.
template <typename T> TDSL_FN View<Kind::kOne, T> One(const LocalTensor<T> &tensor) { return {tensor, 0}; }

template <Kind kKind, typename T> TDSL_FN LocalTensor<T> At(const View<kKind, T> &view, int32_t row, int32_t col) {
    if constexpr (kKind == Kind::kFull) return view.tensor[uint32_t(row * view.stride + col)];
    if constexpr (kKind == Kind::kRow) return view.tensor[uint32_t(col)];
    if constexpr (kKind == Kind::kCol) return view.tensor[uint32_t(row * kPerBlock<T>)];
    return view.tensor;
}
// Blocks from one row to the next.
template <Kind kKind, typename T> TDSL_FN int32_t RowBlocks(const View<kKind, T> &view) {
    if constexpr (kKind == Kind::kFull) return view.stride / kPerBlock<T>;
    return kKind == Kind::kCol ? 1 : 0;
}
template <Kind kKind> constexpr bool kAlongRow = kKind == Kind::kFull || kKind == Kind::kRow;

// ---- scalars ------------------------------------------------------------------------------------

template <typename T> TDSL_FN T Get(const GlobalTensor<T> &tensor, int64_t offset) {
    return tensor.GetValue(uint64_t(offset));
}
TDSL_FN float Get(const GlobalTensor<half> &tensor, int64_t offset) { return float(tensor.GetValue(uint64_t(offset))); }
#if !TDSL_UNIFIED
TDSL_FN float Get(const GlobalTensor<bfloat16_t> &tensor, int64_t offset) {
    return ToFloat(tensor.GetValue(uint64_t(offset)));
}
TDSL_FN float Get(const LocalTensor<bfloat16_t> &tensor) { return ToFloat(tensor.GetValue(0)); }
#endif
template <typename T> TDSL_FN T Get(const LocalTensor<T> &tensor) { return tensor.GetValue(0); }
TDSL_FN float Get(const LocalTensor<half> &tensor) { return float(tensor.GetValue(0)); }

// A scalar as an element; integers wrap.
template <typename T> struct ElementOf {
    template <typename U> TDSL_FN static T From(U value) { return T(value); }
};
template <> struct ElementOf<half> {
    template <typename U> TDSL_FN static half From(U value) { return half(float(value)); }
};
// f32 rounded to a narrower float.
#if !TDSL_UNIFIED
template <> struct ElementOf<bfloat16_t> {
    template <typename U> TDSL_FN static bfloat16_t From(U value) { return ToBfloat16(float(value)); }
};
#endif

// ---- global memory and UB -----------------------------------------------------------------------

// A dimension of a copy: how often, and elements from one to the next in global memory and on chip.
struct Axis {
    int32_t count;
    int64_t global_stride;
    int32_t local_stride;
};

#if !TDSL_UNIFIED
// Rows behind `left` elements of padding, filled up to whole blocks.
template <typename T, typename P>
TDSL_FN void CopyShifted(const LocalTensor<T> &dst, const GlobalTensor<T> &src, int32_t left, int32_t length, P pad,
                         Axis axis) {
    if (length <= 0 || axis.count <= 0) return;
    constexpr int32_t size = int32_t(sizeof(T));
    const int32_t bytes = length * size, used = left * size + bytes, padded = RoundUp(used, kBlockBytes);
    const DataCopyPadExtParams<T> padding{true, uint8_t(left), uint8_t((padded - used) / size),
                                          ElementOf<T>::From(pad)};
    const int64_t src_gap = (axis.global_stride - length) * size;
    const int64_t dst_gap = int64_t(axis.local_stride) * size - padded;
    // Gaps that are negative, broken or too wide for their field: row by row.
    const bool rows_fit = src_gap >= 0 && src_gap <= 0xFFFFFFFFLL && dst_gap >= 0 && dst_gap % kBlockBytes == 0;
    const int32_t most = rows_fit ? 4095 : 1;
    for (int32_t done = 0; done < axis.count; done += most) {
        const int32_t n = Least(most, axis.count - done);
        const DataCopyExtParams rows{uint16_t(n), uint32_t(bytes), uint32_t(n > 1 ? src_gap : 0),
                                     uint32_t(n > 1 ? dst_gap / kBlockBytes : 0), 0};
        DataCopyPad(dst[uint32_t(done * axis.local_stride)], src[uint64_t(done * axis.global_stride)], rows, padding);
    }
}
template <typename T, typename P>
TDSL_FN void CopyShifted(const LocalTensor<T> &dst, const GlobalTensor<T> &src, int32_t left, int32_t length, P pad) {
    tdsl::CopyShifted(dst, src, left, length, pad, Axis{1, 0, 0});
}
template <typename T, typename P, typename... Inner>
TDSL_FN void CopyShifted(const LocalTensor<T> &dst, const GlobalTensor<T> &src, int32_t left, int32_t length, P pad,
                         Axis axis, Inner... inner) {
    for (int32_t i = 0; i < axis.count; ++i)
        tdsl::CopyShifted(dst[uint32_t(i * axis.local_stride)], src[uint64_t(i * axis.global_stride)], left, length, pad,
                          inner...);
}
template <typename T, typename P, typename... Axes>
TDSL_FN void CopyIn(const LocalTensor<T> &dst, const GlobalTensor<T> &src, int32_t length, P pad, Axes... axes) {
    tdsl::CopyShifted(dst, src, 0, length, pad, axes...);
}

template <typename T>
TDSL_FN void CopyOut(const GlobalTensor<T> &dst, const LocalTensor<T> &src, int32_t length, Axis axis) {
    if (length <= 0 || axis.count <= 0) return;
    constexpr int32_t size = int32_t(sizeof(T));
    const int32_t bytes = length * size;
    const int64_t dst_gap = (axis.global_stride - length) * size;
    const int64_t src_gap = int64_t(axis.local_stride) * size - RoundUp(bytes, kBlockBytes);
    const bool rows_fit = dst_gap >= 0 && dst_gap <= 0xFFFFFFFFLL && src_gap >= 0 && src_gap % kBlockBytes == 0;
    const int32_t most = rows_fit ? 4095 : 1;
    for (int32_t done = 0; done < axis.count; done += most) {
        const int32_t n = Least(most, axis.count - done);
        const DataCopyExtParams rows{uint16_t(n), uint32_t(bytes), uint32_t(n > 1 ? src_gap / kBlockBytes : 0),
                                     uint32_t(n > 1 ? dst_gap : 0), 0};
        DataCopyPad(dst[uint64_t(done * axis.global_stride)], src[uint32_t(done * axis.local_stride)], rows);
    }
}
template <typename T> TDSL_FN void CopyOut(const GlobalTensor<T> &dst, const LocalTensor<T> &src, int32_t length) {
    tdsl::CopyOut(dst, src, length, Axis{1, 0, 0});
}
template <typename T, typename... Inner>
TDSL_FN void CopyOut(const GlobalTensor<T> &dst, const LocalTensor<T> &src, int32_t length, Axis axis,
                     Inner... inner) {
    for (int32_t i = 0; i < axis.count; ++i)
        tdsl::CopyOut(dst[uint64_t(i * axis.global_stride)], src[uint32_t(i * axis.local_stride)], length, inner...);
}

// The same, combined with what global memory holds.
template <typename T, typename... Axes>
TDSL_FN void AddOut(const GlobalTensor<T> &dst, const LocalTensor<T> &src, int32_t length, Axes... axes) {
    SetAtomicAdd<T>();
    tdsl::CopyOut(dst, src, length, axes...);
    SetAtomicNone();
}
template <typename T, typename... Axes>
TDSL_FN void MaxOut(const GlobalTensor<T> &dst, const LocalTensor<T> &src, int32_t length, Axes... axes) {
    SetAtomicMax<T>();
    tdsl::CopyOut(dst, src, length, axes...);
    SetAtomicNone();
}
template <typename T, typename... Axes>
TDSL_FN void MinOut(const GlobalTensor<T> &dst, const LocalTensor<T> &src, int32_t length, Axes... axes) {
    SetAtomicMin<T>();
    tdsl::CopyOut(dst, src, length, axes...);
    SetAtomicNone();
}
#endif

// ---- flat vector operations ---------------------------------------------------------------------

template <typename T, typename S> TDSL_FN void Fill(const LocalTensor<T> &dst, S value, int32_t count) {
    if (count > 0) Duplicate(dst, ElementOf<T>::From(value), count);
}
// Element 0, by the scalar unit.
template <typename T, typename S> TDSL_FN void Set(const LocalTensor<T> &dst, S value) {
    dst.SetValue(0, ElementOf<T>::From(value));
}
#if !TDSL_UNIFIED
// dst[i] = first + i
template <typename T, typename S> TDSL_FN void Iota(const LocalTensor<T> &dst, S first, int32_t count) {
    if (count > 0) CreateVecIndex(dst, ElementOf<T>::From(first), uint32_t(count));
}
#endif

#define TDSL_UNARY(NAME, INTRINSIC)                                                                    \
    template <typename T> TDSL_FN void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, int32_t count) { \
        if (count > 0) INTRINSIC(dst, src, count);                                                     \
    }
TDSL_UNARY(Exponential, AscendC::Exp)
TDSL_UNARY(Logarithm, AscendC::Ln)
TDSL_UNARY(SquareRoot, AscendC::Sqrt)
TDSL_UNARY(Absolute, AscendC::Abs)
TDSL_UNARY(Complement, AscendC::Not)
TDSL_UNARY(Rectify, AscendC::Relu)
#undef TDSL_UNARY

#define TDSL_WITH_SCALAR(NAME, INTRINSIC)                                                              \
    template <typename T, typename S>                                                                  \
    TDSL_FN void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, S scalar, int32_t count) { \
        if (count > 0) INTRINSIC(dst, src, ElementOf<T>::From(scalar), count);                         \
    }
TDSL_WITH_SCALAR(AddScalar, AscendC::Adds)
TDSL_WITH_SCALAR(MulScalar, AscendC::Muls)
TDSL_WITH_SCALAR(MaxScalar, AscendC::Maxs)
TDSL_WITH_SCALAR(MinScalar, AscendC::Mins)
TDSL_WITH_SCALAR(ShlScalar, AscendC::ShiftLeft)
TDSL_WITH_SCALAR(ShrScalar, AscendC::ShiftRight)
#undef TDSL_WITH_SCALAR

// Each pair of types that Cast takes, with whether the rounding may, must or must not be CAST_NONE.
enum class Rounding { kUnsupported, kNone, kSome, kAny };
template <typename To, typename From> constexpr Rounding kRounding = Rounding::kUnsupported;
#if TDSL_UNIFIED
template <> constexpr Rounding kRounding<float, half> = Rounding::kNone;
template <> constexpr Rounding kRounding<float, int32_t> = Rounding::kNone;
template <> constexpr Rounding kRounding<half, int8_t> = Rounding::kNone;
template <> constexpr Rounding kRounding<half, uint8_t> = Rounding::kNone;
template <> constexpr Rounding kRounding<half, float> = Rounding::kNone;
template <> constexpr Rounding kRounding<int16_t, int32_t> = Rounding::kNone;
template <> constexpr Rounding kRounding<int32_t, float> = Rounding::kSome;
template <> constexpr Rounding kRounding<int32_t, half> = Rounding::kSome;
template <> constexpr Rounding kRounding<int8_t, half> = Rounding::kAny;
template <> constexpr Rounding kRounding<uint8_t, half> = Rounding::kAny;
#else
template <> constexpr Rounding kRounding<float, half> = Rounding::kNone;
template <> constexpr Rounding kRounding<float, bfloat16_t> = Rounding::kNone;
template <> constexpr Rounding kRounding<half, int8_t> = Rounding::kNone;
template <> constexpr Rounding kRounding<half, uint8_t> = Rounding::kNone;
template <> constexpr Rounding kRounding<float, int16_t> = Rounding::kNone;
template <> constexpr Rounding kRounding<int64_t, int32_t> = Rounding::kNone;
template <> constexpr Rounding kRounding<int16_t, int32_t> = Rounding::kNone;
template <> constexpr Rounding kRounding<int32_t, int64_t> = Rounding::kNone;
template <> constexpr Rounding kRounding<float, float> = Rounding::kSome;
template <> constexpr Rounding kRounding<bfloat16_t, float> = Rounding::kSome;
template <> constexpr Rounding kRounding<int16_t, float> = Rounding::kSome;
template <> constexpr Rounding kRounding<int32_t, float> = Rounding::kSome;
template <> constexpr Rounding kRounding<int64_t, float> = Rounding::kSome;
template <> constexpr Rounding kRounding<int16_t, half> = Rounding::kSome;
template <> constexpr Rounding kRounding<int32_t, half> = Rounding::kSome;
template <> constexpr Rounding kRounding<int32_t, bfloat16_t> = Rounding::kSome;
template <> constexpr Rounding kRounding<float, int64_t> = Rounding::kSome;
template <> constexpr Rounding kRounding<half, float> = Rounding::kAny;
template <> constexpr Rounding kRounding<int8_t, half> = Rounding::kAny;
template <> constexpr Rounding kRounding<uint8_t, half> = Rounding::kAny;
template <> constexpr Rounding kRounding<half, int16_t> = Rounding::kAny;
template <> constexpr Rounding kRounding<float, int32_t> = Rounding::kAny;
#endif

template <RoundMode kMode, typename T, typename U>
TDSL_FN void Convert(const LocalTensor<T> &dst, const LocalTensor<U> &src, int32_t count) {
    constexpr Rounding rounding = kRounding<T, U>;
    // A unified core rounds to nearest under this name, except to i32.
    constexpr bool nearest = TDSL_UNIFIED && rounding != Rounding::kSome && kMode == RoundMode::CAST_RINT;
    constexpr RoundMode mode = nearest ? RoundMode::CAST_NONE : kMode;
    static_assert(rounding != Rounding::kUnsupported, "there is no cast between these types");
    static_assert(rounding != Rounding::kNone || mode == RoundMode::CAST_NONE, "this cast takes CAST_NONE only");
    static_assert(rounding != Rounding::kSome || mode != RoundMode::CAST_NONE, "this cast refuses CAST_NONE");
    if (count > 0) Cast(dst, src, mode, uint32_t(count));
}

// Bit i of the mask says whether a[i] op b[i]; whole repeats are compared.
template <CMPMODE kOp, typename T>
TDSL_FN void CompareTiles(const LocalTensor<uint8_t> &mask, const LocalTensor<T> &a, const LocalTensor<T> &b,
                          int32_t count) {
    if (count > 0) Compare(mask, a, b, kOp, uint32_t(RoundUp(count, kPerRepeat<T>)));
}
template <CMPMODE kOp, typename T, typename S>
TDSL_FN void CompareTile(const LocalTensor<uint8_t> &mask, const LocalTensor<T> &a, S b, int32_t count) {
    if (count > 0) CompareScalar(mask, a, ElementOf<T>::From(b), kOp, uint32_t(RoundUp(count, kPerRepeat<T>)));
}
template <typename T>
TDSL_FN void SelectTiles(const LocalTensor<T> &dst, const LocalTensor<uint8_t> &mask, const LocalTensor<T> &a,
                         const LocalTensor<T> &b, int32_t count) {
    if (count > 0) Select(dst, mask, a, b, SELMODE::VSEL_TENSOR_TENSOR_MODE, uint32_t(count));
}
template <typename T, typename S>
TDSL_FN void SelectTile(const LocalTensor<T> &dst, const LocalTensor<uint8_t> &mask, const LocalTensor<T> &a, S b,
                        int32_t count) {
    if (count > 0)
        Select(dst, mask, a, ElementOf<T>::From(b), SELMODE::VSEL_TENSOR_SCALAR_MODE, uint32_t(count));
}

#if !TDSL_UNIFIED
// Block i of dst is src[i] throughout; in groups of 8.
template <typename T> TDSL_FN void Spread(const LocalTensor<T> &dst, const LocalTensor<T> &src, int32_t count) {
    constexpr int32_t most = kMaxRepeats - 1;  // an even number of groups of 16 bits is aligned
    const int32_t groups = CeilDiv(count, 8);
    for (int32_t done = 0; done < groups; done += most)
        Brcb(dst[uint32_t(done * 8 * kPerBlock<T>)], src[uint32_t(done * 8)], uint8_t(Least(most, groups - done)),
             BrcbRepeatParams{1, 8});
}
#endif

// dst[i] = the element of src at byte offsets[i]
template <typename T>
TDSL_FN void GatherElements(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<uint32_t> &offsets,
                            int32_t count) {
    if (count > 0) Gather(dst, src, offsets, 0, uint32_t(count));
}

// ---- two-dimensional vector operations ----------------------------------------------------------

#define TDSL_BINARY_OP(NAME, INTRINSIC)                                                                  \
    struct NAME {                                                                                        \
        template <typename T>                                                                            \
        TDSL_FN static void Flat(const LocalTensor<T> &dst, const LocalTensor<T> &a,                     \
                                 const LocalTensor<T> &b, int32_t count) {                               \
            INTRINSIC(dst, a, b, count);                                                                 \
        }                                                                                                \
        template <typename T>                                                                            \
        TDSL_FN static void Masked(const LocalTensor<T> &dst, const LocalTensor<T> &a,                   \
                                   const LocalTensor<T> &b, int32_t lanes, int32_t repeats,              \
                                   const BinaryRepeatParams &params) {                                   \
            INTRINSIC(dst, a, b, uint64_t(lanes), uint8_t(repeats), params);                             \
        }                                                                                                \
    };
TDSL_BINARY_OP(AddOp, AscendC::Add)
TDSL_BINARY_OP(SubOp, AscendC::Sub)
TDSL_BINARY_OP(MulOp, AscendC::Mul)
TDSL_BINARY_OP(DivOp, AscendC::Div)
TDSL_BINARY_OP(MaxOp, AscendC::Max)
TDSL_BINARY_OP(MinOp, AscendC::Min)
TDSL_BINARY_OP(AndOp, AscendC::And)
TDSL_BINARY_OP(OrOp, AscendC::Or)
#undef TDSL_BINARY_OP

// One row, its chunks as repeats.
template <typename Op, typename T, Kind kA, Kind kB>
TDSL_FN void ApplyRow(const LocalTensor<T> &dst, const View<kA, T> &a, const View<kB, T> &b, int32_t row, int32_t cols) {
    if constexpr (kAlongRow<kA> && kAlongRow<kB>) {
        Op::Flat(dst, At(a, row, 0), At(b, row, 0), cols);
    } else {
        constexpr int32_t a_block = kAlongRow<kA> ? 1 : 0, b_block = kAlongRow<kB> ? 1 : 0;
        const BinaryRepeatParams params(1, a_block, b_block, 8, a_block * 8, b_block * 8);
        const int32_t whole = cols / kPerRepeat<T>, tail = cols % kPerRepeat<T>;
        for (int32_t done = 0; done < whole; done += kMaxRepeats) {
            const int32_t col = done * kPerRepeat<T>;
            Op::Masked(dst[uint32_t(col)], At(a, row, col), At(b, row, col), kPerRepeat<T>,
                       Least(kMaxRepeats, whole - done), params);
        }
        const int32_t col = whole * kPerRepeat<T>;
        if (tail > 0) Op::Masked(dst[uint32_t(col)], At(a, row, col), At(b, row, col), tail, 1, params);
    }
}

// dst(r, c) = a(r, c) op b(r, c): rows as repeats where the strides allow it and it takes fewer steps.
template <typename Op, typename T, Kind kA, Kind kB>
TDSL_FN void Apply(const View<Kind::kFull, T> &dst, const View<kA, T> &a, const View<kB, T> &b, int32_t rows,
                   int32_t cols) {
    if (rows <= 0 || cols <= 0) return;
    const bool strides_fit = RowBlocks(dst) <= kMaxStride && RowBlocks(a) <= kMaxStride && RowBlocks(b) <= kMaxStride;
    if (!strides_fit || rows < CeilDiv(cols, kPerRepeat<T>)) {
        for (int32_t row = 0; row < rows; ++row) tdsl::ApplyRow<Op>(At(dst, row, 0), a, b, row, cols);
        return;
    }
    const BinaryRepeatParams params(1, kAlongRow<kA> ? 1 : 0, kAlongRow<kB> ? 1 : 0, uint8_t(RowBlocks(dst)),
                                    uint8_t(RowBlocks(a)), uint8_t(RowBlocks(b)));
    for (int32_t col = 0; col < cols; col += kPerRepeat<T>)
        for (int32_t row = 0; row < rows; row += kMaxRepeats)
            Op::Masked(At(dst, row, col), At(a, row, col), At(b, row, col), Least(kPerRepeat<T>, cols - col),
                       Least(kMaxRepeats, rows - row), params);
}

#define TDSL_BINARY(NAME, OP)                                                                              \
    template <typename T>                                                                                  \
    TDSL_FN void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &a, const LocalTensor<T> &b,         \
                      int32_t count) {                                                                     \
        if (count > 0) OP::Flat(dst, a, b, count);                                                         \
    }                                                                                                      \
    template <typename T, Kind kA, Kind kB>                                                                \
    TDSL_FN void NAME(const View<Kind::kFull, T> &dst, const View<kA, T> &a, const View<kB, T> &b,         \
                      int32_t rows, int32_t cols) {                                                        \
        Apply<OP>(dst, a, b, rows, cols);                                                                  \
    }
TDSL_BINARY(AddTiles, AddOp)
TDSL_BINARY(SubTiles, SubOp)
TDSL_BINARY(MulTiles, MulOp)
TDSL_BINARY(DivTiles, DivOp)
TDSL_BINARY(MaxTiles, MaxOp)
TDSL_BINARY(MinTiles, MinOp)
TDSL_BINARY(AndTiles, AndOp)
TDSL_BINARY(OrTiles, OrOp)
#undef TDSL_BINARY

// dst(r, c) = src(r, c), any bits: `x | x` on 16-bit lanes.
template <typename T, Kind kKind>
TDSL_FN void Expand(const View<Kind::kFull, T> &dst, const View<kKind, T> &src, int32_t rows, int32_t cols) {
    constexpr int32_t words = int32_t(sizeof(T)) / 2;
    const View<Kind::kFull, uint16_t> to{dst.tensor.template ReinterpretCast<uint16_t>(), dst.stride * words};
    const View<kKind, uint16_t> from{src.tensor.template ReinterpretCast<uint16_t>(), src.stride * words};
    tdsl::Apply<OrOp>(to, from, from, rows, cols * words);
}

// ---- reductions ---------------------------------------------------------------------------------

struct SumOf {
    using Pairwise = AddOp;
    template <typename T>
    TDSL_FN static void Whole(const LocalTensor<T> &dst, const LocalTensor<T> &src, int32_t lanes, int32_t repeats,
                              int32_t stride) {
        WholeReduceSum<T>(dst, src, lanes, repeats, 1, 1, stride);
    }
    template <typename T>
    TDSL_FN static void Block(const LocalTensor<T> &dst, const LocalTensor<T> &src, int32_t lanes, int32_t repeats,
                              int32_t stride) {
        BlockReduceSum<T>(dst, src, repeats, lanes, 1, 1, stride);
    }
};
struct MaxOf {
    using Pairwise = MaxOp;
    template <typename T>
    TDSL_FN static void Whole(const LocalTensor<T> &dst, const LocalTensor<T> &src, int32_t lanes, int32_t repeats,
                              int32_t stride) {
        WholeReduceMax<T>(dst, src, lanes, repeats, 1, 1, stride, ReduceOrder::ORDER_ONLY_VALUE);
    }
    template <typename T>
    TDSL_FN static void Block(const LocalTensor<T> &dst, const LocalTensor<T> &src, int32_t lanes, int32_t repeats,
                              int32_t stride) {
        BlockReduceMax<T>(dst, src, repeats, lanes, 1, 1, stride);
    }
};
struct MinOf {
    using Pairwise = MinOp;
    template <typename T>
    TDSL_FN static void Whole(const LocalTensor<T> &dst, const LocalTensor<T> &src, int32_t lanes, int32_t repeats,
                              int32_t stride) {
        WholeReduceMin<T>(dst, src, lanes, repeats, 1, 1, stride, ReduceOrder::ORDER_ONLY_VALUE);
    }
    template <typename T>
    TDSL_FN static void Block(const LocalTensor<T> &dst, const LocalTensor<T> &src, int32_t lanes, int32_t repeats,
                              int32_t stride) {
        BlockReduceMin<T>(dst, src, repeats, lanes, 1, 1, stride);
    }
};

// dst[r] = the fold of the first `lanes` elements of row r; a row is at most one repeat.
template <typename Fold, typename T>
TDSL_FN void FoldRows(const LocalTensor<T> &dst, const View<Kind::kFull, T> &src, int32_t rows, int32_t lanes) {
    const int32_t most = RowBlocks(src) <= kMaxStride ? kMaxRepeats : 1;
    for (int32_t row = 0; row < rows; row += most)
        Fold::Whole(dst[uint32_t(row)], At(src, row, 0), lanes, Least(most, rows - row),
                    most == 1 ? 8 : RowBlocks(src));
}

// A fold that takes many rows block by block; it needs 8 elements of scratch a row.
template <typename Fold> struct Blocks : Fold {};

// The same of whole repeats: each row becomes 8 values, and these one. dst is written in blocks.
template <typename Fold, typename T>
TDSL_FN void FoldWhole(Blocks<Fold>, const LocalTensor<T> &dst, const View<Kind::kFull, T> &src,
                       const LocalTensor<T> &scratch, int32_t rows) {
    constexpr int32_t lanes = kPerRepeat<T>;
    if (rows < 8) {
        tdsl::FoldRows<Fold>(dst, src, rows, lanes);
        return;
    }
    const int32_t most = RowBlocks(src) <= kMaxStride ? kMaxRepeats : 1;
    for (int32_t row = 0; row < rows; row += most)
        Fold::Block(scratch[uint32_t(row * 8)], At(src, row, 0), lanes, Least(most, rows - row),
                    most == 1 ? 8 : RowBlocks(src));
    PipeBarrier<PIPE_V>();
    const int32_t whole = rows / 8;
    for (int32_t done = 0; done < whole; done += kMaxRepeats)
        Fold::Block(dst[uint32_t(done * 8)], scratch[uint32_t(done * lanes)], lanes, Least(kMaxRepeats, whole - done), 8);
    if (rows % 8 > 0) Fold::Block(dst[uint32_t(whole * 8)], scratch[uint32_t(whole * lanes)], rows % 8 * 8, 1, 8);
}
template <typename Fold, typename T>
TDSL_FN void FoldWhole(Fold, const LocalTensor<T> &dst, const View<Kind::kFull, T> &src, const LocalTensor<T> &,
                       int32_t rows) {
    tdsl::FoldRows<Fold>(dst, src, rows, kPerRepeat<T>);
}

// One long row: each repeat becomes a value, until one repeat holds them all.
template <typename Fold, typename T>
TDSL_FN void FoldLongRow(const LocalTensor<T> &dst, LocalTensor<T> src, LocalTensor<T> scratch, int32_t cols) {
    while (cols > kPerRepeat<T>) {
        const int32_t whole = cols / kPerRepeat<T>, tail = cols % kPerRepeat<T>;
        tdsl::FoldRows<Fold>(scratch, Full(src, kPerRepeat<T>), whole, kPerRepeat<T>);
        if (tail > 0) Fold::Whole(scratch[uint32_t(whole)], src[uint32_t(whole * kPerRepeat<T>)], tail, 1, 8);
        PipeBarrier<PIPE_V>();
        cols = whole + (tail > 0 ? 1 : 0);
        src = scratch;
        scratch = scratch[uint32_t(RoundUp(cols, kPerRepeat<T>))];
    }
    Fold::Whole(dst, src, cols, 1, 8);
}

// dst[r] = the fold of src(r, c) over c < cols; src is left as it is.
template <typename Fold, typename T, typename S>
TDSL_FN void RowReduce(const LocalTensor<T> &dst, const View<Kind::kFull, T> &src, const LocalTensor<T> &scratch,
                       int32_t rows, int32_t cols, S identity) {
    constexpr int32_t lanes = kPerRepeat<T>;
    if (rows <= 0) return;
    if (cols <= 0) {
        tdsl::Fill(dst, identity, rows);
    } else if (cols < lanes) {
        tdsl::FoldRows<Fold>(dst, src, rows, cols);
    } else if (cols == lanes) {
        tdsl::FoldWhole(Fold{}, dst, src, scratch, rows);
    } else if (RowBlocks(src) > kMaxStride || rows < CeilDiv(cols, lanes)) {
        for (int32_t row = 0; row < rows; ++row)
            tdsl::FoldLongRow<Fold>(dst[uint32_t(row)], At(src, row, 0), scratch, cols);
    } else {
        // Many rows: all chunks of columns onto the first, then one repeat a row.
        const View<Kind::kFull, T> folded = Full(scratch, lanes);
        const bool pair = cols >= 2 * lanes;  // the first two chunks at once
        const View<Kind::kFull, T> second = Full(src.tensor[uint32_t(lanes)], src.stride);
        if (pair) tdsl::Apply<typename Fold::Pairwise>(folded, src, second, rows, lanes);
        else tdsl::Expand(folded, src, rows, lanes);
        for (int32_t col = pair ? 2 * lanes : lanes; col < cols; col += lanes) {
            PipeBarrier<PIPE_V>();
            tdsl::Apply<typename Fold::Pairwise>(folded, folded, Full(src.tensor[uint32_t(col)], src.stride), rows,
                                           Least(lanes, cols - col));
        }
        PipeBarrier<PIPE_V>();
        tdsl::FoldWhole(Fold{}, dst, folded, scratch[uint32_t(rows * lanes)], rows);
    }
}

// dst[c] = the fold of src(r, c) over r < rows, row after row.
template <typename Op, typename T, typename S>
TDSL_FN void ColReduce(const LocalTensor<T> &dst, const View<Kind::kFull, T> &src, int32_t rows, int32_t cols,
                       S identity) {
    if (cols <= 0) return;
    if (rows <= 0) {
        tdsl::Fill(dst, identity, cols);
        return;
    }
    tdsl::Expand(Full(dst, cols), src, 1, cols);
    for (int32_t row = 1; row < rows; ++row) {
        PipeBarrier<PIPE_V>();
        Op::Flat(dst, dst, At(src, row, 0), cols);
    }
}

// ---- transposition ------------------------------------------------------------------------------

// dst(c, r) = src(r, c), in blocks of 16 x 16; strides are multiples of 16.
template <typename T>
TDSL_FN void TransposeTile(const View<Kind::kFull, T> &dst, const View<Kind::kFull, T> &src, int32_t rows,
                           int32_t cols) {
    using Word = typename Choose<sizeof(T) == 2, uint16_t, uint32_t>::Type;
    constexpr int32_t lanes = kPerBlock<T>;  // columns that one repeat takes
    const LocalTensor<Word> to = dst.tensor.template ReinterpretCast<Word>();
    const LocalTensor<Word> from = src.tensor.template ReinterpretCast<Word>();
    const int32_t steps = CeilDiv(cols, 16) * (16 / lanes);
    for (int32_t row = 0; row < rows; row += 16) {
        for (int32_t done = 0; done < steps; done += kMaxRepeats) {
            const int32_t n = Least(kMaxRepeats, steps - done), col = done * lanes;
            LocalTensor<Word> out[16], in[16];
            for (int32_t i = 0; i < 16; ++i) {
                in[i] = from[uint32_t((row + i) * src.stride + col)];
                // 32-bit rows of 16 take two entries of 8.
                out[i] = sizeof(T) == 2 ? to[uint32_t((col + i) * dst.stride + row)]
                                        : to[uint32_t((col + i / 2) * dst.stride + row + i % 2 * 8)];
            }
            TransDataTo5HD<Word>(out, in,
                                 TransDataTo5HDParams(false, false, uint8_t(n), uint16_t(n > 1 ? dst.stride : 0),
                                                      uint16_t(n > 1 ? 1 : 0)));
        }
    }
}

}  // namespace tdsl

#if TDSL_UNIFIED
#include "tiledsl_unified.h"
#endif
#include "tiledsl_cube.h"

#endif
