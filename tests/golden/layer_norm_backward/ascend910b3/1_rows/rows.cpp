// Kernel `rows` for ascend910b3, written by tiledsl. Compile with the CANN toolkit and
// --cce-auto-sync=off: every flag and barrier is here.
//
// Arguments, all in global memory:
//   x_address: in f32[M, N]
//   dy_address: in f32[M, N]
//   w_address: in f32[N]
//   dx_address: out f32[M, N]
//   part_address: out f32[P, N]
//   workspace: 0 bytes for each block
//   tiling: a RowsTiling
#include "kernel_operator.h"
#include "tiledsl_ascend.h"
#include "rows_tiling.h"

using namespace AscendC;
using tdsl::Area;
using tdsl::At;
using tdsl::Axis;
using tdsl::Col;
using tdsl::Full;
using tdsl::One;
using tdsl::Row;

// What a vector core does.
__aicore__ inline void VectorCore(GM_ADDR x_address, GM_ADDR dy_address, GM_ADDR w_address, GM_ADDR dx_address, GM_ADDR part_address, GM_ADDR workspace,
        const __gm__ RowsTiling *args) {
    const int32_t M = int32_t(args->M);
    const int32_t N = int32_t(args->N);
    const int32_t P = int32_t(args->P);
    const int32_t block = int32_t(GetBlockIdx());
    const int32_t blocks = int32_t(GetBlockNum());
    GlobalTensor<float> x;  // in f32[M, N]
    x.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(x_address), uint64_t(int64_t(M) * N));
    GlobalTensor<float> dy;  // in f32[M, N]
    dy.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(dy_address), uint64_t(int64_t(M) * N));
    GlobalTensor<float> w;  // in f32[N]
    w.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(w_address), uint64_t(N));
    GlobalTensor<float> dx;  // out f32[M, N]
    dx.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(dx_address), uint64_t(int64_t(M) * N));
    GlobalTensor<float> part;  // out f32[P, N]
    part.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(part_address), uint64_t(int64_t(P) * N));

    TPipe pipe;
    TBuf<TPosition::VECCALC> ub_buffer;
    pipe.InitBuffer(ub_buffer, 166144);
    pipe.Destroy();  // from here on places and events are the program's own
    const LocalTensor<uint8_t> ub = ub_buffer.Get<uint8_t>();
    const Area w_2{ub[0], 16384};  // 2 x 16384 bytes, f32[n]
    const Area dy_2{ub[32768], 16384};  // 2 x 16384 bytes, f32[m, n]
    const Area x_2{ub[65536], 16384};  // 2 x 16384 bytes, f32[m, n]
    const Area dw{ub[98304], 16384};  // 16384 bytes, f32[n]
    const Area d{ub[114688], 16384};  // 16384 bytes, f32[m, n]
    const Area number{ub[114688], 256};  // 256 bytes, f32[]
    const Area scratch{ub[114688], 1792};  // 1792 bytes
    const Area sum{ub[116480], 256};  // 256 bytes, f32[m]
    const Area g{ub[131072], 16384};  // 16384 bytes, f32[m, n]
    const Area mul{ub[131072], 16384};  // 16384 bytes, f32[m, n]
    const Area mul_2{ub[131072], 16384};  // 16384 bytes, f32[m, n]
    const Area number_2{ub[131072], 256};  // 256 bytes, f32[]
    const Area number_3{ub[131072], 256};  // 256 bytes, f32[]
    const Area number_5{ub[131072], 256};  // 256 bytes, f32[]
    const Area spread{ub[131072], 256};  // 256 bytes, one block an element
    const Area spread_2{ub[131072], 256};  // 256 bytes, one block an element
    const Area spread_5{ub[131072], 256};  // 256 bytes, one block an element
    const Area sum_5{ub[131072], 16384};  // 16384 bytes, f32[n]
    const Area sub_2{ub[147456], 16384};  // 16384 bytes, f32[m, n]
    const Area number_4{ub[163840], 256};  // 256 bytes, f32[]
    const Area scratch_2{ub[163840], 1792};  // 1792 bytes
    const Area scratch_3{ub[163840], 1792};  // 1792 bytes
    const Area scratch_4{ub[163840], 1792};  // 1792 bytes
    const Area spread_3{ub[163840], 256};  // 256 bytes, one block an element
    const Area spread_4{ub[163840], 256};  // 256 bytes, one block an element
    const Area sum_2{ub[165632], 256};  // 256 bytes, f32[m]
    const Area sum_3{ub[165888], 256};  // 256 bytes, f32[m]
    const Area sum_4{ub[165888], 256};  // 256 bytes, f32[m]

    int32_t turn = 0;
    int32_t m_turn = 0;
    const int32_t programs = P;
    SetFlag<HardEvent::V_MTE2>(0);
    SetFlag<HardEvent::V_MTE2>(1);
    SetFlag<HardEvent::V_MTE2>(2);
    SetFlag<HardEvent::V_MTE2>(3);
    SetFlag<HardEvent::MTE3_V>(0);
    SetFlag<HardEvent::V_MTE2>(4);
    SetFlag<HardEvent::V_MTE2>(5);
    SetFlag<HardEvent::MTE3_V>(1);
    // grid p in P
    for (int32_t program = block; program < programs; program += blocks) {
        PipeBarrier<PIPE_V>();
        const int32_t p = program;
        const int32_t n_start = 0;
        const int32_t n_size = N;
        const int32_t n_pitch = (n_size + 7) / 8 * 8;
        const int32_t m_extent = tdsl::Min((p + 1) * tdsl::FloorDiv(M + (P - 1), P), M) - tdsl::Max(p * tdsl::FloorDiv(M + (P - 1), P), 0);
        WaitFlag<HardEvent::MTE3_V>(1);
        // layer_norm_backward.tile:14: var dw: f32[n] = 0
        tdsl::Fill(At<float>(dw), 0.0f, n_pitch);
        WaitFlag<HardEvent::V_MTE2>(4 + turn % 2);
        // layer_norm_backward.tile:20: g = dy[m, n] * w[n]
        tdsl::CopyIn(At<float>(w_2, 0, turn % 2), w[n_start], n_size, 0.0f);
        SetFlag<HardEvent::MTE2_V>(4 + turn % 2);
        PipeBarrier<PIPE_V>();
        WaitFlag<HardEvent::MTE2_V>(4 + turn % 2);
        // layer_norm_backward.tile:22: dw += sum(dy[m, n] * xh over m)
        // for m in max((p * ((M + (P - 1)) // P)), 0) .. min(((p + 1) * ((M + (P - 1)) // P)), M) by BM
        for (int32_t m_start = tdsl::Max(p * tdsl::FloorDiv(M + (P - 1), P), 0); m_start < tdsl::Min((p + 1) * tdsl::FloorDiv(M + (P - 1), P), M); ++m_start) {
            const int32_t m_size = tdsl::Min(1, tdsl::Min((p + 1) * tdsl::FloorDiv(M + (P - 1), P), M) - m_start);
            const int32_t m_pitch = tdsl::FloorDiv(m_size + 7, 8) * 8;
            WaitFlag<HardEvent::V_MTE2>(m_turn % 2);
            // layer_norm_backward.tile:16: v = x[m, n]
            tdsl::CopyIn(At<float>(x_2, 0, m_turn % 2), x[n_start + int64_t(m_start) * N], n_size, 0.0f, Axis{m_size, N, n_pitch});
            SetFlag<HardEvent::MTE2_V>(m_turn % 2);
            WaitFlag<HardEvent::MTE2_V>(m_turn % 2);
            // layer_norm_backward.tile:17: d = v - mean(v over n)
            tdsl::RowReduce<tdsl::SumOf>(At<float>(sum), Full(At<float>(x_2, 0, m_turn % 2), n_pitch), At<float>(scratch), m_size, n_size, 0.0f);
            PipeBarrier<PIPE_V>();
            tdsl::Fill(At<float>(number), float(N), 8);
            PipeBarrier<PIPE_V>();
            tdsl::DivTiles(Full(At<float>(sum), m_pitch), Full(At<float>(sum), m_pitch), One(At<float>(number)), 1, m_size);
            PipeBarrier<PIPE_V>();
            tdsl::Spread(At<float>(spread), At<float>(sum), m_size);
            PipeBarrier<PIPE_V>();
            tdsl::SubTiles(Full(At<float>(d), n_pitch), Full(At<float>(x_2, 0, m_turn % 2), n_pitch), Col(At<float>(spread)), m_size, n_pitch);
            SetFlag<HardEvent::V_MTE2>(m_turn % 2);
            PipeBarrier<PIPE_V>();
            // layer_norm_backward.tile:18: r = rsqrt(mean(d * d over n) + 1e-5)
            tdsl::MulTiles(At<float>(mul), At<float>(d), At<float>(d), m_size * n_pitch);
            PipeBarrier<PIPE_V>();
            tdsl::RowReduce<tdsl::SumOf>(At<float>(sum_2), Full(At<float>(mul), n_pitch), At<float>(scratch_2), m_size, n_size, 0.0f);
            PipeBarrier<PIPE_V>();
            tdsl::Fill(At<float>(number_2), float(N), 8);
            PipeBarrier<PIPE_V>();
            tdsl::DivTiles(Full(At<float>(sum_2), m_pitch), Full(At<float>(sum_2), m_pitch), One(At<float>(number_2)), 1, m_size);
            PipeBarrier<PIPE_V>();
            tdsl::AddScalar(At<float>(sum_2), At<float>(sum_2), 1e-05f, m_size);
            PipeBarrier<PIPE_V>();
            tdsl::SquareRoot(At<float>(sum_2), At<float>(sum_2), m_size);
            tdsl::Fill(At<float>(number_3), 1.0f, 8);
            PipeBarrier<PIPE_V>();
            tdsl::DivTiles(Full(At<float>(sum_2), m_pitch), One(At<float>(number_3)), Full(At<float>(sum_2), m_pitch), 1, m_size);
            PipeBarrier<PIPE_V>();
            // layer_norm_backward.tile:19: xh = d * r
            tdsl::Spread(At<float>(spread_2), At<float>(sum_2), m_size);
            PipeBarrier<PIPE_V>();
            tdsl::MulTiles(Full(At<float>(d), n_pitch), Full(At<float>(d), n_pitch), Col(At<float>(spread_2)), m_size, n_pitch);
            WaitFlag<HardEvent::V_MTE2>(2 + m_turn % 2);
            tdsl::CopyIn(At<float>(dy_2, 0, m_turn % 2), dy[n_start + int64_t(m_start) * N], n_size, 0.0f, Axis{m_size, N, n_pitch});
            SetFlag<HardEvent::MTE2_V>(2 + m_turn % 2);
            PipeBarrier<PIPE_V>();
            WaitFlag<HardEvent::MTE2_V>(2 + m_turn % 2);
            tdsl::MulTiles(Full(At<float>(g), n_pitch), Full(At<float>(dy_2, 0, m_turn % 2), n_pitch), Row(At<float>(w_2, 0, turn % 2)), m_size, n_pitch);
            PipeBarrier<PIPE_V>();
            // layer_norm_backward.tile:21: dx[m, n] = r * (g - mean(g over n) - xh * mean(g * xh over n))
            tdsl::RowReduce<tdsl::SumOf>(At<float>(sum_3), Full(At<float>(g), n_pitch), At<float>(scratch_3), m_size, n_size, 0.0f);
            PipeBarrier<PIPE_V>();
            tdsl::Fill(At<float>(number_4), float(N), 8);
            PipeBarrier<PIPE_V>();
            tdsl::DivTiles(Full(At<float>(sum_3), m_pitch), Full(At<float>(sum_3), m_pitch), One(At<float>(number_4)), 1, m_size);
            PipeBarrier<PIPE_V>();
            tdsl::Spread(At<float>(spread_3), At<float>(sum_3), m_size);
            PipeBarrier<PIPE_V>();
            WaitFlag<HardEvent::MTE3_V>(0);
            tdsl::SubTiles(Full(At<float>(sub_2), n_pitch), Full(At<float>(g), n_pitch), Col(At<float>(spread_3)), m_size, n_pitch);
            PipeBarrier<PIPE_V>();
            tdsl::MulTiles(At<float>(g), At<float>(g), At<float>(d), m_size * n_pitch);
            PipeBarrier<PIPE_V>();
            tdsl::RowReduce<tdsl::SumOf>(At<float>(sum_4), Full(At<float>(g), n_pitch), At<float>(scratch_4), m_size, n_size, 0.0f);
            PipeBarrier<PIPE_V>();
            tdsl::Fill(At<float>(number_5), float(N), 8);
            PipeBarrier<PIPE_V>();
            tdsl::DivTiles(Full(At<float>(sum_4), m_pitch), Full(At<float>(sum_4), m_pitch), One(At<float>(number_5)), 1, m_size);
            PipeBarrier<PIPE_V>();
            tdsl::Spread(At<float>(spread_4), At<float>(sum_4), m_size);
            PipeBarrier<PIPE_V>();
            tdsl::MulTiles(Full(At<float>(mul_2), n_pitch), Full(At<float>(d), n_pitch), Col(At<float>(spread_4)), m_size, n_pitch);
            PipeBarrier<PIPE_V>();
            tdsl::SubTiles(At<float>(sub_2), At<float>(sub_2), At<float>(mul_2), m_size * n_pitch);
            PipeBarrier<PIPE_V>();
            tdsl::Spread(At<float>(spread_5), At<float>(sum_2), m_size);
            PipeBarrier<PIPE_V>();
            tdsl::MulTiles(Full(At<float>(sub_2), n_pitch), Col(At<float>(spread_5)), Full(At<float>(sub_2), n_pitch), m_size, n_pitch);
            SetFlag<HardEvent::V_MTE3>(0);
            WaitFlag<HardEvent::V_MTE3>(0);
            tdsl::CopyOut(dx[n_start + int64_t(m_start) * N], At<float>(sub_2), n_size, Axis{m_size, N, n_pitch});
            SetFlag<HardEvent::MTE3_V>(0);
            tdsl::MulTiles(At<float>(d), At<float>(dy_2, 0, m_turn % 2), At<float>(d), m_size * n_pitch);
            SetFlag<HardEvent::V_MTE2>(2 + m_turn % 2);
            PipeBarrier<PIPE_V>();
            tdsl::ColReduce<tdsl::AddOp>(At<float>(sum_5), Full(At<float>(d), n_pitch), m_size, n_pitch, 0.0f);
            PipeBarrier<PIPE_V>();
            tdsl::AddTiles(At<float>(dw), At<float>(dw), At<float>(sum_5), n_pitch);
            m_turn = m_turn + 1;
        }
        SetFlag<HardEvent::V_MTE3>(1);
        SetFlag<HardEvent::V_MTE2>(4 + turn % 2);
        WaitFlag<HardEvent::V_MTE3>(1);
        // layer_norm_backward.tile:23: part[p, n] = dw
        tdsl::CopyOut(part[n_start + int64_t(p) * N], At<float>(dw), n_size);
        SetFlag<HardEvent::MTE3_V>(1);
        turn = turn + 1;
    }
    WaitFlag<HardEvent::V_MTE2>(0);
    WaitFlag<HardEvent::V_MTE2>(1);
    WaitFlag<HardEvent::V_MTE2>(2);
    WaitFlag<HardEvent::V_MTE2>(3);
    WaitFlag<HardEvent::MTE3_V>(0);
    WaitFlag<HardEvent::V_MTE2>(4);
    WaitFlag<HardEvent::V_MTE2>(5);
    WaitFlag<HardEvent::MTE3_V>(1);
}

extern "C" __global__ __aicore__ void rows(GM_ADDR x_address, GM_ADDR dy_address, GM_ADDR w_address, GM_ADDR dx_address, GM_ADDR part_address, GM_ADDR workspace, GM_ADDR tiling) {
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    const auto *args = reinterpret_cast<const __gm__ RowsTiling *>(tiling);
    VectorCore(x_address, dy_address, w_address, dx_address, part_address, workspace, args);
}
