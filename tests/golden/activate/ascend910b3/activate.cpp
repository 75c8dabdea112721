// Kernel `activate` for ascend910b3, written by tiledsl. Compile with the CANN toolkit and
// --cce-auto-sync=off: every flag and barrier is here.
//
// The Gaussian error linear unit, exact or by its approximation with tanh: a `const` parameter picks
// one when the kernel is built, and the other is not even compiled.
//
// Arguments, all in global memory:
//   x_address: in f32[N]
//   y_address: out f32[N]
//   workspace: 0 bytes for each block
//   tiling: a ActivateTiling
#include "kernel_operator.h"
#include "tiledsl_ascend.h"
#include "activate_tiling.h"

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
        const __gm__ ActivateTiling *args) {
    const int32_t N = int32_t(args->N);
    const int32_t block = int32_t(GetBlockIdx());
    const int32_t blocks = int32_t(GetBlockNum());
    GlobalTensor<float> x;  // in f32[N]
    x.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(x_address), uint64_t(N));
    GlobalTensor<float> y;  // out f32[N]
    y.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(y_address), uint64_t(N));

    TPipe pipe;
    TBuf<TPosition::VECCALC> ub_buffer;
    pipe.InitBuffer(ub_buffer, 114688);
    pipe.Destroy();  // from here on places and events are the program's own
    const LocalTensor<uint8_t> ub = ub_buffer.Get<uint8_t>();
    const Area x_2{ub[0], 16384};  // 2 x 16384 bytes, f32[i]
    const Area mul{ub[32768], 16384};  // 16384 bytes, f32[i]
    const Area mul_2{ub[49152], 16384};  // 16384 bytes, f32[i]
    const Area mul_3{ub[65536], 16384};  // 16384 bytes, f32[i]
    const Area mul_4{ub[81920], 16384};  // 16384 bytes, f32[i]
    const Area mul_5{ub[98304], 16384};  // 16384 bytes, f32[i]

    int32_t turn = 0;
    const int32_t programs = (N + 4095) / 4096;
    SetFlag<HardEvent::V_MTE2>(0);
    SetFlag<HardEvent::V_MTE2>(1);
    SetFlag<HardEvent::MTE3_V>(0);
    // grid i in N by BN
    for (int32_t program = block; program < programs; program += blocks) {
        PipeBarrier<PIPE_V>();
        const int32_t i_start = program * 4096;
        const int32_t i_size = tdsl::Min(4096, N - i_start);
        const int32_t i_pitch = tdsl::FloorDiv(i_size + 7, 8) * 8;
        WaitFlag<HardEvent::V_MTE2>(turn % 2);
        // gelu.tile:10: y[i] = gelu(x[i])
        tdsl::CopyIn(At<float>(x_2, 0, turn % 2), x[i_start], i_size, 0.0f);
        SetFlag<HardEvent::MTE2_V>(turn % 2);
        WaitFlag<HardEvent::MTE2_V>(turn % 2);
        WaitFlag<HardEvent::MTE3_V>(0);
        // nn.tile:39: fn gelu(x) = 0.5 * x * (1 + erf(x * SQRT1_2))
        tdsl::MulScalar(At<float>(mul), At<float>(x_2, 0, turn % 2), 0.5f, i_pitch);
        tdsl::MulScalar(At<float>(mul_2), At<float>(x_2, 0, turn % 2), 0.70710677f, i_pitch);
        SetFlag<HardEvent::V_MTE2>(turn % 2);
        PipeBarrier<PIPE_V>();
        tdsl::MinScalar(At<float>(mul_2), At<float>(mul_2), 4.0f, i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::MaxScalar(At<float>(mul_2), At<float>(mul_2), -4.0f, i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::MulTiles(At<float>(mul_3), At<float>(mul_2), At<float>(mul_2), i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::MulScalar(At<float>(mul_4), At<float>(mul_3), -2.7261424e-10f, i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::AddScalar(At<float>(mul_4), At<float>(mul_4), 2.7706815e-08f, i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::MulTiles(At<float>(mul_4), At<float>(mul_4), At<float>(mul_3), i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::AddScalar(At<float>(mul_4), At<float>(mul_4), -2.101024e-06f, i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::MulTiles(At<float>(mul_4), At<float>(mul_4), At<float>(mul_3), i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::AddScalar(At<float>(mul_4), At<float>(mul_4), -5.6925062e-05f, i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::MulTiles(At<float>(mul_4), At<float>(mul_4), At<float>(mul_3), i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::AddScalar(At<float>(mul_4), At<float>(mul_4), -0.00073499064f, i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::MulTiles(At<float>(mul_4), At<float>(mul_4), At<float>(mul_3), i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::AddScalar(At<float>(mul_4), At<float>(mul_4), -0.0029546f, i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::MulTiles(At<float>(mul_4), At<float>(mul_4), At<float>(mul_3), i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::AddScalar(At<float>(mul_4), At<float>(mul_4), -0.016096033f, i_pitch);
        tdsl::MulScalar(At<float>(mul_5), At<float>(mul_3), -1.45660715e-05f, i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::AddScalar(At<float>(mul_5), At<float>(mul_5), -0.00021337405f, i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::MulTiles(At<float>(mul_5), At<float>(mul_5), At<float>(mul_3), i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::AddScalar(At<float>(mul_5), At<float>(mul_5), -0.001682827f, i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::MulTiles(At<float>(mul_5), At<float>(mul_5), At<float>(mul_3), i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::AddScalar(At<float>(mul_5), At<float>(mul_5), -0.0073733293f, i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::MulTiles(At<float>(mul_5), At<float>(mul_5), At<float>(mul_3), i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::AddScalar(At<float>(mul_5), At<float>(mul_5), -0.014264739f, i_pitch);
        tdsl::MulTiles(At<float>(mul_2), At<float>(mul_2), At<float>(mul_4), i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::DivTiles(At<float>(mul_2), At<float>(mul_2), At<float>(mul_5), i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::AddScalar(At<float>(mul_2), At<float>(mul_2), 1.0f, i_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::MulTiles(At<float>(mul), At<float>(mul), At<float>(mul_2), i_pitch);
        SetFlag<HardEvent::V_MTE3>(0);
        WaitFlag<HardEvent::V_MTE3>(0);
        tdsl::CopyOut(y[i_start], At<float>(mul), i_size);
        SetFlag<HardEvent::MTE3_V>(0);
        turn = turn + 1;
    }
    WaitFlag<HardEvent::V_MTE2>(0);
    WaitFlag<HardEvent::V_MTE2>(1);
    WaitFlag<HardEvent::MTE3_V>(0);
}

extern "C" __global__ __aicore__ void activate(GM_ADDR x_address, GM_ADDR y_address, GM_ADDR workspace, GM_ADDR tiling) {
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    const auto *args = reinterpret_cast<const __gm__ ActivateTiling *>(tiling);
    VectorCore(x_address, y_address, workspace, args);
}
