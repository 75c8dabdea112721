// The vector unit: instructions that move elements between lanes: reductions, spreads, transposes.
#include <cmath>
#include <cstring>

#include "state.h"

namespace ascend_model {
namespace {

using half = _Float16;

template <typename T> T FoldTwo(Fold fold, T a, T b) {
    if (fold == Fold::kSum) return T(float(a) + float(b));
    if (a != a || b != b) return a != a ? a : b;
    return (fold == Fold::kMax) == (a > b) ? a : b;
}

// Neighbours first, as a tree does.
template <typename T> T FoldAll(Fold fold, T *lanes, int64_t n) {
    while (n > 1) {
        const int64_t half_n = n / 2;
        for (int64_t i = 0; i < half_n; ++i) lanes[i] = FoldTwo(fold, lanes[2 * i], lanes[2 * i + 1]);
        if (n % 2) lanes[half_n] = lanes[n - 1];
        n = (n + 1) / 2;
    }
    return lanes[0];
}

template <typename T> void FoldRows(Fold fold, uint8_t *dst, const uint8_t *src, int64_t mask, int64_t repeats,
                                    int64_t dst_stride, int64_t block_stride, int64_t repeat_stride) {
    constexpr int64_t per_block = kBlock / int64_t(sizeof(T));
    for (int64_t r = 0; r < repeats; ++r) {
        T lanes[128];
        for (int64_t i = 0; i < mask; ++i)
            std::memcpy(&lanes[i],
                        src + (r * repeat_stride + i / per_block * block_stride) * kBlock +
                            i % per_block * int64_t(sizeof(T)),
                        sizeof(T));
        const T result = FoldAll(fold, lanes, mask);
        std::memcpy(dst + r * dst_stride * int64_t(sizeof(T)), &result, sizeof(T));
    }
}

bool Overlap(const Place &a, int64_t a_bytes, const Place &b, int64_t b_bytes) {
    return a.at < b.at + b_bytes && b.at < a.at + a_bytes;
}

}  // namespace

void WholeReduce(Type type, Fold fold, bool value_only, const Place &dst, const Place &src, int64_t mask,
                 int64_t repeats, int64_t dst_stride, int64_t block_stride, int64_t repeat_stride) {
    static const char *const names[] = {"WholeReduceSum", "WholeReduceMax", "WholeReduceMin"};
    Instruction in(names[int(fold)], Queue::kV);
    const int64_t size = SizeOf(type);
    in.Require(type == Type::kF16 || type == Type::kF32, "takes half and float");
    in.Require(value_only, "the model knows ORDER_ONLY_VALUE only");
    in.Range("mask", mask, 1, 256 / size);
    in.Range("repeatTimes", repeats, 0, 255);
    in.Range("dstRepStride", dst_stride, 1, 65535);
    in.Range("srcBlkStride", block_stride, 0, 65535);
    in.Range("srcRepStride", repeat_stride, 0, 65535);
    in.Align("src", src, kBlock);
    in.Align("dst", dst, size);
    for (int64_t r = 0; r < repeats; ++r)
        for (int64_t done = 0, b = 0; done < mask * size; done += kBlock, ++b)
            in.Read("src", src, (r * repeat_stride + b * block_stride) * kBlock,
                    std::min(kBlock, mask * size - done));
    const int64_t last_block = (mask * size - 1) / kBlock;  // the mask keeps what is read within it
    const int64_t src_bytes = ((repeats - 1) * repeat_stride + last_block * block_stride + 1) * kBlock;
    const int64_t dst_bytes = ((repeats - 1) * dst_stride + 1) * size;
    if (repeats > 0) in.Require(!Overlap(dst, dst_bytes, src, src_bytes), "dst overlaps src");
    for (int64_t r = 0; r < repeats; ++r) in.Write("dst", dst, r * dst_stride * size, size);
    uint8_t *to = in.Pointer(dst);
    const uint8_t *from = in.Pointer(src);
    in.Do([=] {
        if (type == Type::kF16) FoldRows<half>(fold, to, from, mask, repeats, dst_stride, block_stride, repeat_stride);
        else FoldRows<float>(fold, to, from, mask, repeats, dst_stride, block_stride, repeat_stride);
    });
}

void BlockReduce(Type type, Fold fold, const Place &dst, const Place &src, int64_t repeats, int64_t mask,
                 int64_t dst_stride, int64_t block_stride, int64_t repeat_stride) {
    static const char *const names[] = {"BlockReduceSum", "BlockReduceMax", "BlockReduceMin"};
    Instruction in(names[int(fold)], Queue::kV);
    const int64_t size = SizeOf(type), per_block = kBlock / size;
    in.Require(type == Type::kF16 || type == Type::kF32, "takes half and float");
    in.Range("mask", mask, 1, 256 / size);
    in.Require(mask % per_block == 0, "the model knows whole blocks only");
    in.Range("repeatTimes", repeats, 0, 255);
    in.Range("dstRepStride", dst_stride, 1, 65535);
    in.Range("srcBlkStride", block_stride, 0, 65535);
    in.Range("srcRepStride", repeat_stride, 0, 65535);
    in.Align("src", src, kBlock);
    in.Align("dst", dst, 8 * size);
    const int64_t blocks = mask / per_block;
    for (int64_t r = 0; r < repeats; ++r)
        for (int64_t b = 0; b < blocks; ++b)
            in.Read("src", src, (r * repeat_stride + b * block_stride) * kBlock, kBlock);
    const int64_t src_bytes = ((repeats - 1) * repeat_stride + (blocks - 1) * block_stride + 1) * kBlock;
    const int64_t dst_bytes = ((repeats - 1) * dst_stride + 1) * 8 * size;
    if (repeats > 0) in.Require(!Overlap(dst, dst_bytes, src, src_bytes), "dst overlaps src");
    for (int64_t r = 0; r < repeats; ++r) in.Write("dst", dst, r * dst_stride * 8 * size, 8 * size);
    uint8_t *to = in.Pointer(dst);
    const uint8_t *from = in.Pointer(src);
    in.Do([=] {
        for (int64_t r = 0; r < repeats; ++r)
            for (int64_t b = 0; b < blocks; ++b) {
                uint8_t *out = to + (r * dst_stride * 8 + b) * size;
                const uint8_t *block = from + (r * repeat_stride + b * block_stride) * kBlock;
                if (type == Type::kF16) FoldRows<half>(fold, out, block, per_block, 1, 1, 1, 1);
                else FoldRows<float>(fold, out, block, per_block, 1, 1, 1, 1);
            }
    });
}

void Brcb(Type type, const Place &dst, const Place &src, int64_t repeats, int64_t block_stride,
          int64_t repeat_stride) {
    Instruction in("Brcb", Queue::kV);
    in.Require(!Unified(), kNotUnified);
    const int64_t size = SizeOf(type);
    in.Require(size == 2 || size == 4, "takes 16 and 32 bits");
    in.Range("repeatTimes", repeats, 0, 255);
    in.Range("dstBlkStride", block_stride, 1, 65535);
    in.Range("dstRepStride", repeat_stride, 0, 65535);
    in.Align("dst", dst, kBlock);
    in.Align("src0", src, kBlock);
    in.Read("src0", src, 0, repeats * 8 * size);
    if (repeats > 0)
        in.Require(!Overlap(dst, (repeats - 1) * repeat_stride * kBlock + 8 * block_stride * kBlock, src,
                            repeats * 8 * size),
                   "dst overlaps src0");
    for (int64_t i = 0; i < repeats * 8; ++i)
        in.Write("dst", dst, (i / 8 * repeat_stride + i % 8 * block_stride) * kBlock, kBlock);
    uint8_t *to = in.Pointer(dst);
    const uint8_t *from = in.Pointer(src);
    in.Do([=] {
        for (int64_t i = 0; i < repeats * 8; ++i)
            for (int64_t b = 0; b < kBlock; b += size)
                std::memcpy(to + (i / 8 * repeat_stride + i % 8 * block_stride) * kBlock + b,
                            from + i * size, size_t(size));
    });
}

void Gather(Type type, const Place &dst, const Place &src, const Place &offsets, int64_t base, int64_t count) {
    Instruction in("Gather", Queue::kV);
    const int64_t size = SizeOf(type), room = src.end - src.at;
    in.Require(size == 2 || size == 4, "takes 16 and 32 bits");
    in.Align("dst", dst, kBlock);
    in.Align("src", src, kBlock);
    in.Align("srcOffset", offsets, kBlock);
    in.Read("srcOffset", offsets, 0, count * 4);
    // Which elements it takes is known when it runs; till then all of the buffer counts as read.
    in.Read("src", src, 0, room);
    in.Write("dst", dst, 0, count * size);
    uint8_t *to = in.Pointer(dst);
    const uint8_t *from = in.Pointer(src), *at = in.Pointer(offsets);
    in.Do([=] {
        for (int64_t i = 0; i < count; ++i) {
            uint32_t offset;
            std::memcpy(&offset, at + i * 4, 4);
            const int64_t first = base + int64_t(offset);
            if (first % size != 0 || first + size > room)
                Fail("Gather: offset " + std::to_string(first) + " is outside of src, which has " +
                     std::to_string(room) + " bytes, or not aligned");
            std::memcpy(to + i * size, from + first, size_t(size));
        }
    });
}

void CreateIndex(Type type, const Place &dst, double first, int64_t count) {
    Instruction in("CreateVecIndex", Queue::kV);
    in.Require(!Unified(), kNotUnified);
    const int64_t size = SizeOf(type);
    in.Require(type == Type::kI16 || type == Type::kI32 || type == Type::kF16 || type == Type::kF32,
               "takes int16_t, int32_t, half and float");
    in.Align("dst", dst, kBlock);
    in.Write("dst", dst, 0, count * size);
    uint8_t *to = in.Pointer(dst);
    in.Do([=] {
        for (int64_t i = 0; i < count; ++i) {
            const double value = first + double(i);
            auto put = [&](auto v) { std::memcpy(to + i * size, &v, sizeof v); };
            if (type == Type::kI16) put(int16_t(value));
            else if (type == Type::kI32) put(int32_t(int64_t(value)));
            else if (type == Type::kF16) put(half(float(value)));
            else put(float(value));
        }
    });
}

void Transpose(Type type, const Place *dst, const Place *src, int64_t repeats, int64_t dst_stride,
               int64_t src_stride, bool halves) {
    Instruction in("TransDataTo5HD", Queue::kV);
    const int64_t size = SizeOf(type);
    in.Require(size == 2 || size == 4, "the model knows 16 and 32 bits");
    in.Require(!halves, "the halves are for 8 bits");
    in.Range("repeatTimes", repeats, 1, 255);
    in.Range("dstRepStride", dst_stride, 0, 65535);
    in.Range("srcRepStride", src_stride, 0, 65535);
    in.Require(repeats > 1 || (dst_stride == 0 && src_stride == 0), "one repeat takes strides of 0");
    uint8_t *to[16];
    const uint8_t *from[16];
    for (int i = 0; i < 16; ++i) {
        in.Align("dst", dst[i], kBlock);
        in.Align("src", src[i], kBlock);
        for (int64_t r = 0; r < repeats; ++r) in.Read("src", src[i], r * src_stride * kBlock, kBlock);
        from[i] = in.Pointer(src[i]);
        to[i] = in.Pointer(dst[i]);
    }
    for (int i = 0; i < 16; ++i)
        for (int64_t r = 0; r < repeats; ++r) in.Write("dst", dst[i], r * dst_stride * kBlock, kBlock);
    std::vector<uint8_t *> outs(to, to + 16);
    std::vector<const uint8_t *> ins(from, from + 16);
    in.Do([=] {
        const int64_t lanes = kBlock / size;
        for (int64_t r = 0; r < repeats; ++r) {
            uint8_t block[16][kBlock];
            for (int i = 0; i < 16; ++i) std::memcpy(block[i], ins[i] + r * src_stride * kBlock, kBlock);
            // Element (i, c) goes to row c, which is one list entry of 16 bits or two of 32.
            for (int64_t i = 0; i < 16; ++i)
                for (int64_t c = 0; c < lanes; ++c) {
                    uint8_t *row = size == 2 ? outs[c] : outs[2 * c + i / 8];
                    std::memcpy(row + r * dst_stride * kBlock + (size == 2 ? i : i % 8) * size,
                                block[i] + c * size, size_t(size));
                }
        }
    });
}

}  // namespace ascend_model
