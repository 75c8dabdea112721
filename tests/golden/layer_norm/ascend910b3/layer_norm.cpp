// Kernel `layer_norm` for ascend910b3, written by tiledsl. Compile with the CANN toolkit and
// --cce-auto-sync=off: every flag and barrier is here.
//
// Layer normalisation of each row; the mean and the reciprocal deviation are kept for the backward
// pass.
//
// Arguments, all in global memory:
//   x_address: in f32[M, N]
//   w_address: in f32[N]
//   b_address: in f32[N]
//   y_address: out f32[M, N]
//   mean_address: out f32[M]
//   rstd_address: out f32[M]
//   workspace: 0 bytes for each block
//   tiling: a LayerNormTiling
#include "kernel_operator.h"
#include "tiledsl_ascend.h"
#include "layer_norm_tiling.h"

using namespace AscendC;
using tdsl::Area;
using tdsl::At;
using tdsl::Axis;
using tdsl::Col;
using tdsl::Full;
using tdsl::One;
using tdsl::Row;

// What a vector core does.
__aicore__ inline void VectorCore(GM_ADDR x_address, GM_ADDR w_address, GM_ADDR b_address, GM_ADDR y_address, GM_ADDR mean_address, GM_ADDR rstd_address, GM_ADDR workspace,
        const __gm__ LayerNormTiling *args) {
    const int32_t M = int32_t(args->M);
    const int32_t N = int32_t(args->N);
    const float eps = float(args->eps);
    const int32_t block = int32_t(GetBlockIdx());
    const int32_t blocks = int32_t(GetBlockNum());
    GlobalTensor<float> x;  // in f32[M, N]
    x.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(x_address), uint64_t(int64_t(M) * N));
    GlobalTensor<float> w;  // in f32[N]
    w.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(w_address), uint64_t(N));
    GlobalTensor<float> b;  // in f32[N]
    b.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(b_address), uint64_t(N));
    GlobalTensor<float> y;  // out f32[M, N]
    y.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(y_address), uint64_t(int64_t(M) * N));
    GlobalTensor<float> mean;  // out f32[M]
    mean.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(mean_address), uint64_t(M));
    GlobalTensor<float> rstd;  // out f32[M]
    rstd.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(rstd_address), uint64_t(M));

    TPipe pipe;
    TBuf<TPosition::VECCALC> ub_buffer;
    pipe.InitBuffer(ub_buffer, 153088);
    pipe.Destroy();  // from here on places and events are the program's own
    const LocalTensor<uint8_t> ub = ub_buffer.Get<uint8_t>();
    const Area x_2{ub[0], 65536};  // 65536 bytes, f32[m, n]
    const Area b_2{ub[65536], 65536};  // 65536 bytes, f32[n]
    const Area d{ub[65536], 65536};  // 65536 bytes, f32[m, n]
    const Area w_2{ub[65536], 65536};  // 65536 bytes, f32[n]
    const Area number{ub[131072], 256};  // 256 bytes, f32[]
    const Area number_2{ub[131072], 256};  // 256 bytes, f32[]
    const Area number_3{ub[131072], 256};  // 256 bytes, f32[]
    const Area scratch{ub[131072], 21504};  // 21504 bytes
    const Area scratch_2{ub[131072], 21504};  // 21504 bytes
    const Area spread{ub[131072], 2048};  // 2048 bytes, one block an element
    const Area spread_2{ub[131072], 2048};  // 2048 bytes, one block an element
    const Area spread_3{ub[131072], 2048};  // 2048 bytes, one block an element
    const Area sum{ub[152576], 256};  // 256 bytes, f32[m]
    const Area sum_2{ub[152832], 256};  // 256 bytes, f32[m]

    const int32_t m_tile = tdsl::Min(tdsl::Max(tdsl::FloorDiv(16384, tdsl::Max((N + 7) / 8 * 8, 8)), 1), tdsl::Min(tdsl::Max((M + 39) / 40, 1), 64));
    const int32_t programs = tdsl::FloorDiv(M + (m_tile - 1), m_tile);
    SetFlag<HardEvent::V_MTE2>(2);
    SetFlag<HardEvent::MTE3_V>(0);
    SetFlag<HardEvent::MTE3_V>(1);
    SetFlag<HardEvent::MTE3_MTE2>(0);
    SetFlag<HardEvent::MTE3_V>(2);
    // grid m in M by BM
    for (int32_t program = block; program < programs; program += blocks) {
        PipeBarrier<PIPE_MTE2>();
        PipeBarrier<PIPE_V>();
        const int32_t m_start = program * m_tile;
        const int32_t m_size = tdsl::Min(m_tile, M - m_start);
        const int32_t m_pitch = tdsl::FloorDiv(m_size + 7, 8) * 8;
        const int32_t n_start = 0;
        const int32_t n_size = N;
        const int32_t n_pitch = (n_size + 7) / 8 * 8;
        WaitFlag<HardEvent::V_MTE2>(2);
        WaitFlag<HardEvent::MTE3_MTE2>(0);
        // layer_norm.tile:10: v = x[m, n]
        tdsl::CopyIn(At<float>(x_2), x[n_start + int64_t(m_start) * N], n_size, 0.0f, Axis{m_size, N, n_pitch});
        SetFlag<HardEvent::MTE2_V>(0);
        WaitFlag<HardEvent::MTE2_V>(0);
        WaitFlag<HardEvent::MTE3_V>(0);
        // nn.tile:59: mu = mean(x over n)
        tdsl::RowReduce<tdsl::Blocks<tdsl::SumOf>>(At<float>(sum), Full(At<float>(x_2), n_pitch), At<float>(scratch), m_size, n_size, 0.0f);
        PipeBarrier<PIPE_V>();
        tdsl::Fill(At<float>(number), float(N), 8);
        PipeBarrier<PIPE_V>();
        tdsl::DivTiles(Full(At<float>(sum), m_pitch), Full(At<float>(sum), m_pitch), One(At<float>(number)), 1, m_size);
        SetFlag<HardEvent::V_MTE3>(0);
        PipeBarrier<PIPE_V>();
        // nn.tile:60: d = x - mu
        tdsl::Spread(At<float>(spread), At<float>(sum), m_size);
        PipeBarrier<PIPE_V>();
        tdsl::SubTiles(Full(At<float>(d), n_pitch), Full(At<float>(x_2), n_pitch), Col(At<float>(spread)), m_size, n_pitch);
        PipeBarrier<PIPE_V>();
        // nn.tile:61: return mu, rsqrt(mean(d * d over n) + eps)
        tdsl::MulTiles(At<float>(d), At<float>(d), At<float>(d), m_size * n_pitch);
        PipeBarrier<PIPE_V>();
        WaitFlag<HardEvent::MTE3_V>(1);
        tdsl::RowReduce<tdsl::Blocks<tdsl::SumOf>>(At<float>(sum_2), Full(At<float>(d), n_pitch), At<float>(scratch_2), m_size, n_size, 0.0f);
        SetFlag<HardEvent::V_MTE2>(0);
        PipeBarrier<PIPE_V>();
        tdsl::Fill(At<float>(number_2), float(N), 8);
        PipeBarrier<PIPE_V>();
        tdsl::DivTiles(Full(At<float>(sum_2), m_pitch), Full(At<float>(sum_2), m_pitch), One(At<float>(number_2)), 1, m_size);
        PipeBarrier<PIPE_V>();
        tdsl::AddScalar(At<float>(sum_2), At<float>(sum_2), eps, m_size);
        PipeBarrier<PIPE_V>();
        tdsl::SquareRoot(At<float>(sum_2), At<float>(sum_2), m_size);
        tdsl::Fill(At<float>(number_3), 1.0f, 8);
        PipeBarrier<PIPE_V>();
        tdsl::DivTiles(Full(At<float>(sum_2), m_pitch), One(At<float>(number_3)), Full(At<float>(sum_2), m_pitch), 1, m_size);
        SetFlag<HardEvent::V_MTE3>(1);
        WaitFlag<HardEvent::V_MTE3>(0);
        // layer_norm.tile:12: mean[m] = mu
        tdsl::CopyOut(mean[m_start], At<float>(sum), m_size);
        SetFlag<HardEvent::MTE3_V>(0);
        WaitFlag<HardEvent::V_MTE3>(1);
        // layer_norm.tile:13: rstd[m] = r
        tdsl::CopyOut(rstd[m_start], At<float>(sum_2), m_size);
        SetFlag<HardEvent::MTE3_V>(1);
        PipeBarrier<PIPE_V>();
        // layer_norm.tile:14: y[m, n] = (v - mu) * r * w[n] + b[n]
        tdsl::Spread(At<float>(spread_2), At<float>(sum), m_size);
        PipeBarrier<PIPE_V>();
        WaitFlag<HardEvent::MTE3_V>(2);
        tdsl::SubTiles(Full(At<float>(x_2), n_pitch), Full(At<float>(x_2), n_pitch), Col(At<float>(spread_2)), m_size, n_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::Spread(At<float>(spread_3), At<float>(sum_2), m_size);
        PipeBarrier<PIPE_V>();
        tdsl::MulTiles(Full(At<float>(x_2), n_pitch), Full(At<float>(x_2), n_pitch), Col(At<float>(spread_3)), m_size, n_pitch);
        WaitFlag<HardEvent::V_MTE2>(0);
        tdsl::CopyIn(At<float>(w_2), w[n_start], n_size, 0.0f);
        SetFlag<HardEvent::MTE2_V>(1);
        PipeBarrier<PIPE_V>();
        WaitFlag<HardEvent::MTE2_V>(1);
        tdsl::MulTiles(Full(At<float>(x_2), n_pitch), Full(At<float>(x_2), n_pitch), Row(At<float>(w_2)), m_size, n_pitch);
        SetFlag<HardEvent::V_MTE2>(1);
        WaitFlag<HardEvent::V_MTE2>(1);
        tdsl::CopyIn(At<float>(b_2), b[n_start], n_size, 0.0f);
        SetFlag<HardEvent::MTE2_V>(2);
        WaitFlag<HardEvent::MTE2_V>(2);
        tdsl::AddTiles(Full(At<float>(x_2), n_pitch), Full(At<float>(x_2), n_pitch), Row(At<float>(b_2)), m_size, n_pitch);
        SetFlag<HardEvent::V_MTE3>(2);
        SetFlag<HardEvent::V_MTE2>(2);
        WaitFlag<HardEvent::V_MTE3>(2);
        tdsl::CopyOut(y[n_start + int64_t(m_start) * N], At<float>(x_2), n_size, Axis{m_size, N, n_pitch});
        SetFlag<HardEvent::MTE3_MTE2>(0);
        SetFlag<HardEvent::MTE3_V>(2);
    }
    WaitFlag<HardEvent::V_MTE2>(2);
    WaitFlag<HardEvent::MTE3_V>(0);
    WaitFlag<HardEvent::MTE3_V>(1);
    WaitFlag<HardEvent::MTE3_MTE2>(0);
    WaitFlag<HardEvent::MTE3_V>(2);
}

extern "C" __global__ __aicore__ void layer_norm(GM_ADDR x_address, GM_ADDR w_address, GM_ADDR b_address, GM_ADDR y_address, GM_ADDR mean_address, GM_ADDR rstd_address, GM_ADDR workspace, GM_ADDR tiling) {
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    const auto *args = reinterpret_cast<const __gm__ LayerNormTiling *>(tiling);
    VectorCore(x_address, w_address, b_address, y_address, mean_address, rstd_address, workspace, args);
}
