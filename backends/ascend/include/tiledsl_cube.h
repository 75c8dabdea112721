// The leaf operations of the cube: matrix tiles through L1 and L0, products, results.
//
// A part of tiledsl_ascend.h, which includes it.
#ifndef TILEDSL_CUBE_H
#define TILEDSL_CUBE_H

#include "tiledsl_ascend.h"

namespace tdsl {

#if !TDSL_UNIFIED
// Row-major global memory to NZ in L1.
template <typename T>
TDSL_FN void LoadNz(const LocalTensor<T> &dst, const GlobalTensor<T> &src, int32_t rows, int32_t cols,
                    int64_t src_stride, int32_t dst_rows) {
    if (rows <= 0 || cols <= 0) return;
    if (rows == 1 || src_stride <= 65535) {
        const uint16_t stride = uint16_t(rows == 1 ? cols : src_stride);
        DataCopy(dst, src,
                 Nd2NzParams{1, uint16_t(rows), uint16_t(cols), 0, stride, uint16_t(dst_rows), 1, 0});
        return;
    }
    for (int32_t row = 0; row < rows; ++row)
        DataCopy(dst[uint32_t(row * kPerBlock<T>)], src[uint64_t(row * src_stride)],
                 Nd2NzParams{1, 1, uint16_t(cols), 0, uint16_t(cols), uint16_t(dst_rows), 1, 0});
}

// Zeros in `blocks` blocks of 32 bytes of L1, before what the same queue copies there.
template <typename T> TDSL_FN void ClearBlocks(const LocalTensor<T> &dst, int32_t blocks) {
    constexpr int32_t most = 32767;
    for (int32_t done = 0; done < blocks; done += most)
        InitConstValue(dst[uint32_t(done * kPerBlock<T>)].template ReinterpretCast<uint32_t>(),
                       InitConstValueParams<uint32_t>(1, uint16_t(Least(most, blocks - done)), 0, 0));
    PipeBarrier<PIPE_MTE2>();
}

// Matrices that lie apart in global memory, in rows of one NZ matrix that lie apart too.
template <typename T>
TDSL_FN void LoadParts(const LocalTensor<T> &dst, const GlobalTensor<T> &src, int32_t rows, int32_t cols,
                       int64_t src_stride, int32_t dst_rows) {
    tdsl::LoadNz(dst, src, rows, cols, src_stride, dst_rows);
}
template <typename T, typename... Inner>
TDSL_FN void LoadParts(const LocalTensor<T> &dst, const GlobalTensor<T> &src, int32_t rows, int32_t cols,
                       int64_t src_stride, int32_t dst_rows, Axis axis, Inner... inner) {
    for (int32_t i = 0; i < axis.count; ++i)
        tdsl::LoadParts(dst[uint32_t(i * axis.local_stride * kPerBlock<T>)], src[uint64_t(i * axis.global_stride)], rows,
                        cols, src_stride, dst_rows, inner...);
}
template <typename T, typename... Axes>
TDSL_FN void LoadWindow(const LocalTensor<T> &dst, const GlobalTensor<T> &src, bool clear, int32_t skip, int32_t rows,
                        int32_t cols, int64_t src_stride, int32_t dst_rows, Axes... axes) {
    if (clear) tdsl::ClearBlocks(dst, CeilDiv(cols, kPerBlock<T>) * dst_rows);
    if (rows > 0 && cols > 0)
        tdsl::LoadParts(dst[uint32_t(skip * kPerBlock<T>)], src, rows, cols, src_stride, dst_rows, axes...);
}
#endif

// Fractals `src_step` apart to fractals one after the other.
template <typename T>
TDSL_FN void LoadFractals(const LocalTensor<T> &dst, const LocalTensor<T> &src, int32_t count, int32_t src_step,
                          bool transpose) {
    for (int32_t done = 0; done < count; done += kMaxRepeats)
        LoadData(dst[uint32_t(done * kPerFractal<T>)], src[uint32_t(done * src_step * kPerFractal<T>)],
                 LoadData2DParams(0, uint8_t(Least(kMaxRepeats, count - done)), uint16_t(src_step), 0, 0,
                                  transpose, 0));
}

// `cols` columns from `col` on of an NZ tile of 32-bit elements, transposed: see LoadA and LoadB.
template <typename T>
TDSL_FN void LoadTransposed32(const LocalTensor<T> &dst, const LocalTensor<T> &src, int32_t rows, int32_t src_rows,
                              int32_t col, int32_t cols) {
    LoadData3DParamsV2<T> params;
    params.l1H = 1;
    params.l1W = uint16_t(src_rows);
    params.channelSize = uint16_t(RoundUp(col + cols, 8));
    params.kExtension = uint16_t(RoundUp(cols, 8));
    params.mExtension = uint16_t(RoundUp(rows, 16));
    params.kStartPt = uint16_t(col);
    params.mStartPt = 0;
    params.strideW = 1;
    params.strideH = 1;
    params.filterW = 1;
    params.filterH = 1;
    params.dilationFilterW = 1;
    params.dilationFilterH = 1;
    params.enTranspose = true;
    LoadData(dst, src, params);
}

#if !TDSL_UNIFIED
// Fractals of zeros in L0A or L0B: the operand of an empty sum.
template <typename T> TDSL_FN void LoadZeros(const LocalTensor<T> &dst, int32_t fractals) {
    InitConstValue(dst.template ReinterpretCast<uint32_t>(), InitConstValueParams<uint32_t>(1, uint16_t(fractals), 0, 0));
}
#endif

// NZ in L1 to Zz in L0A: m x k, in L1 the other way round with kTransposed.
// f32 transposed with an odd number of fractals along k writes one fractal more.
template <bool kTransposed, typename T>
TDSL_FN void LoadA(const LocalTensor<T> &dst, const LocalTensor<T> &src, int32_t m, int32_t k, int32_t src_rows) {
    if (m <= 0) return;
    if (k <= 0) return tdsl::LoadZeros(dst, CeilDiv(m, 16));
    constexpr int32_t c0 = kPerBlock<T>;
    const int32_t depth = CeilDiv(k, c0), row_elements = depth * kPerFractal<T>;
    if constexpr (!kTransposed) {
        for (int32_t i = 0; i < CeilDiv(m, 16); ++i)
            tdsl::LoadFractals(dst[uint32_t(i * row_elements)], src[uint32_t(i * kPerFractal<T>)], depth, src_rows / 16, false);
    } else if constexpr (sizeof(T) == 2) {
        for (int32_t i = 0; i < CeilDiv(m, 16); ++i)
            tdsl::LoadFractals(dst[uint32_t(i * row_elements)], src[uint32_t(i * src_rows * c0)], depth, 1, true);
    } else if constexpr (sizeof(T) == 4) {
        for (int32_t i = 0; i < CeilDiv(m, 16); ++i) {
            // The fractal too many of the rows before is overwritten here.
            if (i > 0 && depth % 2 == 1) PipeBarrier<PIPE_MTE1>();
            tdsl::LoadTransposed32(dst[uint32_t(i * row_elements)], src, k, src_rows, i * 16, Least(16, m - i * 16));
        }
    } else {
        // Squares of 32 x 32 become two fractals, in rows 2i and 2i + 1 of L0A.
        for (int32_t i = 0; i < CeilDiv(m, 32); ++i)
            for (int32_t done = 0; done < depth; done += kMaxRepeats)
                LoadDataWithTranspose(dst[uint32_t(2 * i * row_elements + done * kPerFractal<T>)],
                                      src[uint32_t(i * src_rows * c0 + done * 2 * kPerFractal<T>)],
                                      LoadData2dTransposeParams(0, uint8_t(Least(kMaxRepeats, depth - done)), 1, 0,
                                                                uint16_t(depth - 1)));
    }
}

// NZ in L1 to Zn in L0B: k x n, in L1 the other way round with kTransposed.
// i8 that is not transposed writes one fractal more if ceil(n / 16) is odd; f32 one row of fractals
// more if ceil(k / 8) is odd.
template <bool kTransposed, typename T>
TDSL_FN void LoadB(const LocalTensor<T> &dst, const LocalTensor<T> &src, int32_t k, int32_t n, int32_t src_rows) {
    if (n <= 0) return;
    if (k <= 0) return tdsl::LoadZeros(dst, CeilDiv(n, 16));
    constexpr int32_t c0 = kPerBlock<T>;
    const int32_t depth = CeilDiv(k, c0), across = CeilDiv(n, 16), row_elements = across * kPerFractal<T>;
    if constexpr (kTransposed) {
        for (int32_t i = 0; i < depth; ++i)
            tdsl::LoadFractals(dst[uint32_t(i * row_elements)], src[uint32_t(i * src_rows * c0)], across, 1, false);
    } else if constexpr (sizeof(T) == 2) {
        for (int32_t i = 0; i < depth; ++i)
            tdsl::LoadFractals(dst[uint32_t(i * row_elements)], src[uint32_t(i * kPerFractal<T>)], across, src_rows / 16, true);
    } else if constexpr (sizeof(T) == 4) {
        tdsl::LoadTransposed32(dst, src, k, src_rows, 0, n);
    } else {
        // Squares of 32 x 32 become two fractals side by side; of a last odd one the second goes
        // behind all others.
        for (int32_t j = 0; j < across; j += 2)
            for (int32_t i = 0; i < depth; ++i) {
                const int32_t gap = j + 1 < across ? 0 : depth * across - (i * across + j) - 1;
                LoadDataWithTranspose(dst[uint32_t(i * row_elements + j * kPerFractal<T>)],
                                      src[uint32_t(j / 2 * src_rows * c0 + i * 2 * kPerFractal<T>)],
                                      LoadData2dTransposeParams(0, 1, 1, 0, uint16_t(gap)));
            }
    }
}

// dst (+)= a @ b in L0C. One row would be read as a vector, so it is computed as 16. An empty sum is
// one product of the zeros that LoadA and LoadB leave for it.
template <typename C, typename T>
TDSL_FN void Multiply(const LocalTensor<C> &dst, const LocalTensor<T> &a, const LocalTensor<T> &b, int32_t m, int32_t n,
                      int32_t k, bool first) {
    if (m <= 0 || n <= 0 || (k <= 0 && !first)) return;
    MmadParams params;
    params.m = uint16_t(m == 1 ? 16 : m);
    params.n = uint16_t(n);
    params.k = uint16_t(k <= 0 ? 1 : k);
    params.cmatrixInitVal = first;
    Mmad(dst, a, b, params);
    if ((m / 16) * (n / 16) < 10) PipeBarrier<PIPE_M>();
}

#if !TDSL_UNIFIED
template <typename T> constexpr QuantMode_t kQuant = QuantMode_t::NoQuant;
template <> constexpr QuantMode_t kQuant<half> = QuantMode_t::F322F16;
template <> constexpr QuantMode_t kQuant<bfloat16_t> = QuantMode_t::F322BF16;

// L0C to row-major global memory.
template <typename T, typename C>
TDSL_FN void StoreProduct(const GlobalTensor<T> &dst, const LocalTensor<C> &src, int32_t m, int32_t n,
                          int64_t dst_stride) {
    if (m <= 0 || n <= 0) return;
    FixpipeParamsV220 params;
    params.nSize = uint16_t(n);
    params.mSize = uint16_t(m);
    params.srcStride = uint16_t(RoundUp(m, 16));
    params.dstStride = uint32_t(m == 1 ? n : dst_stride);
    params.quantPre = kQuant<T>;
    params.ndNum = 1;
    params.srcNdStride = 0;
    params.dstNdStride = 0;
    Fixpipe<T, C, CFG_ROW_MAJOR>(dst, src, params);
}
#endif

// ---- unified cores ------------------------------------------------------------------------------

// L0C to UB, row-major, through `scratch` of whole fractals.
template <typename T>
TDSL_FN void Drain(const View<Kind::kFull, T> &dst, const LocalTensor<T> &src, const LocalTensor<T> &scratch,
                   int32_t m, int32_t n) {
    if (m <= 0 || n <= 0) return;
    const int32_t down = CeilDiv(m, 16), across = CeilDiv(n, 16);
    DataCopyEnhancedParams matrix;
    matrix.blockMode = BlockMode::BLOCK_MODE_MATRIX;
    DataCopy(scratch, src, DataCopyParams(1, uint16_t(down * across), 0, 0), matrix);
    PipeBarrier<PIPE_V>();
    for (int32_t j = 0; j < across; ++j)
        tdsl::Expand(Full(dst.tensor[uint32_t(j * 16)], dst.stride), Full(scratch[uint32_t(j * down * 256)], 16), m, 16);
}

// UB, row-major, to NZ in L1.
template <typename T>
TDSL_FN void Feed(const LocalTensor<T> &dst, const View<Kind::kFull, T> &src, int32_t rows, int32_t cols,
                  int32_t dst_rows) {
    constexpr int32_t c0 = kPerBlock<T>;
    for (int32_t j = 0; j < CeilDiv(cols, c0); ++j)
        for (int32_t row = 0; row < rows; row += 4095)
            DataCopy(dst[uint32_t((j * dst_rows + row) * c0)], src.tensor[uint32_t(row * src.stride + j * c0)],
                     DataCopyParams(uint16_t(Least(4095, rows - row)), 1, uint16_t(RowBlocks(src) - 1), 0));
}

}  // namespace tdsl

#endif
