// The leaf operations that a unified core (__NPU_ARCH__ 2002: Ascend 310P) does in a way of its own.
//
// A part of tiledsl_ascend.h, which includes it. Written after the documentation of Ascend C for
// "Atlas inference series, AI Core" and checked on the model of host/ only: no board has run it.
// What that documentation says, and what follows:
// - DataCopyPad and DataCopy with Nd2NzParams need other chips, or scratch and events of a TPipe that
//   is destroyed here. DataCopy takes lengths and gaps in blocks of 32 bytes, from and to any
//   element of global memory. A row that ends inside a block is read with what stands behind it
//   where that is still in the array; else, and on the way out, the scalar unit moves the rest.
// - Brcb and CreateVecIndex work through the scalar unit or scratch of the TPipe: TransDataTo5HD
//   and Adds take their place.
// - Cast rounds f32 to f16 and i32 to f32 to nearest only, and calls that CAST_NONE.
// - The scalar unit writes global memory through a cache with lines of 64 bytes that knows nothing of
//   other cores: rows shorter than a block, which have no other way, are right where no two blocks
//   of the launch write into one line at one time.
#ifndef TILEDSL_UNIFIED_H
#define TILEDSL_UNIFIED_H

namespace tdsl {

// Scratch in UB: last blocks of rows on their way out, a column of blocks on its way to L1, and
// blocks that nobody reads.
constexpr int32_t kTailRows = 64, kColumnRows = 32;
constexpr uint32_t kColumnAt = kTailRows * kBlockBytes;
constexpr uint32_t kWasteAt = kColumnAt + kColumnRows * kBlockBytes;

// Programs use events 0 to 5; each hand-over here is over before the next begins.
template <HardEvent kEvent> TDSL_FN void HandOver() {
    SetFlag<kEvent>(6);
    WaitFlag<kEvent>(6);
}

// An array in global memory from some element on, and how many elements there are from there.
template <typename T> struct Bounded {
    GlobalTensor<T> tensor;
    int64_t room;
    TDSL_FN void SetGlobalBuffer(__gm__ T *address, uint64_t elements) {
        tensor.SetGlobalBuffer(address, elements);
        room = int64_t(elements);
    }
    TDSL_FN Bounded operator[](int64_t offset) const { return {tensor[uint64_t(offset)], room - offset}; }
};

template <typename T> TDSL_FN auto Get(const Bounded<T> &array, int64_t offset) {
    return tdsl::Get(array.tensor, offset);
}

// ---- whole blocks -------------------------------------------------------------------------------

// How many rows one instruction takes, with these gaps between them in elements.
template <typename T> TDSL_FN int32_t RowsAtOnce(int64_t global_gap, int64_t local_gap) {
    constexpr int64_t per = kPerBlock<T>, most = 65535 * per;
    const bool fit = global_gap >= 0 && global_gap % per == 0 && global_gap <= most && local_gap >= 0 &&
                     local_gap % per == 0 && local_gap <= most;
    return fit ? 4095 : 1;
}

// Rows of `blocks` blocks each, from global memory to UB or L1.
template <typename T>
TDSL_FN void BlocksIn(const LocalTensor<T> &dst, const GlobalTensor<T> &src, int32_t blocks, Axis axis) {
    constexpr int32_t per = kPerBlock<T>;
    const int64_t src_gap = axis.global_stride - blocks * per, dst_gap = axis.local_stride - blocks * per;
    const int32_t most = tdsl::RowsAtOnce<T>(src_gap, dst_gap);
    for (int32_t done = 0; done < axis.count; done += most) {
        const int32_t n = Least(most, axis.count - done);
        DataCopy(dst[uint32_t(done * axis.local_stride)], src[uint64_t(done * axis.global_stride)],
                 DataCopyParams(uint16_t(n), uint16_t(blocks), uint16_t(n > 1 ? src_gap / per : 0),
                                uint16_t(n > 1 ? dst_gap / per : 0)));
    }
}

// The same from UB to global memory.
template <typename T>
TDSL_FN void BlocksOut(const GlobalTensor<T> &dst, const LocalTensor<T> &src, int32_t blocks, Axis axis) {
    constexpr int32_t per = kPerBlock<T>;
    const int64_t dst_gap = axis.global_stride - blocks * per, src_gap = axis.local_stride - blocks * per;
    const int32_t most = tdsl::RowsAtOnce<T>(dst_gap, src_gap);
    for (int32_t done = 0; done < axis.count; done += most) {
        const int32_t n = Least(most, axis.count - done);
        DataCopy(dst[uint64_t(done * axis.global_stride)], src[uint32_t(done * axis.local_stride)],
                 DataCopyParams(uint16_t(n), uint16_t(blocks), uint16_t(n > 1 ? src_gap / per : 0),
                                uint16_t(n > 1 ? dst_gap / per : 0)));
    }
}

// ---- global memory to UB ------------------------------------------------------------------------

// How many of the rows have `reach` elements in the array from their start on, counted from the first.
template <typename T> TDSL_FN int32_t RowsInside(const Bounded<T> &array, int32_t reach, Axis axis) {
    int32_t rows = 0;
    while (rows < axis.count && rows * axis.global_stride + reach <= array.room) ++rows;
    return rows;
}

// Fill each row from element `length` to the end of its block.
template <typename T, typename P>
TDSL_FN void PadRows(const LocalTensor<T> &dst, int32_t length, P pad, Axis axis) {
    constexpr int32_t per = kPerBlock<T>;
    const int32_t tail = length % per, block = length - tail;
    const T value = ElementOf<T>::From(pad);
    if constexpr (sizeof(T) == 1 || sizeof(T) == 8) {
        tdsl::HandOver<HardEvent::MTE2_S>();
        for (int32_t row = 0; row < axis.count; ++row)
            for (int32_t i = tail; i < per; ++i) dst.SetValue(uint32_t(row * axis.local_stride + block + i), value);
        tdsl::HandOver<HardEvent::S_MTE2>();
    } else {
        uint64_t lanes[2] = {((uint64_t(1) << per) - 1) & ~((uint64_t(1) << tail) - 1), 0};
        const int32_t stride = axis.local_stride / per, most = stride <= kMaxStride ? kMaxRepeats : 1;
        tdsl::HandOver<HardEvent::MTE2_V>();
        for (int32_t row = 0; row < axis.count; row += most)
            Duplicate(dst[uint32_t(row * axis.local_stride + block)], value, lanes,
                      uint8_t(Least(most, axis.count - row)), uint16_t(1), uint8_t(most == 1 ? 8 : stride));
        tdsl::HandOver<HardEvent::V_MTE2>();
    }
}

template <typename T, typename P>
TDSL_FN void CopyIn(const LocalTensor<T> &dst, const Bounded<T> &src, int32_t length, P pad, Axis axis) {
    if (length <= 0 || axis.count <= 0) return;
    constexpr int32_t per = kPerBlock<T>;
    const int32_t whole = length / per, tail = length % per;
    if (tail == 0) return tdsl::BlocksIn(dst, src.tensor, whole, axis);
    const int32_t inside = tdsl::RowsInside(src, (whole + 1) * per, axis);
    if (inside > 0)
        tdsl::BlocksIn(dst, src.tensor, whole + 1, Axis{inside, axis.global_stride, axis.local_stride});
    if (inside < axis.count) {
        const LocalTensor<T> to = dst[uint32_t(inside * axis.local_stride)];
        const GlobalTensor<T> from = src.tensor[uint64_t(inside * axis.global_stride)];
        const Axis rest{axis.count - inside, axis.global_stride, axis.local_stride};
        if (whole > 0) tdsl::BlocksIn(to, from, whole, rest);
        tdsl::HandOver<HardEvent::MTE2_S>();
        for (int32_t row = 0; row < rest.count; ++row)
            for (int32_t i = whole * per; i < length; ++i)
                to.SetValue(uint32_t(row * rest.local_stride + i),
                            from.GetValue(uint64_t(row * rest.global_stride + i)));
        tdsl::HandOver<HardEvent::S_MTE2>();
    }
    tdsl::PadRows(dst, length, pad, axis);
}
template <typename T, typename P>
TDSL_FN void CopyIn(const LocalTensor<T> &dst, const Bounded<T> &src, int32_t length, P pad) {
    tdsl::CopyIn(dst, src, length, pad, Axis{1, 0, 0});
}
template <typename T, typename P, typename... Inner>
TDSL_FN void CopyIn(const LocalTensor<T> &dst, const Bounded<T> &src, int32_t length, P pad, Axis axis,
                    Inner... inner) {
    for (int32_t i = 0; i < axis.count; ++i)
        tdsl::CopyIn(dst[uint32_t(i * axis.local_stride)], src[i * axis.global_stride], length, pad, inner...);
}

// ---- UB to global memory ------------------------------------------------------------------------

// Elements `first` to `first + count` of rows of `length` that follow each other, one after the other.
template <typename T>
TDSL_FN void Pack(const LocalTensor<T> &dst, const LocalTensor<T> &src, int32_t length, int32_t stride, int32_t first,
                  int32_t count) {
    for (int32_t i = 0; i < count; ++i) {
        const int32_t at = first + i;
        dst.SetValue(uint32_t(i), src.GetValue(uint32_t(at / length * stride + at % length)));
    }
}

// Rows that are one run of bytes in global memory: packed first. There is at least a block of them.
template <typename T>
TDSL_FN void RunOut(const GlobalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<T> &spare, int32_t length,
                    Axis axis) {
    constexpr int32_t per = kPerBlock<T>;
    const int32_t total = axis.count * length;
    for (int32_t done = 0; done < total; done += kTailRows * per) {
        const int32_t blocks = Least(kTailRows, (total - done) / per);
        if (blocks == 0) break;
        tdsl::HandOver<HardEvent::MTE3_S>();
        tdsl::Pack(spare, src, length, axis.local_stride, done, blocks * per);
        tdsl::HandOver<HardEvent::S_MTE3>();
        tdsl::BlocksOut(dst[uint64_t(done)], spare, blocks, Axis{1, 0, 0});
    }
    if (total % per == 0) return;
    tdsl::HandOver<HardEvent::MTE3_S>();
    tdsl::Pack(spare, src, length, axis.local_stride, total - per, per);
    tdsl::HandOver<HardEvent::S_MTE3>();
    tdsl::BlocksOut(dst[uint64_t(total - per)], spare, 1, Axis{1, 0, 0});
}

// Rows that end inside a block and have at least one: their last 32 bytes once more, from scratch.
template <typename T>
TDSL_FN void TailsOut(const GlobalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<T> &spare,
                      int32_t length, Axis axis) {
    constexpr int32_t per = kPerBlock<T>;
    for (int32_t done = 0; done < axis.count; done += kTailRows) {
        const int32_t n = Least(kTailRows, axis.count - done);
        tdsl::HandOver<HardEvent::MTE3_S>();
        for (int32_t row = 0; row < n; ++row)
            tdsl::Pack(spare[uint32_t(row * per)], src[uint32_t((done + row) * axis.local_stride)], length, 0,
                       length - per, per);
        tdsl::HandOver<HardEvent::S_MTE3>();
        tdsl::BlocksOut(dst[uint64_t(done * axis.global_stride + length - per)], spare, 1,
                        Axis{n, axis.global_stride, per});
    }
}

template <typename T>
TDSL_FN void CopyOut(const Bounded<T> &dst, const LocalTensor<T> &src, const LocalTensor<uint8_t> &scratch,
                     int32_t length, Axis axis) {
    if (length <= 0 || axis.count <= 0) return;
    constexpr int32_t per = kPerBlock<T>;
    const LocalTensor<T> spare = scratch.ReinterpretCast<T>();
    const int32_t whole = length / per;
    if (whole > 0) {
        tdsl::BlocksOut(dst.tensor, src, whole, axis);
        if (length % per != 0) tdsl::TailsOut(dst.tensor, src, spare, length, axis);
    } else if (axis.global_stride == length && int64_t(axis.count) * length >= per) {
        tdsl::RunOut(dst.tensor, src, spare, length, axis);
    } else {
        tdsl::HandOver<HardEvent::MTE3_S>();
        for (int32_t row = 0; row < axis.count; ++row)
            for (int32_t i = 0; i < length; ++i) {
                const GlobalTensor<T> to = dst.tensor[uint64_t(row * axis.global_stride + i)];
                to.SetValue(0, src.GetValue(uint32_t(row * axis.local_stride + i)));
                DataCacheCleanAndInvalid<T, CacheLine::SINGLE_CACHE_LINE>(to);
            }
        tdsl::HandOver<HardEvent::S_MTE3>();
    }
}
template <typename T>
TDSL_FN void CopyOut(const Bounded<T> &dst, const LocalTensor<T> &src, const LocalTensor<uint8_t> &scratch,
                     int32_t length) {
    tdsl::CopyOut(dst, src, scratch, length, Axis{1, 0, 0});
}
template <typename T, typename... Inner>
TDSL_FN void CopyOut(const Bounded<T> &dst, const LocalTensor<T> &src, const LocalTensor<uint8_t> &scratch,
                     int32_t length, Axis axis, Inner... inner) {
    for (int32_t i = 0; i < axis.count; ++i)
        tdsl::CopyOut(dst[i * axis.global_stride], src[uint32_t(i * axis.local_stride)], scratch, length, inner...);
}

// ---- the vector unit ----------------------------------------------------------------------------

// dst[i] = first + i: a block by the scalar unit, then twice as much each time.
template <typename T, typename S> TDSL_FN void Iota(const LocalTensor<T> &dst, S first, int32_t count) {
    if (count <= 0) return;
    const T start = ElementOf<T>::From(first);
    tdsl::HandOver<HardEvent::V_S>();
    for (int32_t i = 0; i < Least(kPerBlock<T>, count); ++i) dst.SetValue(uint32_t(i), T(start + T(i)));
    tdsl::HandOver<HardEvent::S_V>();
    for (int32_t done = kPerBlock<T>; done < count; done *= 2) {
        Adds(dst[uint32_t(done)], dst, T(done), Least(done, count - done));
        PipeBarrier<PIPE_V>();
    }
}

// Block i of dst is src[i] throughout; in groups of 8. Sixteen rows that hold the same 16 elements, or
// eight of one block and eight of the next, are these blocks when they are transposed.
template <typename T>
TDSL_FN void SpreadBlocks(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<T> &waste,
                          int32_t repeats, bool half_only) {
    constexpr int32_t per = kPerBlock<T>, words = int32_t(sizeof(T)) / 2;
    LocalTensor<T> from[16], to[16];
    for (int32_t i = 0; i < 16; ++i) {
        const int32_t block = words == 1 ? i : i / 2 + i % 2 * 8;
        from[i] = words == 1 || i < 8 || half_only ? src : src[uint32_t(per)];
        to[i] = half_only && block >= 8 ? waste[uint32_t((block - 8) * per)] : dst[uint32_t(block * per)];
    }
    const bool many = repeats > 1;
    TransDataTo5HD<T>(to, from, TransDataTo5HDParams(false, false, uint8_t(repeats), many ? 16 : 0, many ? words : 0));
}
template <typename T>
TDSL_FN void Spread(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<uint8_t> &scratch,
                    int32_t count) {
    constexpr int32_t per = kPerBlock<T>;
    const int32_t groups = CeilDiv(count, 8), pairs = groups / 2;
    const LocalTensor<T> waste = scratch[kWasteAt].ReinterpretCast<T>();
    for (int32_t done = 0; done < pairs; done += kMaxRepeats)
        tdsl::SpreadBlocks(dst[uint32_t(done * 16 * per)], src[uint32_t(done * 16)], waste,
                           Least(kMaxRepeats, pairs - done), false);
    if (groups % 2 != 0)
        tdsl::SpreadBlocks(dst[uint32_t(pairs * 16 * per)], src[uint32_t(pairs * 16)], waste, 1, true);
}

// ---- the cube unit ------------------------------------------------------------------------------

// Row-major global memory to NZ in L1: whole blocks of columns at once, the last columns through UB,
// where they are filled up with zeros.
template <typename T>
TDSL_FN void LoadNz(const LocalTensor<T> &dst, const Bounded<T> &src, const LocalTensor<uint8_t> &scratch, int32_t rows,
                    int32_t cols, int64_t src_stride, int32_t dst_rows) {
    if (rows <= 0 || cols <= 0) return;
    constexpr int32_t c0 = kPerBlock<T>;
    const int32_t whole = cols / c0, tail = cols % c0;
    if (whole <= rows && tdsl::RowsAtOnce<T>(src_stride - c0, 0) > 1) {
        for (int32_t j = 0; j < whole; ++j)
            tdsl::BlocksIn(dst[uint32_t(j * dst_rows * c0)], src.tensor[uint64_t(j * c0)], 1,
                           Axis{rows, src_stride, c0});
    } else {
        for (int32_t row = 0; row < rows && whole > 0; ++row)
            tdsl::BlocksIn(dst[uint32_t(row * c0)], src.tensor[uint64_t(row * src_stride)], 1,
                           Axis{whole, c0, dst_rows * c0});
    }
    if (tail == 0) return;
    const LocalTensor<T> column = scratch[kColumnAt].ReinterpretCast<T>();
    for (int32_t row = 0; row < rows; row += kColumnRows) {
        const int32_t n = Least(kColumnRows, rows - row);
        tdsl::CopyIn(column, src[row * src_stride + whole * c0], tail, 0, Axis{n, src_stride, c0});
        tdsl::HandOver<HardEvent::MTE2_MTE3>();
        DataCopy(dst[uint32_t((whole * dst_rows + row) * c0)], column, DataCopyParams(1, uint16_t(n), 0, 0));
        tdsl::HandOver<HardEvent::MTE3_MTE2>();
    }
}

// Fractals of zeros in L0A or L0B: the operand of an empty sum.
template <typename T> TDSL_FN void LoadZeros(const LocalTensor<T> &dst, int32_t fractals) {
    for (int32_t done = 0; done < fractals; done += kMaxRepeats)
        InitConstValue(dst[uint32_t(done * kPerFractal<T>)].template ReinterpretCast<half>(),
                       InitConstValueParams<half>(uint16_t(Least(kMaxRepeats, fractals - done)), half(0)));
}

}  // namespace tdsl

#endif
