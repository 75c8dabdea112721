// Kernel `softmax` for ascend910b3, written by tiledsl. Compile with the CANN toolkit and
// --cce-auto-sync=off: every flag and barrier is here.
//
// softmax over the last axis. A row stays on the chip between its three passes.
//
// Arguments, all in global memory:
//   x_address: in f16[R, N]
//   y_address: out f16[R, N]
//   workspace: 0 bytes for each block
//   tiling: a SoftmaxTiling
#include "kernel_operator.h"
#include "tiledsl_ascend.h"
#include "softmax_tiling.h"

using namespace AscendC;
using tdsl::Area;
using tdsl::At;
using tdsl::Axis;
using tdsl::Col;
using tdsl::Full;
using tdsl::One;
using tdsl::Row;

// What a vector core does.
__aicore__ inline void VectorCore(GM_ADDR x_address, GM_ADDR y_address, GM_ADDR workspace,
        const __gm__ SoftmaxTiling *args) {
    const int32_t R = int32_t(args->R);
    const int32_t N = int32_t(args->N);
    const int32_t block = int32_t(GetBlockIdx());
    const int32_t blocks = int32_t(GetBlockNum());
    GlobalTensor<half> x;  // in f16[R, N]
    x.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(x_address), uint64_t(int64_t(R) * N));
    GlobalTensor<half> y;  // out f16[R, N]
    y.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(y_address), uint64_t(int64_t(R) * N));

    TPipe pipe;
    TBuf<TPosition::VECCALC> ub_buffer;
    pipe.InitBuffer(ub_buffer, 184576);
    pipe.Destroy();  // from here on places and events are the program's own
    const LocalTensor<uint8_t> ub = ub_buffer.Get<uint8_t>();
    const Area x_2{ub[0], 32768};  // 2 x 32768 bytes, f16[r, n]
    const Area cast{ub[65536], 65536};  // 65536 bytes, f32[r, n]
    const Area scratch{ub[65536], 17408};  // 17408 bytes
    const Area cast_3{ub[131072], 32768};  // 32768 bytes, f16[r, n]
    const Area max{ub[163840], 256};  // 256 bytes, f16[r]
    const Area scratch_2{ub[163840], 20480};  // 20480 bytes
    const Area spread{ub[163840], 2048};  // 2048 bytes, one block an element
    const Area spread_2{ub[163840], 2048};  // 2048 bytes, one block an element
    const Area cast_2{ub[165888], 256};  // 256 bytes, f32[r]
    const Area sum{ub[184320], 256};  // 256 bytes, f32[r]

    int32_t turn = 0;
    const int32_t r_tile = tdsl::Min(tdsl::Max(tdsl::FloorDiv(16384, tdsl::Max((N + 15) / 16 * 16, 16)), 2), tdsl::Min(tdsl::Max((R + 39) / 40, 1), 64));
    const int32_t programs = tdsl::FloorDiv(R + (r_tile - 1), r_tile);
    SetFlag<HardEvent::V_MTE2>(0);
    SetFlag<HardEvent::V_MTE2>(1);
    SetFlag<HardEvent::MTE3_V>(0);
    // grid r in R by BR
    for (int32_t program = block; program < programs; program += blocks) {
        PipeBarrier<PIPE_V>();
        const int32_t r_start = program * r_tile;
        const int32_t r_size = tdsl::Min(r_tile, R - r_start);
        const int32_t n_start = 0;
        const int32_t n_size = N;
        const int32_t n_pitch = (n_size + 15) / 16 * 16;
        WaitFlag<HardEvent::V_MTE2>(turn % 2);
        // softmax.tile:6: e = exp(x[r, n] - max(x[r, n] over n))
        tdsl::CopyIn(At<half>(x_2, 0, turn % 2), x[n_start + int64_t(r_start) * N], n_size, 0.0f, Axis{r_size, N, n_pitch});
        SetFlag<HardEvent::MTE2_V>(turn % 2);
        WaitFlag<HardEvent::MTE2_V>(turn % 2);
        tdsl::RowReduce<tdsl::MaxOf>(At<half>(max), Full(At<half>(x_2, 0, turn % 2), n_pitch), At<half>(scratch), r_size, n_size, -tdsl::kInf);
        PipeBarrier<PIPE_V>();
        tdsl::Convert<RoundMode::CAST_NONE>(At<float>(cast), At<half>(x_2, 0, turn % 2), r_size * n_pitch);
        SetFlag<HardEvent::V_MTE2>(turn % 2);
        tdsl::Convert<RoundMode::CAST_NONE>(At<float>(cast_2), At<half>(max), r_size);
        PipeBarrier<PIPE_V>();
        tdsl::Spread(At<float>(spread), At<float>(cast_2), r_size);
        PipeBarrier<PIPE_V>();
        tdsl::SubTiles(Full(At<float>(cast), n_pitch), Full(At<float>(cast), n_pitch), Col(At<float>(spread)), r_size, n_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::Exponential(At<float>(cast), At<float>(cast), r_size * n_pitch);
        PipeBarrier<PIPE_V>();
        // softmax.tile:7: y[r, n] = e / sum(e over n)
        tdsl::RowReduce<tdsl::Blocks<tdsl::SumOf>>(At<float>(sum), Full(At<float>(cast), n_pitch), At<float>(scratch_2), r_size, n_size, 0.0f);
        PipeBarrier<PIPE_V>();
        tdsl::Spread(At<float>(spread_2), At<float>(sum), r_size);
        PipeBarrier<PIPE_V>();
        tdsl::DivTiles(Full(At<float>(cast), n_pitch), Full(At<float>(cast), n_pitch), Col(At<float>(spread_2)), r_size, n_pitch);
        PipeBarrier<PIPE_V>();
        WaitFlag<HardEvent::MTE3_V>(0);
        tdsl::Convert<RoundMode::CAST_RINT>(At<half>(cast_3), At<float>(cast), r_size * n_pitch);
        SetFlag<HardEvent::V_MTE3>(0);
        WaitFlag<HardEvent::V_MTE3>(0);
        tdsl::CopyOut(y[n_start + int64_t(r_start) * N], At<half>(cast_3), n_size, Axis{r_size, N, n_pitch});
        SetFlag<HardEvent::MTE3_V>(0);
        turn = turn + 1;
    }
    WaitFlag<HardEvent::V_MTE2>(0);
    WaitFlag<HardEvent::V_MTE2>(1);
    WaitFlag<HardEvent::MTE3_V>(0);
}

extern "C" __global__ __aicore__ void softmax(GM_ADDR x_address, GM_ADDR y_address, GM_ADDR workspace, GM_ADDR tiling) {
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    const auto *args = reinterpret_cast<const __gm__ SoftmaxTiling *>(tiling);
    VectorCore(x_address, y_address, workspace, args);
}
