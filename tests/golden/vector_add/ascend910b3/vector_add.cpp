// Kernel `vector_add` for ascend910b3, written by tiledsl. Compile with the CANN toolkit and
// --cce-auto-sync=off: every flag and barrier is here.
//
// z = x + y for arrays of any shape: the smallest kernel there is.
//
// Arguments, all in global memory:
//   x_address: in f32[N]
//   y_address: in f32[N]
//   z_address: out f32[N]
//   workspace: 0 bytes for each block
//   tiling: a VectorAddTiling
#include "kernel_operator.h"
#include "tiledsl_ascend.h"
#include "vector_add_tiling.h"

using namespace AscendC;
using tdsl::Area;
using tdsl::At;
using tdsl::Axis;
using tdsl::Col;
using tdsl::Full;
using tdsl::One;
using tdsl::Row;

// What a vector core does.
__aicore__ inline void VectorCore(GM_ADDR x_address, GM_ADDR y_address, GM_ADDR z_address, GM_ADDR workspace,
        const __gm__ VectorAddTiling *args) {
    const int32_t N = int32_t(args->N);
    const int32_t block = int32_t(GetBlockIdx());
    const int32_t blocks = int32_t(GetBlockNum());
    GlobalTensor<float> x;  // in f32[N]
    x.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(x_address), uint64_t(N));
    GlobalTensor<float> y;  // in f32[N]
    y.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(y_address), uint64_t(N));
    GlobalTensor<float> z;  // out f32[N]
    z.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(z_address), uint64_t(N));

    TPipe pipe;
    TBuf<TPosition::VECCALC> ub_buffer;
    pipe.InitBuffer(ub_buffer, 163840);
    pipe.Destroy();  // from here on places and events are the program's own
    const LocalTensor<uint8_t> ub = ub_buffer.Get<uint8_t>();
    const Area x_2{ub[0], 32768};  // 2 x 32768 bytes, f32[i]
    const Area y_2{ub[65536], 32768};  // 2 x 32768 bytes, f32[i]
    const Area add{ub[131072], 32768};  // 32768 bytes, f32[i]

    int32_t turn = 0;
    const int32_t programs = (N + 8191) / 8192;
    SetFlag<HardEvent::V_MTE2>(0);
    SetFlag<HardEvent::V_MTE2>(1);
    SetFlag<HardEvent::MTE3_V>(0);
    // grid i in N by BN
    for (int32_t program = block; program < programs; program += blocks) {
        PipeBarrier<PIPE_V>();
        const int32_t i_start = program * 8192;
        const int32_t i_size = tdsl::Min(8192, N - i_start);
        const int32_t i_pitch = tdsl::FloorDiv(i_size + 7, 8) * 8;
        WaitFlag<HardEvent::V_MTE2>(turn % 2);
        // vector_add.tile:4: z[i] = T(x[i] + y[i])
        tdsl::CopyIn(At<float>(x_2, 0, turn % 2), x[i_start], i_size, 0.0f);
        tdsl::CopyIn(At<float>(y_2, 0, turn % 2), y[i_start], i_size, 0.0f);
        SetFlag<HardEvent::MTE2_V>(turn % 2);
        WaitFlag<HardEvent::MTE2_V>(turn % 2);
        WaitFlag<HardEvent::MTE3_V>(0);
        tdsl::AddTiles(At<float>(add), At<float>(x_2, 0, turn % 2), At<float>(y_2, 0, turn % 2), i_pitch);
        SetFlag<HardEvent::V_MTE3>(0);
        SetFlag<HardEvent::V_MTE2>(turn % 2);
        WaitFlag<HardEvent::V_MTE3>(0);
        tdsl::CopyOut(z[i_start], At<float>(add), i_size);
        SetFlag<HardEvent::MTE3_V>(0);
        turn = turn + 1;
    }
    WaitFlag<HardEvent::V_MTE2>(0);
    WaitFlag<HardEvent::V_MTE2>(1);
    WaitFlag<HardEvent::MTE3_V>(0);
}

extern "C" __global__ __aicore__ void vector_add(GM_ADDR x_address, GM_ADDR y_address, GM_ADDR z_address, GM_ADDR workspace, GM_ADDR tiling) {
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    const auto *args = reinterpret_cast<const __gm__ VectorAddTiling *>(tiling);
    VectorCore(x_address, y_address, z_address, workspace, args);
}
