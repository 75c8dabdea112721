// A model of Ascend C (__NPU_ARCH__ 2201 and 2002) for g++: the calls that tiledsl emits, with their rules.
//
// The same source compiles against the toolkit's own header of this name. Here each call becomes a
// structure of model.h; fields that are narrow in Ascend C are wide here, so that a value that
// would be cut off silently is reported.
#ifndef TILEDSL_ASCEND_HOST_KERNEL_OPERATOR_H
#define TILEDSL_ASCEND_HOST_KERNEL_OPERATOR_H

#include <cstdio>
#include <cstring>

#include "model.h"

#define TILEDSL_ASCEND_HOST 1
#define __aicore__
#define __global__
#define __gm__
using GM_ADDR = uint8_t *;

#define KERNEL_TYPE_AIV_ONLY ::ascend_model::KernelType::kVectorOnly
#define KERNEL_TYPE_AIC_ONLY ::ascend_model::KernelType::kCubeOnly
#define KERNEL_TYPE_MIX_AIC_1_2 ::ascend_model::KernelType::kMix1To2
#define KERNEL_TYPE_AICORE ::ascend_model::KernelType::kUnified
#define KERNEL_TASK_TYPE_DEFAULT(type) ::ascend_model::CheckKernelType(type)
#define ASCEND_IS_AIC (::ascend_model::IsCube())
#define ASCEND_IS_AIV (!::ascend_model::IsCube())

using half = _Float16;
struct bfloat16_t {
    uint16_t bits;
};

enum pipe_t { PIPE_S, PIPE_MTE1, PIPE_MTE2, PIPE_MTE3, PIPE_V, PIPE_M, PIPE_FIX, PIPE_ALL };
enum class QuantMode_t { NoQuant, F322F16, F322BF16 };

namespace AscendC {

namespace model = ::ascend_model;

template <typename T> struct TypeOf;
template <> struct TypeOf<uint8_t> { static constexpr auto kType = model::Type::kU8; };
template <> struct TypeOf<int8_t> { static constexpr auto kType = model::Type::kI8; };
template <> struct TypeOf<uint16_t> { static constexpr auto kType = model::Type::kU16; };
template <> struct TypeOf<int16_t> { static constexpr auto kType = model::Type::kI16; };
template <> struct TypeOf<half> { static constexpr auto kType = model::Type::kF16; };
template <> struct TypeOf<bfloat16_t> { static constexpr auto kType = model::Type::kBf16; };
template <> struct TypeOf<uint32_t> { static constexpr auto kType = model::Type::kU32; };
template <> struct TypeOf<int32_t> { static constexpr auto kType = model::Type::kI32; };
template <> struct TypeOf<float> { static constexpr auto kType = model::Type::kF32; };
template <> struct TypeOf<uint64_t> { static constexpr auto kType = model::Type::kU64; };
template <> struct TypeOf<int64_t> { static constexpr auto kType = model::Type::kI64; };
template <> struct TypeOf<double> { static constexpr auto kType = model::Type::kF64; };

template <typename T> uint64_t BitsOf(T value) {
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    return bits;
}

inline float ToFloat(bfloat16_t value) {
    const uint32_t bits = uint32_t(value.bits) << 16;
    float result;
    std::memcpy(&result, &bits, sizeof result);
    return result;
}
inline bfloat16_t ToBfloat16(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    if (value != value) return {uint16_t((bits >> 16) | 0x40)};
    return {uint16_t((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)};
}

// ---- tensors ------------------------------------------------------------------------------------

enum class TPosition { GM, A1, A2, B1, B2, CO1, VECIN, VECOUT, VECCALC };

template <typename T> class LocalTensor {
public:
    LocalTensor() = default;
    explicit LocalTensor(const model::Place &at) : place(at) {}
    LocalTensor operator[](uint32_t offset) const {
        LocalTensor moved = *this;
        moved.place.at += int64_t(offset) * int64_t(sizeof(T));
        return moved;
    }
    template <typename U> LocalTensor<U> ReinterpretCast() const { return LocalTensor<U>(place); }
    void SetSize(uint32_t size) {
        place.begin = place.at;
        place.end = place.at + int64_t(size) * int64_t(sizeof(T));
    }
    T GetValue(uint32_t offset) const {
        T value;
        std::memcpy(&value, model::Read((*this)[offset].place, sizeof(T)), sizeof(T));
        return value;
    }
    void SetValue(const uint32_t offset, const T value) const {
        model::Write((*this)[offset].place, &value, sizeof(T));
    }
    model::Place place;
};

enum class CacheMode { CACHE_MODE_DISABLE, CACHE_MODE_NORMAL };
enum class CacheLine { SINGLE_CACHE_LINE, ENTIRE_DATA_CACHE };

template <typename T> class GlobalTensor {
public:
    void SetGlobalBuffer(T *address, uint64_t size) {
        place = {reinterpret_cast<uint8_t *>(address), int64_t(size * sizeof(T)), 0};
    }
    void SetL2CacheHint(CacheMode) {}  // it moves time only
    GlobalTensor operator[](uint64_t offset) const {
        GlobalTensor moved = *this;
        moved.place.at += int64_t(offset) * int64_t(sizeof(T));
        return moved;
    }
    T GetValue(uint64_t offset) const {
        T value;
        std::memcpy(&value, model::Read((*this)[offset].place, sizeof(T)), sizeof(T));
        return value;
    }
    void SetValue(uint64_t offset, T value) const {
        model::Write((*this)[offset].place, &value, sizeof(T));
    }
    model::Global place;
};
// What the scalar unit wrote is in global memory at once: the model has no cache.
template <typename T, CacheLine kLine> void DataCacheCleanAndInvalid(const GlobalTensor<T> &) {}

constexpr model::Memory MemoryOf(TPosition position) {
    switch (position) {
        case TPosition::A1: case TPosition::B1: return model::Memory::kL1;
        case TPosition::A2: return model::Memory::kL0A;
        case TPosition::B2: return model::Memory::kL0B;
        case TPosition::CO1: return model::Memory::kL0C;
        default: return model::Memory::kUb;
    }
}

template <TPosition kPosition> class TBuf {
public:
    template <typename T> LocalTensor<T> Get() const { return LocalTensor<T>(place); }
    model::Place place;
};

class TPipe {
public:
    TPipe() { model::OpenPipe(); }
    template <TPosition kPosition> void InitBuffer(TBuf<kPosition> &buffer, uint32_t bytes) {
        buffer.place = model::Allocate(MemoryOf(kPosition), bytes);
    }
    void Destroy() { model::ClosePipe(); }
};

inline int64_t GetBlockIdx() { return model::BlockIndex(); }
inline int64_t GetBlockNum() { return model::BlockCount(); }
inline int64_t GetSubBlockIdx() { return model::SubBlock(); }

// ---- printing -----------------------------------------------------------------------------------

template <typename... Values> void printf(const char *format, Values... values) {
    char line[4096];
    if constexpr (sizeof...(Values) == 0) std::snprintf(line, sizeof line, format, "");
    else std::snprintf(line, sizeof line, format, values...);
    model::Print(line);
}
inline void Trap() { model::Trap(); }

// ---- synchronisation ----------------------------------------------------------------------------

constexpr int Pair(pipe_t src, pipe_t dst) { return int(src) * 8 + int(dst); }
// The pairs for which Ascend C has a name.
#define ASCEND_EVENTS(X) \
    X(MTE2, MTE1) X(MTE1, MTE2) X(MTE1, M) X(M, MTE1) X(MTE2, V) X(V, MTE2) X(MTE3, V) X(V, MTE3) \
    X(M, V) X(V, M) X(MTE3, MTE1) X(MTE1, MTE3) X(MTE1, V) X(MTE2, M) X(M, MTE2) X(V, MTE1) \
    X(M, FIX) X(FIX, M) X(MTE3, MTE2) X(MTE2, MTE3) X(S, V) X(V, S) X(S, MTE2) X(MTE2, S) \
    X(S, MTE3) X(MTE3, S) X(MTE2, FIX) X(FIX, MTE2) X(FIX, S) X(M, S) X(FIX, MTE3) X(MTE1, FIX) \
    X(FIX, MTE1)
#define ASCEND_EVENT(src, dst) src##_##dst = Pair(PIPE_##src, PIPE_##dst),
enum class HardEvent { ASCEND_EVENTS(ASCEND_EVENT) };
#undef ASCEND_EVENT
#undef ASCEND_EVENTS

template <HardEvent kEvent> void SetFlag(int32_t event) {
    model::SetFlag(model::Queue(int(kEvent) / 8), model::Queue(int(kEvent) % 8), event);
}
template <HardEvent kEvent> void WaitFlag(int32_t event) {
    model::WaitFlag(model::Queue(int(kEvent) / 8), model::Queue(int(kEvent) % 8), event);
}
template <pipe_t kPipe> void PipeBarrier() {
    static_assert(kPipe != PIPE_S, "PipeBarrier: PIPE_S stops the core");
    if (kPipe == PIPE_ALL) model::BarrierAll();
    else model::Barrier(model::Queue(int(kPipe)));
}
template <uint8_t kMode, pipe_t kPipe> void CrossCoreSetFlag(int64_t event) {
    static_assert(kMode == 2, "CrossCoreSetFlag: the model knows mode 2 only");
    model::CrossSet(model::Queue(int(kPipe)), event);
}
template <uint8_t kMode = 0, pipe_t kPipe = PIPE_S> void CrossCoreWaitFlag(int64_t event) {
    model::CrossWait(event);
}

// ---- copies -------------------------------------------------------------------------------------

struct DataCopyExtParams {
    int64_t blockCount = 0, blockLen = 0, srcStride = 0, dstStride = 0, rsv = 0;
};
template <typename T> struct DataCopyPadExtParams {
    bool isPad = false;
    int64_t leftPadding = 0, rightPadding = 0;
    T paddingValue{};
};
struct Nd2NzParams {
    int64_t ndNum = 0, nValue = 0, dValue = 0, srcNdMatrixStride = 0, srcDValue = 0;
    int64_t dstNzC0Stride = 0, dstNzNStride = 0, dstNzMatrixStride = 0;
};

template <typename T>
void DataCopyPad(const LocalTensor<T> &dst, const GlobalTensor<T> &src,
                 const DataCopyExtParams &rows, const DataCopyPadExtParams<T> &pad) {
    model::CopyIn(sizeof(T), dst.place, src.place,
                  {rows.blockCount, rows.blockLen, rows.srcStride, rows.dstStride},
                  {pad.isPad, pad.leftPadding, pad.rightPadding, BitsOf(pad.paddingValue)});
}
template <typename T>
void DataCopyPad(const GlobalTensor<T> &dst, const LocalTensor<T> &src,
                 const DataCopyExtParams &rows) {
    model::CopyOut(TypeOf<T>::kType, dst.place, src.place,
                   {rows.blockCount, rows.blockLen, rows.srcStride, rows.dstStride});
}
template <typename T>
void DataCopy(const LocalTensor<T> &dst, const GlobalTensor<T> &src, const Nd2NzParams &p) {
    model::CopyNz(sizeof(T), dst.place, src.place,
                  {p.ndNum, p.nValue, p.dValue, p.srcNdMatrixStride, p.srcDValue, p.dstNzC0Stride,
                   p.dstNzNStride, p.dstNzMatrixStride});
}
struct DataCopyParams {
    DataCopyParams(int64_t count, int64_t length, int64_t src_gap, int64_t dst_gap)
        : blockCount(count), blockLen(length), srcStride(src_gap), dstStride(dst_gap) {}
    int64_t blockCount, blockLen, srcStride, dstStride;
};
enum class BlockMode { BLOCK_MODE_NORMAL, BLOCK_MODE_MATRIX, BLOCK_MODE_VECTOR };
struct DataCopyEnhancedParams {
    BlockMode blockMode = BlockMode::BLOCK_MODE_NORMAL;
};
// Global memory to UB or L1, and UB to global memory, whole blocks.
template <typename T>
void DataCopy(const LocalTensor<T> &dst, const GlobalTensor<T> &src, const DataCopyParams &p) {
    model::CopyBlocksIn(sizeof(T), dst.place, src.place, {p.blockCount, p.blockLen, p.srcStride, p.dstStride});
}
template <typename T>
void DataCopy(const GlobalTensor<T> &dst, const LocalTensor<T> &src, const DataCopyParams &p) {
    model::CopyBlocksOut(sizeof(T), dst.place, src.place, {p.blockCount, p.blockLen, p.srcStride, p.dstStride});
}
// UB to L1.
template <typename T>
void DataCopy(const LocalTensor<T> &dst, const LocalTensor<T> &src, const DataCopyParams &p) {
    model::CopyToL1(dst.place, src.place, {p.blockCount, p.blockLen, p.srcStride, p.dstStride});
}
// L0C to UB, whole fractals.
template <typename T>
void DataCopy(const LocalTensor<T> &dst, const LocalTensor<T> &src, const DataCopyParams &p,
              const DataCopyEnhancedParams &enhanced) {
    if (enhanced.blockMode != BlockMode::BLOCK_MODE_MATRIX) model::Fail("DataCopy", "L0C needs BLOCK_MODE_MATRIX");
    model::CopyFromL0C(TypeOf<T>::kType, dst.place, src.place,
                       {p.blockCount, p.blockLen, p.srcStride, p.dstStride});
}
template <typename T> void SetAtomicAdd() { model::SetAtomic(model::Atomic::kAdd, TypeOf<T>::kType); }
template <typename T> void SetAtomicMax() { model::SetAtomic(model::Atomic::kMax, TypeOf<T>::kType); }
template <typename T> void SetAtomicMin() { model::SetAtomic(model::Atomic::kMin, TypeOf<T>::kType); }
inline void SetAtomicNone() { model::SetAtomic(model::Atomic::kNone, model::Type::kF32); }

// ---- vector -------------------------------------------------------------------------------------

struct BinaryRepeatParams {
    BinaryRepeatParams() = default;
    BinaryRepeatParams(int64_t dst_block, int64_t a_block, int64_t b_block, int64_t dst_repeat,
                       int64_t a_repeat, int64_t b_repeat)
        : dstBlkStride(dst_block), src0BlkStride(a_block), src1BlkStride(b_block),
          dstRepStride(dst_repeat), src0RepStride(a_repeat), src1RepStride(b_repeat) {}
    int64_t dstBlkStride = 1, src0BlkStride = 1, src1BlkStride = 1;
    int64_t dstRepStride = 8, src0RepStride = 8, src1RepStride = 8;
};

#define ASCEND_BINARY(NAME, OP)                                                                   \
    template <typename T>                                                                         \
    void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &a, const LocalTensor<T> &b,        \
              const int32_t &count) {                                                             \
        constexpr auto t = TypeOf<T>::kType;                                                      \
        model::Issue({#NAME, model::Op::OP, 2, {dst.place, t}, {a.place, t}, {b.place, t}, 0,     \
                      model::Round::kNone, count});                                               \
    }                                                                                             \
    template <typename T, bool kSetMask = true>                                                   \
    void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &a, const LocalTensor<T> &b,        \
              uint64_t mask, int64_t repeats, const BinaryRepeatParams &p) {                      \
        constexpr auto t = TypeOf<T>::kType;                                                      \
        model::Issue({#NAME, model::Op::OP, 2, {dst.place, t, p.dstBlkStride, p.dstRepStride},    \
                      {a.place, t, p.src0BlkStride, p.src0RepStride},                             \
                      {b.place, t, p.src1BlkStride, p.src1RepStride}, 0, model::Round::kNone, -1, \
                      int64_t(mask), repeats});                                                   \
    }
ASCEND_BINARY(Add, kAdd)
ASCEND_BINARY(Sub, kSub)
ASCEND_BINARY(Mul, kMul)
ASCEND_BINARY(Div, kDiv)
ASCEND_BINARY(Max, kMax)
ASCEND_BINARY(Min, kMin)
ASCEND_BINARY(And, kAnd)
ASCEND_BINARY(Or, kOr)
#undef ASCEND_BINARY

#define ASCEND_UNARY(NAME, OP)                                                                    \
    template <typename T>                                                                         \
    void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int32_t &count) {       \
        constexpr auto t = TypeOf<T>::kType;                                                      \
        model::Issue({#NAME, model::Op::OP, 1, {dst.place, t}, {src.place, t}, {}, 0,             \
                      model::Round::kNone, count});                                               \
    }
ASCEND_UNARY(Exp, kExp)
ASCEND_UNARY(Ln, kLn)
ASCEND_UNARY(Sqrt, kSqrt)
ASCEND_UNARY(Abs, kAbs)
ASCEND_UNARY(Not, kNot)
ASCEND_UNARY(Relu, kRelu)
#undef ASCEND_UNARY

#define ASCEND_WITH_SCALAR(NAME, OP)                                                              \
    template <typename T>                                                                         \
    void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, const T &scalar,              \
              const int32_t &count) {                                                             \
        constexpr auto t = TypeOf<T>::kType;                                                      \
        model::Issue({#NAME, model::Op::OP, 1, {dst.place, t}, {src.place, t}, {},                \
                      BitsOf(scalar), model::Round::kNone, count});                               \
    }
ASCEND_WITH_SCALAR(Adds, kAdds)
ASCEND_WITH_SCALAR(Muls, kMuls)
ASCEND_WITH_SCALAR(Maxs, kMaxs)
ASCEND_WITH_SCALAR(Mins, kMins)
ASCEND_WITH_SCALAR(ShiftLeft, kShiftLeft)
ASCEND_WITH_SCALAR(ShiftRight, kShiftRight)
#undef ASCEND_WITH_SCALAR

template <typename T>
void Duplicate(const LocalTensor<T> &dst, const T &value, uint64_t mask[], int64_t repeats, int64_t block_stride,
               int64_t repeat_stride) {
    model::DuplicateMasked(sizeof(T), dst.place, BitsOf(value), mask, repeats, block_stride, repeat_stride);
}
template <typename T>
void Duplicate(const LocalTensor<T> &dst, const T &value, const int32_t &count) {
    constexpr auto t = TypeOf<T>::kType;
    model::Issue({"Duplicate", model::Op::kDuplicate, 0, {dst.place, t}, {}, {}, BitsOf(value),
                  model::Round::kNone, count});
}

enum class RoundMode { CAST_NONE, CAST_RINT, CAST_FLOOR, CAST_CEIL, CAST_ROUND, CAST_TRUNC, CAST_ODD };
template <typename T, typename U>
void Cast(const LocalTensor<T> &dst, const LocalTensor<U> &src, const RoundMode &mode,
          const uint32_t count) {
    model::Issue({"Cast", model::Op::kCast, 1, {dst.place, TypeOf<T>::kType},
                  {src.place, TypeOf<U>::kType}, {}, 0, model::Round(int(mode)), count});
}

enum class CMPMODE { LT, GT, EQ, LE, GE, NE };
template <typename T, typename U>
void Compare(const LocalTensor<U> &mask, const LocalTensor<T> &a, const LocalTensor<T> &b,
             CMPMODE op, uint32_t count) {
    model::Compare(TypeOf<T>::kType, model::Comparison(int(op)), mask.place, a.place, &b.place, 0,
                   count);
}
template <typename T, typename U>
void CompareScalar(const LocalTensor<U> &mask, const LocalTensor<T> &a, const T b, CMPMODE op,
                   uint32_t count) {
    model::Compare(TypeOf<T>::kType, model::Comparison(int(op)), mask.place, a.place, nullptr,
                   BitsOf(b), count);
}

enum class SELMODE { VSEL_CMPMASK_SPR, VSEL_TENSOR_SCALAR_MODE, VSEL_TENSOR_TENSOR_MODE };
template <typename T, typename U>
void Select(const LocalTensor<T> &dst, const LocalTensor<U> &mask, const LocalTensor<T> &a,
            const LocalTensor<T> &b, SELMODE mode, uint32_t count) {
    if (mode != SELMODE::VSEL_TENSOR_TENSOR_MODE) model::Fail("Select", "two tensors need mode 2");
    model::Select(TypeOf<T>::kType, dst.place, mask.place, a.place, &b.place, 0, count);
}
template <typename T, typename U>
void Select(const LocalTensor<T> &dst, const LocalTensor<U> &mask, const LocalTensor<T> &a, T b,
            SELMODE mode, uint32_t count) {
    if (mode != SELMODE::VSEL_TENSOR_SCALAR_MODE) model::Fail("Select", "a scalar needs mode 1");
    model::Select(TypeOf<T>::kType, dst.place, mask.place, a.place, nullptr, BitsOf(b), count);
}

struct BrcbRepeatParams {
    int64_t dstBlkStride = 1, dstRepStride = 8;
};
template <typename T>
void Brcb(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int64_t repeats,
          const BrcbRepeatParams &p) {
    model::Brcb(TypeOf<T>::kType, dst.place, src.place, repeats, p.dstBlkStride, p.dstRepStride);
}
template <typename T>
void Gather(const LocalTensor<T> &dst, const LocalTensor<T> &src,
            const LocalTensor<uint32_t> &offsets, const uint32_t base, const uint32_t count) {
    model::Gather(TypeOf<T>::kType, dst.place, src.place, offsets.place, base, count);
}
template <typename T> void CreateVecIndex(LocalTensor<T> dst, const T &first, uint32_t count) {
    model::CreateIndex(TypeOf<T>::kType, dst.place, double(first), count);
}

enum class ReduceOrder { ORDER_VALUE_INDEX, ORDER_INDEX_VALUE, ORDER_ONLY_VALUE, ORDER_ONLY_INDEX };
template <typename T>
void WholeReduceSum(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int32_t mask,
                    const int32_t repeats, const int32_t dst_stride, const int32_t block_stride,
                    const int32_t repeat_stride) {
    model::WholeReduce(TypeOf<T>::kType, model::Fold::kSum, true, dst.place, src.place, mask,
                       repeats, dst_stride, block_stride, repeat_stride);
}
template <typename T>
void WholeReduceMax(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int32_t mask,
                    const int32_t repeats, const int32_t dst_stride, const int32_t block_stride,
                    const int32_t repeat_stride, ReduceOrder order = ReduceOrder::ORDER_VALUE_INDEX) {
    model::WholeReduce(TypeOf<T>::kType, model::Fold::kMax, order == ReduceOrder::ORDER_ONLY_VALUE,
                       dst.place, src.place, mask, repeats, dst_stride, block_stride, repeat_stride);
}
template <typename T>
void WholeReduceMin(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int32_t mask,
                    const int32_t repeats, const int32_t dst_stride, const int32_t block_stride,
                    const int32_t repeat_stride, ReduceOrder order = ReduceOrder::ORDER_VALUE_INDEX) {
    model::WholeReduce(TypeOf<T>::kType, model::Fold::kMin, order == ReduceOrder::ORDER_ONLY_VALUE,
                       dst.place, src.place, mask, repeats, dst_stride, block_stride, repeat_stride);
}

template <typename T>
void BlockReduceSum(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int32_t repeats,
                    const int32_t mask, const int32_t dst_stride, const int32_t block_stride,
                    const int32_t repeat_stride) {
    model::BlockReduce(TypeOf<T>::kType, model::Fold::kSum, dst.place, src.place, repeats, mask,
                       dst_stride, block_stride, repeat_stride);
}
template <typename T>
void BlockReduceMax(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int32_t repeats,
                    const int32_t mask, const int32_t dst_stride, const int32_t block_stride,
                    const int32_t repeat_stride) {
    model::BlockReduce(TypeOf<T>::kType, model::Fold::kMax, dst.place, src.place, repeats, mask,
                       dst_stride, block_stride, repeat_stride);
}
template <typename T>
void BlockReduceMin(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int32_t repeats,
                    const int32_t mask, const int32_t dst_stride, const int32_t block_stride,
                    const int32_t repeat_stride) {
    model::BlockReduce(TypeOf<T>::kType, model::Fold::kMin, dst.place, src.place, repeats, mask,
                       dst_stride, block_stride, repeat_stride);
}

struct TransDataTo5HDParams {
    TransDataTo5HDParams(bool dst_high, bool src_high, int64_t repeats, int64_t dst_stride,
                         int64_t src_stride)
        : dstHighHalf(dst_high), srcHighHalf(src_high), repeatTimes(repeats),
          dstRepStride(dst_stride), srcRepStride(src_stride) {}
    bool dstHighHalf, srcHighHalf;
    int64_t repeatTimes, dstRepStride, srcRepStride;
};
template <typename T>
void TransDataTo5HD(const LocalTensor<T> (&dst)[16], const LocalTensor<T> (&src)[16],
                    const TransDataTo5HDParams &p) {
    model::Place to[16], from[16];
    for (int i = 0; i < 16; ++i) {
        to[i] = dst[i].place;
        from[i] = src[i].place;
    }
    model::Transpose(TypeOf<T>::kType, to, from, p.repeatTimes, p.dstRepStride, p.srcRepStride,
                     p.dstHighHalf || p.srcHighHalf);
}

// ---- cube ---------------------------------------------------------------------------------------

struct LoadData2DParams {
    LoadData2DParams(int64_t start, int64_t repeats, int64_t src_stride, int64_t sid, int64_t dst_gap,
                     bool transpose, int64_t addr_mode)
        : startIndex(start), repeatTimes(repeats), srcStride(src_stride), dstGap(dst_gap),
          ifTranspose(transpose) {
        if (sid != 0 || addr_mode != 0) model::Fail("LoadData", "sid and addrMode are 0");
    }
    int64_t startIndex, repeatTimes, srcStride, dstGap;
    bool ifTranspose;
};
struct LoadData2dTransposeParams {
    LoadData2dTransposeParams(int64_t start, int64_t repeats, int64_t src_stride, int64_t dst_gap,
                              int64_t fractal_gap)
        : startIndex(start), repeatTimes(repeats), srcStride(src_stride), dstGap(dst_gap),
          dstFracGap(fractal_gap) {}
    int64_t startIndex, repeatTimes, srcStride, dstGap, dstFracGap;
};
template <typename T> struct LoadData3DParamsV2 {
    int64_t padList[4] = {0, 0, 0, 0};
    int64_t l1H = 0, l1W = 0, channelSize = 0, kExtension = 0, mExtension = 0, kStartPt = 0,
            mStartPt = 0, strideW = 1, strideH = 1, filterW = 1, filterH = 1, dilationFilterW = 1,
            dilationFilterH = 1;
    bool enTranspose = false, enSmallK = false;
    T padValue{};
    bool filterSizeW = false, filterSizeH = false, fMatrixCtrl = false;
};

template <typename T>
void LoadData(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LoadData2DParams &p) {
    model::Load(TypeOf<T>::kType, dst.place, src.place,
                model::Load2D{p.startIndex, p.repeatTimes, p.srcStride, p.dstGap, p.ifTranspose});
}
template <typename T>
void LoadData(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LoadData3DParamsV2<T> &p) {
    const bool plain = p.strideW == 1 && p.strideH == 1 && p.filterW == 1 && p.filterH == 1 &&
                       p.dilationFilterW == 1 && p.dilationFilterH == 1 && !p.enSmallK &&
                       !p.filterSizeW && !p.filterSizeH && !p.fMatrixCtrl && !p.padList[0] &&
                       !p.padList[1] && !p.padList[2] && !p.padList[3];
    model::Load(TypeOf<T>::kType, dst.place, src.place,
                model::Load3D{p.l1H, p.l1W, p.channelSize, p.kExtension, p.mExtension, p.kStartPt,
                              p.mStartPt, p.enTranspose, plain});
}
template <typename T>
void LoadDataWithTranspose(const LocalTensor<T> &dst, const LocalTensor<T> &src,
                           const LoadData2dTransposeParams &p) {
    model::Load(TypeOf<T>::kType, dst.place, src.place,
                model::LoadTransposed{p.startIndex, p.repeatTimes, p.srcStride, p.dstGap, p.dstFracGap});
}

template <typename T> struct InitConstValueParams {
    InitConstValueParams(int64_t repeats, T value) : InitConstValueParams(repeats, 1, 0, value) {}
    InitConstValueParams(int64_t repeats, int64_t blocks, int64_t gap, T value)
        : repeatTimes(repeats), blockNum(blocks), dstGap(gap), initValue(value) {}
    int64_t repeatTimes, blockNum, dstGap;
    T initValue;
};
template <typename T> void InitConstValue(const LocalTensor<T> &dst, const InitConstValueParams<T> &p) {
    model::InitConst(sizeof(T), dst.place, p.repeatTimes, p.blockNum, p.dstGap, BitsOf(p.initValue));
}

struct MmadParams {
    int64_t m = 0, n = 0, k = 0;
    bool cmatrixInitVal = true;
};
template <typename C, typename A, typename B>
void Mmad(const LocalTensor<C> &dst, const LocalTensor<A> &a, const LocalTensor<B> &b,
          const MmadParams &p) {
    static_assert(TypeOf<A>::kType == TypeOf<B>::kType, "Mmad: both sides have one type");
    model::Multiply(TypeOf<A>::kType, TypeOf<C>::kType, dst.place, a.place, b.place,
                    {p.m, p.n, p.k, p.cmatrixInitVal});
}

struct FixpipeConfig {
    bool row_major;
};
constexpr FixpipeConfig CFG_ROW_MAJOR{true};
struct FixpipeParamsV220 {
    int64_t nSize = 0, mSize = 0, srcStride = 0, dstStride = 0;
    QuantMode_t quantPre = QuantMode_t::NoQuant;
    int64_t ndNum = 1, srcNdStride = 0, dstNdStride = 0;
};
template <typename T, typename U, const FixpipeConfig &kConfig>
void Fixpipe(const GlobalTensor<T> &dst, const LocalTensor<U> &src, const FixpipeParamsV220 &p) {
    static_assert(kConfig.row_major, "Fixpipe: the model knows CFG_ROW_MAJOR only");
    model::Fixpipe(TypeOf<T>::kType, TypeOf<U>::kType, dst.place, src.place,
                   {p.nSize, p.mSize, p.srcStride, p.dstStride, p.ndNum,
                    p.quantPre == QuantMode_t::F322F16 ? model::Type::kF16 : model::Type::kBf16,
                    p.quantPre != QuantMode_t::NoQuant});
}

}  // namespace AscendC

#endif
