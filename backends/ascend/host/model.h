// What stands between kernel_operator.h, which looks like Ascend C, and the model that does the work.
//
// The templates of kernel_operator.h turn each call into one of the plain structures below; the
// model checks it at once, where it is issued, and does it later, when its queue comes to it.
#ifndef TILEDSL_ASCEND_MODEL_H
#define TILEDSL_ASCEND_MODEL_H

#include <cstdint>

namespace ascend_model {

enum class Type : uint8_t { kU8, kI8, kU16, kI16, kF16, kBf16, kU32, kI32, kF32, kU64, kI64, kF64 };
enum class Memory : uint8_t { kUb, kL1, kL0A, kL0B, kL0C };
enum class Queue : uint8_t { kS, kMte1, kMte2, kMte3, kV, kM, kFix };
enum class KernelType : uint8_t { kVectorOnly, kCubeOnly, kMix1To2, kUnified };
enum class Atomic : uint8_t { kNone, kAdd, kMax, kMin };

constexpr int kQueues = 7;
constexpr int kMemories = 5;

// A place on chip: the bytes from `at` on, in an area that ends at `end`.
struct Place {
    Memory memory = Memory::kUb;
    int64_t begin = 0, end = 0, at = 0;
};

// A place in global memory, `at` bytes into an array of `size` bytes.
struct Global {
    uint8_t *base = nullptr;
    int64_t size = 0, at = 0;
};

enum class Op : uint8_t {
    kAdd, kSub, kMul, kDiv, kMax, kMin, kAnd, kOr,
    kExp, kLn, kSqrt, kAbs, kNot, kRelu,
    kAdds, kMuls, kMaxs, kMins, kShiftLeft, kShiftRight,
    kDuplicate, kCast
};
enum class Round : uint8_t { kNone, kRint, kFloor, kCeil, kRound, kTrunc, kOdd };
enum class Comparison : uint8_t { kLt, kGt, kEq, kLe, kGe, kNe };
enum class Fold : uint8_t { kSum, kMax, kMin };

// One operand of a vector instruction; strides in blocks of 32 bytes.
struct Operand {
    Place place;
    Type type = Type::kF32;
    int64_t block_stride = 1, repeat_stride = 8;
};

// An element-wise instruction: `count` elements in a row, or, where that is negative, `repeats`
// times the first `mask` lanes. `scalar` holds the bits of an element.
struct Vector {
    const char *name;
    Op op;
    int sources;
    Operand dst, a, b;
    uint64_t scalar = 0;
    Round mode = Round::kNone;
    int64_t count = -1, mask = 0, repeats = 0;
};

struct Pad {
    bool on = false;
    int64_t left = 0, right = 0;
    uint64_t value = 0;
};
struct Rows {
    int64_t count = 0, bytes = 0, src_gap = 0, dst_gap = 0;
};
struct Nd2Nz {
    int64_t matrices, rows, cols, src_matrix_stride, src_stride;
    int64_t dst_c0_stride, dst_row_stride, dst_matrix_stride;
};
struct Load2D {
    int64_t start, repeats, src_stride, dst_gap;
    bool transpose;
};
struct LoadTransposed {
    int64_t start, repeats, src_stride, dst_gap, dst_fractal_gap;
};
struct Load3D {
    int64_t height, width, channels, k_extension, m_extension, k_start, m_start;
    bool transpose, plain;
};
struct Product {
    int64_t m, n, k;
    bool first;
};
struct FixpipeCall {
    int64_t n, m, src_stride, dst_stride, matrices;
    Type quant;
    bool quantised;
};

void Issue(const Vector &call);
void Compare(Type type, Comparison op, const Place &mask, const Place &a, const Place *b,
             uint64_t scalar, int64_t count);
void Select(Type type, const Place &dst, const Place &mask, const Place &a, const Place *b,
            uint64_t scalar, int64_t count);
void Brcb(Type type, const Place &dst, const Place &src, int64_t repeats, int64_t block_stride,
          int64_t repeat_stride);
void Gather(Type type, const Place &dst, const Place &src, const Place &offsets, int64_t base,
            int64_t count);
void CreateIndex(Type type, const Place &dst, double first, int64_t count);
void WholeReduce(Type type, Fold fold, bool value_only, const Place &dst, const Place &src,
                 int64_t mask, int64_t repeats, int64_t dst_stride, int64_t block_stride,
                 int64_t repeat_stride);
void BlockReduce(Type type, Fold fold, const Place &dst, const Place &src, int64_t repeats,
                 int64_t mask, int64_t dst_stride, int64_t block_stride, int64_t repeat_stride);
void Transpose(Type type, const Place *dst, const Place *src, int64_t repeats, int64_t dst_stride,
               int64_t src_stride, bool halves);

void CopyIn(int size, const Place &dst, const Global &src, const Rows &rows, const Pad &pad);
void CopyOut(Type type, const Global &dst, const Place &src, const Rows &rows);
void CopyBlocksIn(int size, const Place &dst, const Global &src, const Rows &blocks);
void CopyBlocksOut(int size, const Global &dst, const Place &src, const Rows &blocks);
void DuplicateMasked(int size, const Place &dst, uint64_t value, const uint64_t *mask, int64_t repeats,
                     int64_t block_stride, int64_t repeat_stride);
void CopyToL1(const Place &dst, const Place &src, const Rows &rows);
void CopyFromL0C(Type type, const Place &dst, const Place &src, const Rows &rows);
void SetAtomic(Atomic atomic, Type type);
void CopyNz(int size, const Place &dst, const Global &src, const Nd2Nz &call);
void Load(Type type, const Place &dst, const Place &src, const Load2D &call);
void Load(Type type, const Place &dst, const Place &src, const LoadTransposed &call);
void Load(Type type, const Place &dst, const Place &src, const Load3D &call);
void InitConst(int size, const Place &dst, int64_t repeats, int64_t blocks, int64_t gap, uint64_t value);
void Multiply(Type type, Type out, const Place &dst, const Place &a, const Place &b,
              const Product &call);
void Fixpipe(Type out, Type in, const Global &dst, const Place &src, const FixpipeCall &call);

void SetFlag(Queue src, Queue dst, int64_t event);
void WaitFlag(Queue src, Queue dst, int64_t event);
void Barrier(Queue queue);
void BarrierAll();
void CrossSet(Queue queue, int64_t event);
void CrossWait(int64_t event);

// Direct access by the scalar unit: runs what the flags it has waited for have ordered.
const uint8_t *Read(const Place &place, int64_t bytes);
void Write(const Place &place, const void *value, int64_t bytes);
const uint8_t *Read(const Global &place, int64_t bytes);
void Write(const Global &place, const void *value, int64_t bytes);

void OpenPipe();
void ClosePipe();
Place Allocate(Memory memory, int64_t bytes);
void CheckKernelType(KernelType type);
int64_t BlockIndex();
int64_t BlockCount();
int64_t SubBlock();
bool IsCube();
void Print(const char *line);
// End the launch; its message is the line that was printed last.
[[noreturn]] void Trap();
[[noreturn]] void Fail(const char *instruction, const char *rule);

int Launch(KernelType type, int blocks, unsigned seed, void (*run)(void *), void *context,
           char *error, int error_size);

}  // namespace ascend_model

#endif
