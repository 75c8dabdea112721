// What unified cores copy and fill in a way of their own: blocks of 32 bytes, and single lanes.
#include <cstring>

#include "state.h"

namespace ascend_model {
namespace {

void CheckRows(const Instruction &in, const Rows &blocks) {
    in.Range("blockCount", blocks.count, 1, 4095);
    in.Range("blockLen", blocks.bytes, 1, 65535);
    in.Range("srcStride", blocks.src_gap, 0, 65535);
    in.Range("dstStride", blocks.dst_gap, 0, 65535);
}

}  // namespace

void CopyBlocksIn(int size, const Place &dst, const Global &src, const Rows &blocks) {
    Instruction in("DataCopy", Queue::kMte2);
    CheckRows(in, blocks);
    in.Require(dst.memory == Memory::kUb || dst.memory == Memory::kL1, "dst must be in UB or L1");
    in.Require(src.at % size == 0, "src must start at an element");
    in.Align("dst", dst, kBlock);
    const int64_t row = blocks.bytes * kBlock;
    const int64_t from_step = row + blocks.src_gap * kBlock, to_step = row + blocks.dst_gap * kBlock;
    for (int64_t r = 0; r < blocks.count; ++r) {
        in.Check("src", src, r * from_step, row);
        in.Write("dst", dst, r * to_step, row);
    }
    uint8_t *to = in.Pointer(dst);
    const uint8_t *from = src.base + src.at;
    in.Do([=] {
        for (int64_t r = 0; r < blocks.count; ++r) std::memcpy(to + r * to_step, from + r * from_step, size_t(row));
    });
}

void CopyBlocksOut(int size, const Global &dst, const Place &src, const Rows &blocks) {
    Instruction in("DataCopy", Queue::kMte3);
    CheckRows(in, blocks);
    in.Require(src.memory == Memory::kUb, "src must be in UB");
    in.Require(dst.at % size == 0, "dst must start at an element");
    in.Require(Current().atomic == Atomic::kNone, "the model adds nothing to blocks");
    in.Align("src", src, kBlock);
    const int64_t row = blocks.bytes * kBlock;
    const int64_t from_step = row + blocks.src_gap * kBlock, to_step = row + blocks.dst_gap * kBlock;
    for (int64_t r = 0; r < blocks.count; ++r) {
        in.Read("src", src, r * from_step, row);
        in.Check("dst", dst, r * to_step, row);
    }
    uint8_t *to = dst.base + dst.at;
    const uint8_t *from = in.Pointer(src);
    in.Do([=] {
        for (int64_t r = 0; r < blocks.count; ++r) std::memcpy(to + r * to_step, from + r * from_step, size_t(row));
    });
}

void DuplicateMasked(int size, const Place &dst, uint64_t value, const uint64_t *mask, int64_t repeats,
                     int64_t block_stride, int64_t repeat_stride) {
    Instruction in("Duplicate", Queue::kV);
    in.Require(size == 2 || size == 4, "takes 16 and 32 bits");
    in.Require(size == 2 || mask[1] == 0, "32 bits have 64 lanes");
    in.Require(mask[0] != 0 || mask[1] != 0, "no lane is set");
    in.Range("repeatTimes", repeats, 1, 255);
    in.Range("dstBlockStride", block_stride, 1, 255);
    in.Range("dstRepeatStride", repeat_stride, 0, 255);
    in.Align("dst", dst, kBlock);
    const int64_t lanes = 256 / size, per_block = kBlock / size;
    std::vector<int64_t> places;
    for (int64_t i = 0; i < lanes; ++i)
        if (mask[i / 64] >> (i % 64) & 1) places.push_back(i / per_block * block_stride * kBlock + i % per_block * size);
    for (int64_t r = 0; r < repeats; ++r)
        for (const int64_t at : places) in.Write("dst", dst, r * repeat_stride * kBlock + at, size);
    uint8_t *to = in.Pointer(dst);
    in.Do([=] {
        for (int64_t r = 0; r < repeats; ++r)
            for (const int64_t at : places) std::memcpy(to + r * repeat_stride * kBlock + at, &value, size_t(size));
    });
}

void Write(const Global &place, const void *value, int64_t bytes) {
    const Instruction in("SetValue", Queue::kS);
    in.Check("dst", place, 0, bytes);
    std::memcpy(place.base + place.at, value, size_t(bytes));
}

}  // namespace ascend_model
