// Kernel `softmax_long` for ascend910b3, written by tiledsl. Compile with the CANN toolkit and
// --cce-auto-sync=off: every flag and barrier is here.
//
// softmax of rows that are longer than the chip's memory: a running maximum and sum, then a second
// pass over the row.
//
// Arguments, all in global memory:
//   x_address: in f32[R, N]
//   y_address: out f32[R, N]
//   workspace: 0 bytes for each block
//   tiling: a SoftmaxLongTiling
#include "kernel_operator.h"
#include "tiledsl_ascend.h"
#include "softmax_long_tiling.h"

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
        const __gm__ SoftmaxLongTiling *args) {
    const int32_t R = int32_t(args->R);
    const int32_t N = int32_t(args->N);
    const int32_t block = int32_t(GetBlockIdx());
    const int32_t blocks = int32_t(GetBlockNum());
    GlobalTensor<float> x;  // in f32[R, N]
    x.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(x_address), uint64_t(int64_t(R) * N));
    GlobalTensor<float> y;  // out f32[R, N]
    y.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(y_address), uint64_t(int64_t(R) * N));

    TPipe pipe;
    TBuf<TPosition::VECCALC> ub_buffer;
    pipe.InitBuffer(ub_buffer, 142592);
    pipe.Destroy();  // from here on places and events are the program's own
    const LocalTensor<uint8_t> ub = ub_buffer.Get<uint8_t>();
    const Area x_2{ub[0], 65536};  // 2 x 65536 bytes, f32[r, n]
    const Area x_2_2{ub[0], 65536};  // 2 x 65536 bytes, f32[r, n]
    const Area scratch{ub[131072], 10496};  // 10496 bytes
    const Area scratch_2{ub[131072], 10496};  // 10496 bytes
    const Area spread{ub[131072], 1024};  // 1024 bytes, one block an element
    const Area spread_2{ub[131072], 1024};  // 1024 bytes, one block an element
    const Area spread_3{ub[131072], 1024};  // 1024 bytes, one block an element
    const Area top{ub[141568], 256};  // 256 bytes, f32[r]
    const Area den{ub[141824], 256};  // 256 bytes, f32[r]
    const Area max{ub[142080], 256};  // 256 bytes, f32[r]
    const Area sum{ub[142336], 256};  // 256 bytes, f32[r]

    int32_t n_turn = 0;
    int32_t n_2_turn = 0;
    const int32_t programs = (R + 31) / 32;
    SetFlag<HardEvent::V_MTE2>(0);
    SetFlag<HardEvent::V_MTE2>(1);
    SetFlag<HardEvent::V_MTE2>(2);
    SetFlag<HardEvent::V_MTE2>(3);
    SetFlag<HardEvent::MTE3_MTE2>(0);
    SetFlag<HardEvent::MTE3_MTE2>(1);
    SetFlag<HardEvent::MTE3_V>(0);
    SetFlag<HardEvent::MTE3_V>(1);
    SetFlag<HardEvent::V_MTE2>(5);
    SetFlag<HardEvent::MTE2_V>(5);
    SetFlag<HardEvent::MTE3_V>(2);
    SetFlag<HardEvent::MTE3_MTE2>(2);
    // grid r in R by BR
    for (int32_t program = block; program < programs; program += blocks) {
        PipeBarrier<PIPE_V>();
        PipeBarrier<PIPE_MTE2>();
        const int32_t r_start = program * 32;
        const int32_t r_size = tdsl::Min(32, R - r_start);
        const int32_t r_pitch = tdsl::FloorDiv(r_size + 7, 8) * 8;
        // softmax.tile:25: var top: f32[r] = -inf
        tdsl::Fill(At<float>(top), -tdsl::kInf, r_pitch);
        // softmax.tile:26: var den: f32[r] = 0
        tdsl::Fill(At<float>(den), 0.0f, r_pitch);
        PipeBarrier<PIPE_V>();
        WaitFlag<HardEvent::V_MTE2>(5);
        WaitFlag<HardEvent::MTE2_V>(5);
        WaitFlag<HardEvent::MTE3_V>(2);
        WaitFlag<HardEvent::MTE3_MTE2>(2);
        // softmax.tile:31: top = new
        // for n in N by BN
        for (int32_t n_start = 0; n_start < N; n_start += 512) {
            PipeBarrier<PIPE_V>();
            const int32_t n_size = tdsl::Min(512, N - n_start);
            const int32_t n_pitch = tdsl::FloorDiv(n_size + 7, 8) * 8;
            WaitFlag<HardEvent::V_MTE2>(n_turn % 2);
            // softmax.tile:28: v = x[r, n]
            tdsl::CopyIn(At<float>(x_2, 0, n_turn % 2), x[n_start + int64_t(r_start) * N], n_size, 0.0f, Axis{r_size, N, n_pitch});
            SetFlag<HardEvent::MTE2_V>(n_turn % 2);
            WaitFlag<HardEvent::MTE2_V>(n_turn % 2);
            // softmax.tile:29: new = max(top, max(v over n))
            tdsl::RowReduce<tdsl::Blocks<tdsl::MaxOf>>(At<float>(max), Full(At<float>(x_2, 0, n_turn % 2), n_pitch), At<float>(scratch), r_size, n_size, -tdsl::kInf);
            PipeBarrier<PIPE_V>();
            tdsl::MaxTiles(At<float>(max), At<float>(top), At<float>(max), r_size);
            PipeBarrier<PIPE_V>();
            // softmax.tile:30: den = den * exp(top - new) + sum(exp(v - new) over n)
            tdsl::SubTiles(At<float>(top), At<float>(top), At<float>(max), r_size);
            PipeBarrier<PIPE_V>();
            tdsl::Exponential(At<float>(top), At<float>(top), r_size);
            PipeBarrier<PIPE_V>();
            tdsl::MulTiles(At<float>(den), At<float>(den), At<float>(top), r_size);
            tdsl::Spread(At<float>(spread), At<float>(max), r_size);
            PipeBarrier<PIPE_V>();
            tdsl::SubTiles(Full(At<float>(x_2, 0, n_turn % 2), n_pitch), Full(At<float>(x_2, 0, n_turn % 2), n_pitch), Col(At<float>(spread)), r_size, n_pitch);
            PipeBarrier<PIPE_V>();
            tdsl::Exponential(At<float>(x_2, 0, n_turn % 2), At<float>(x_2, 0, n_turn % 2), r_size * n_pitch);
            PipeBarrier<PIPE_V>();
            tdsl::RowReduce<tdsl::Blocks<tdsl::SumOf>>(At<float>(sum), Full(At<float>(x_2, 0, n_turn % 2), n_pitch), At<float>(scratch_2), r_size, n_size, 0.0f);
            SetFlag<HardEvent::V_MTE2>(n_turn % 2);
            PipeBarrier<PIPE_V>();
            tdsl::AddTiles(At<float>(den), At<float>(den), At<float>(sum), r_size);
            tdsl::AddScalar(At<int32_t>(top), At<int32_t>(max), 0, r_size);
            n_turn = n_turn + 1;
        }
        SetFlag<HardEvent::V_MTE2>(4);
        SetFlag<HardEvent::MTE2_V>(4);
        SetFlag<HardEvent::V_MTE3>(2);
        SetFlag<HardEvent::MTE2_MTE3>(0);
        PipeBarrier<PIPE_MTE2>();
        PipeBarrier<PIPE_V>();
        WaitFlag<HardEvent::V_MTE2>(4);
        WaitFlag<HardEvent::MTE2_V>(4);
        WaitFlag<HardEvent::V_MTE3>(2);
        WaitFlag<HardEvent::MTE2_MTE3>(0);
        // softmax.tile:33: y[r, n] = exp(x[r, n] - top) / den
        // for n in N by BN
        for (int32_t n_2_start = 0; n_2_start < N; n_2_start += 512) {
            PipeBarrier<PIPE_V>();
            const int32_t n_2_size = tdsl::Min(512, N - n_2_start);
            const int32_t n_2_pitch = tdsl::FloorDiv(n_2_size + 7, 8) * 8;
            WaitFlag<HardEvent::V_MTE2>(2 + n_2_turn % 2);
            WaitFlag<HardEvent::MTE3_MTE2>(n_2_turn % 2);
            tdsl::CopyIn(At<float>(x_2_2, 0, n_2_turn % 2), x[n_2_start + int64_t(r_start) * N], n_2_size, 0.0f, Axis{r_size, N, n_2_pitch});
            SetFlag<HardEvent::MTE2_V>(2 + n_2_turn % 2);
            tdsl::Spread(At<float>(spread_2), At<float>(top), r_size);
            PipeBarrier<PIPE_V>();
            WaitFlag<HardEvent::MTE2_V>(2 + n_2_turn % 2);
            WaitFlag<HardEvent::MTE3_V>(n_2_turn % 2);
            tdsl::SubTiles(Full(At<float>(x_2_2, 0, n_2_turn % 2), n_2_pitch), Full(At<float>(x_2_2, 0, n_2_turn % 2), n_2_pitch), Col(At<float>(spread_2)), r_size, n_2_pitch);
            PipeBarrier<PIPE_V>();
            tdsl::Exponential(At<float>(x_2_2, 0, n_2_turn % 2), At<float>(x_2_2, 0, n_2_turn % 2), r_size * n_2_pitch);
            tdsl::Spread(At<float>(spread_3), At<float>(den), r_size);
            PipeBarrier<PIPE_V>();
            tdsl::DivTiles(Full(At<float>(x_2_2, 0, n_2_turn % 2), n_2_pitch), Full(At<float>(x_2_2, 0, n_2_turn % 2), n_2_pitch), Col(At<float>(spread_3)), r_size, n_2_pitch);
            SetFlag<HardEvent::V_MTE3>(n_2_turn % 2);
            SetFlag<HardEvent::V_MTE2>(2 + n_2_turn % 2);
            WaitFlag<HardEvent::V_MTE3>(n_2_turn % 2);
            tdsl::CopyOut(y[n_2_start + int64_t(r_start) * N], At<float>(x_2_2, 0, n_2_turn % 2), n_2_size, Axis{r_size, N, n_2_pitch});
            SetFlag<HardEvent::MTE3_MTE2>(n_2_turn % 2);
            SetFlag<HardEvent::MTE3_V>(n_2_turn % 2);
            n_2_turn = n_2_turn + 1;
        }
        SetFlag<HardEvent::V_MTE2>(5);
        SetFlag<HardEvent::MTE2_V>(5);
        SetFlag<HardEvent::MTE3_V>(2);
        SetFlag<HardEvent::MTE3_MTE2>(2);
    }
    WaitFlag<HardEvent::V_MTE2>(0);
    WaitFlag<HardEvent::V_MTE2>(1);
    WaitFlag<HardEvent::V_MTE2>(2);
    WaitFlag<HardEvent::V_MTE2>(3);
    WaitFlag<HardEvent::MTE3_MTE2>(0);
    WaitFlag<HardEvent::MTE3_MTE2>(1);
    WaitFlag<HardEvent::MTE3_V>(0);
    WaitFlag<HardEvent::MTE3_V>(1);
    WaitFlag<HardEvent::V_MTE2>(5);
    WaitFlag<HardEvent::MTE2_V>(5);
    WaitFlag<HardEvent::MTE3_V>(2);
    WaitFlag<HardEvent::MTE3_MTE2>(2);
}

extern "C" __global__ __aicore__ void softmax_long(GM_ADDR x_address, GM_ADDR y_address, GM_ADDR workspace, GM_ADDR tiling) {
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    const auto *args = reinterpret_cast<const __gm__ SoftmaxLongTiling *>(tiling);
    VectorCore(x_address, y_address, workspace, args);
}
