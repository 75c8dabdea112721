// Kernel `fold` for ascend910b3, written by tiledsl. Compile with the CANN toolkit and
// --cce-auto-sync=off: every flag and barrier is here.
//
// Arguments, all in global memory:
//   part_address: in f32[P, N]
//   y_address: out f32[N]
//   workspace: 0 bytes for each block
//   tiling: a FoldTiling
#include "kernel_operator.h"
#include "tiledsl_ascend.h"
#include "fold_tiling.h"

using namespace AscendC;
using tdsl::Area;
using tdsl::At;
using tdsl::Axis;
using tdsl::Col;
using tdsl::Full;
using tdsl::One;
using tdsl::Row;

// What a vector core does.
__aicore__ inline void VectorCore(GM_ADDR part_address, GM_ADDR y_address, GM_ADDR workspace,
        const __gm__ FoldTiling *args) {
    const int32_t P = int32_t(args->P);
    const int32_t N = int32_t(args->N);
    const int32_t block = int32_t(GetBlockIdx());
    const int32_t blocks = int32_t(GetBlockNum());
    GlobalTensor<float> part;  // in f32[P, N]
    part.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(part_address), uint64_t(int64_t(P) * N));
    GlobalTensor<float> y;  // out f32[N]
    y.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(y_address), uint64_t(N));

    TPipe pipe;
    TBuf<TPosition::VECCALC> ub_buffer;
    pipe.InitBuffer(ub_buffer, 135168);
    pipe.Destroy();  // from here on places and events are the program's own
    const LocalTensor<uint8_t> ub = ub_buffer.Get<uint8_t>();
    const Area part_2{ub[0], 65536};  // 2 x 65536 bytes, f32[p, n]
    const Area acc{ub[131072], 2048};  // 2048 bytes, f32[n]
    const Area sum{ub[133120], 2048};  // 2048 bytes, f32[n]

    int32_t p_turn = 0;
    const int32_t programs = (N + 511) / 512;
    SetFlag<HardEvent::V_MTE2>(0);
    SetFlag<HardEvent::V_MTE2>(1);
    SetFlag<HardEvent::MTE3_V>(0);
    // grid n in N by BN
    for (int32_t program = block; program < programs; program += blocks) {
        PipeBarrier<PIPE_V>();
        const int32_t n_start = program * 512;
        const int32_t n_size = tdsl::Min(512, N - n_start);
        const int32_t n_pitch = tdsl::FloorDiv(n_size + 7, 8) * 8;
        WaitFlag<HardEvent::MTE3_V>(0);
        // layer_norm_backward.tile:27: var acc: f32[n] = 0
        tdsl::Fill(At<float>(acc), 0.0f, n_pitch);
        PipeBarrier<PIPE_V>();
        // layer_norm_backward.tile:29: acc += sum(part[p, n] over p)
        // for p in P by BP
        for (int32_t p_start = 0; p_start < P; p_start += 32) {
            PipeBarrier<PIPE_V>();
            const int32_t p_size = tdsl::Min(32, P - p_start);
            WaitFlag<HardEvent::V_MTE2>(p_turn % 2);
            tdsl::CopyIn(At<float>(part_2, 0, p_turn % 2), part[n_start + int64_t(p_start) * N], n_size, 0.0f, Axis{p_size, N, n_pitch});
            SetFlag<HardEvent::MTE2_V>(p_turn % 2);
            WaitFlag<HardEvent::MTE2_V>(p_turn % 2);
            tdsl::ColReduce<tdsl::AddOp>(At<float>(sum), Full(At<float>(part_2, 0, p_turn % 2), n_pitch), p_size, n_pitch, 0.0f);
            SetFlag<HardEvent::V_MTE2>(p_turn % 2);
            PipeBarrier<PIPE_V>();
            tdsl::AddTiles(At<float>(acc), At<float>(acc), At<float>(sum), n_pitch);
            p_turn = p_turn + 1;
        }
        SetFlag<HardEvent::V_MTE3>(0);
        WaitFlag<HardEvent::V_MTE3>(0);
        // layer_norm_backward.tile:30: y[n] = acc
        tdsl::CopyOut(y[n_start], At<float>(acc), n_size);
        SetFlag<HardEvent::MTE3_V>(0);
    }
    WaitFlag<HardEvent::V_MTE2>(0);
    WaitFlag<HardEvent::V_MTE2>(1);
    WaitFlag<HardEvent::MTE3_V>(0);
}

extern "C" __global__ __aicore__ void fold(GM_ADDR part_address, GM_ADDR y_address, GM_ADDR workspace, GM_ADDR tiling) {
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    const auto *args = reinterpret_cast<const __gm__ FoldTiling *>(tiling);
    VectorCore(part_address, y_address, workspace, args);
}
