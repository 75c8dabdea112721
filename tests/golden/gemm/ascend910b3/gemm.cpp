// Kernel `gemm` for ascend910b3, written by tiledsl. Compile with the CANN toolkit and
// --cce-auto-sync=off: every flag and barrier is here.
//
// c = relu(a @ b + bias). The epilogue is written where its result is wanted; that the accumulator
// lives on one core and the epilogue runs on another is the compiler's business.
//
// Arguments, all in global memory:
//   a_address: in f16[M, K]
//   b_address: in f16[K, N]
//   bias_address: in f16[N]
//   c_address: out f16[M, N]
//   workspace: 262144 bytes for each block
//   tiling: a GemmTiling
#include "kernel_operator.h"
#include "tiledsl_ascend.h"
#include "gemm_tiling.h"

using namespace AscendC;
using tdsl::Area;
using tdsl::At;
using tdsl::Axis;
using tdsl::Col;
using tdsl::Full;
using tdsl::One;
using tdsl::Row;

// What a cube core does.
__aicore__ inline void CubeCore(GM_ADDR a_address, GM_ADDR b_address, GM_ADDR bias_address, GM_ADDR c_address, GM_ADDR workspace,
        const __gm__ GemmTiling *args) {
    const int32_t M = int32_t(args->M);
    const int32_t K = int32_t(args->K);
    const int32_t N = int32_t(args->N);
    const int32_t block = int32_t(GetBlockIdx());
    const int32_t blocks = int32_t(GetBlockNum());
    GlobalTensor<half> a;  // in f16[M, K]
    a.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(a_address), uint64_t(int64_t(M) * K));
    GlobalTensor<half> b;  // in f16[K, N]
    b.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(b_address), uint64_t(int64_t(K) * N));
    GlobalTensor<float> acc_handed;  // workspace: 2 slots of 32768 f32
    acc_handed.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(
        workspace + uint64_t(block) * 262144 + 0), 65536);

    TPipe pipe;
    TBuf<TPosition::A1> l1_buffer;
    pipe.InitBuffer(l1_buffer, 196608);
    TBuf<TPosition::A2> l0a_buffer;
    pipe.InitBuffer(l0a_buffer, 32768);
    TBuf<TPosition::B2> l0b_buffer;
    pipe.InitBuffer(l0b_buffer, 65536);
    TBuf<TPosition::CO1> l0c_buffer;
    pipe.InitBuffer(l0c_buffer, 131072);
    pipe.Destroy();  // from here on places and events are the program's own
    const LocalTensor<uint8_t> l1 = l1_buffer.Get<uint8_t>();
    const LocalTensor<uint8_t> l0a = l0a_buffer.Get<uint8_t>();
    const LocalTensor<uint8_t> l0b = l0b_buffer.Get<uint8_t>();
    const LocalTensor<uint8_t> l0c = l0c_buffer.Get<uint8_t>();
    const Area left{l0a[0], 16384};  // 2 x 16384 bytes, f16[m, k]
    const Area right{l0b[0], 32768};  // 2 x 32768 bytes, f16[n, k]
    const Area acc{l0c[0], 131072};  // 131072 bytes, f32[m, n]
    const Area b_2{l1[0], 65536};  // 2 x 65536 bytes, f16[k, n]
    const Area a_2{l1[131072], 32768};  // 2 x 32768 bytes, f16[m, k]

    int32_t k_turn = 0;
    int32_t k_at_turn = 0;
    int32_t acc_handed_turn = 0;
    int32_t acc_fresh = 0;
    const int32_t programs = (M + 127) / 128 * ((N + 255) / 256);
    SetFlag<HardEvent::M_MTE1>(0);
    SetFlag<HardEvent::M_MTE1>(1);
    SetFlag<HardEvent::MTE1_MTE2>(0);
    SetFlag<HardEvent::MTE1_MTE2>(1);
    SetFlag<HardEvent::FIX_M>(0);
    // grid m in M by BM, n in N by BN
    for (int32_t program = block; program < programs; program += blocks) {
        const int32_t n_start = tdsl::FloorMod(program, (N + 255) / 256) * 256;
        const int32_t n_size = tdsl::Min(256, N - n_start);
        const int32_t m_start = tdsl::FloorDiv(program, (N + 255) / 256) * 128;
        const int32_t m_size = tdsl::Min(128, M - m_start);
        acc_fresh = 1;
        WaitFlag<HardEvent::FIX_M>(0);
        // gemm.tile:9: acc += a[m, k] @ b[k, n]
        // for k in K by BK
        for (int32_t k_start = 0; k_start < tdsl::Max(K, 1); k_start += 128) {
            const int32_t k_size = tdsl::Max(tdsl::Min(128, K - k_start), 0);
            WaitFlag<HardEvent::MTE1_MTE2>(k_turn % 2);
            tdsl::LoadNz(At<half>(a_2, 0, k_turn % 2), a[k_start + int64_t(m_start) * K], m_size, k_size, K, tdsl::FloorDiv(m_size + 15, 16) * 16);
            tdsl::LoadNz(At<half>(b_2, 0, k_turn % 2), b[n_start + int64_t(k_start) * N], k_size, n_size, N, tdsl::FloorDiv(k_size + 15, 16) * 16);
            SetFlag<HardEvent::MTE2_MTE1>(k_turn % 2);
            WaitFlag<HardEvent::MTE2_MTE1>(k_turn % 2);
            // k in steps that fit L0
            for (int32_t k_at = 0; k_at < tdsl::Max(k_size, 1); k_at += 64) {
                const int32_t k_at_size = tdsl::Max(tdsl::Min(64, k_size - k_at), 0);
                WaitFlag<HardEvent::M_MTE1>(k_at_turn % 2);
                tdsl::LoadA<false>(At<half>(left, 0, k_at_turn % 2), At<half>(a_2, k_at * (tdsl::FloorDiv(m_size + 15, 16) * 16), k_turn % 2), m_size, k_at_size, tdsl::FloorDiv(m_size + 15, 16) * 16);
                tdsl::LoadB<false>(At<half>(right, 0, k_at_turn % 2), At<half>(b_2, k_at * 16, k_turn % 2), k_at_size, n_size, tdsl::FloorDiv(k_size + 15, 16) * 16);
                SetFlag<HardEvent::MTE1_M>(k_at_turn % 2);
                WaitFlag<HardEvent::MTE1_M>(k_at_turn % 2);
                tdsl::Multiply(At<float>(acc), At<half>(left, 0, k_at_turn % 2), At<half>(right, 0, k_at_turn % 2), m_size, n_size, k_at_size, acc_fresh == 1);
                SetFlag<HardEvent::M_MTE1>(k_at_turn % 2);
                acc_fresh = 0;
                k_at_turn = k_at_turn + 1;
            }
            SetFlag<HardEvent::MTE1_MTE2>(k_turn % 2);
            k_turn = k_turn + 1;
        }
        SetFlag<HardEvent::M_FIX>(0);
        // gemm.tile:10: c[m, n] = relu(acc + bias[n])
        CrossCoreWaitFlag(1);
        WaitFlag<HardEvent::M_FIX>(0);
        tdsl::StoreProduct(acc_handed[(acc_handed_turn % 2) * 32768], At<float>(acc), m_size, n_size, 256);
        SetFlag<HardEvent::FIX_M>(0);
        CrossCoreSetFlag<2, PIPE_FIX>(0);
        acc_handed_turn = acc_handed_turn + 1;
    }
    CrossCoreWaitFlag(1);
    CrossCoreWaitFlag(1);
    WaitFlag<HardEvent::M_MTE1>(0);
    WaitFlag<HardEvent::M_MTE1>(1);
    WaitFlag<HardEvent::MTE1_MTE2>(0);
    WaitFlag<HardEvent::MTE1_MTE2>(1);
    WaitFlag<HardEvent::FIX_M>(0);
}

// What a vector core does.
__aicore__ inline void VectorCore(GM_ADDR a_address, GM_ADDR b_address, GM_ADDR bias_address, GM_ADDR c_address, GM_ADDR workspace,
        const __gm__ GemmTiling *args) {
    const int32_t M = int32_t(args->M);
    const int32_t N = int32_t(args->N);
    const int32_t block = int32_t(GetBlockIdx()) / 2;
    const int32_t blocks = int32_t(GetBlockNum());
    const int32_t sub = int32_t(GetSubBlockIdx());
    GlobalTensor<half> bias;  // in f16[N]
    bias.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(bias_address), uint64_t(N));
    GlobalTensor<half> c;  // out f16[M, N]
    c.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(c_address), uint64_t(int64_t(M) * N));
    GlobalTensor<float> acc_handed;  // workspace: 2 slots of 32768 f32
    acc_handed.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(
        workspace + uint64_t(block) * 262144 + 0), 65536);

    TPipe pipe;
    TBuf<TPosition::VECCALC> ub_buffer;
    pipe.InitBuffer(ub_buffer, 165888);
    pipe.Destroy();  // from here on places and events are the program's own
    const LocalTensor<uint8_t> ub = ub_buffer.Get<uint8_t>();
    const Area acc{ub[0], 65536};  // 2 x 65536 bytes, f32[m, n]
    const Area cast_2{ub[131072], 32768};  // 32768 bytes, f16[m, n]
    const Area bias_2{ub[163840], 512};  // 2 x 512 bytes, f16[n]
    const Area cast{ub[164864], 1024};  // 1024 bytes, f32[n]

    int32_t turn = 0;
    int32_t acc_handed_turn = 0;
    SetFlag<HardEvent::V_MTE2>(1);
    SetFlag<HardEvent::V_MTE2>(2);
    SetFlag<HardEvent::MTE3_V>(0);
    CrossCoreSetFlag<2, PIPE_MTE2>(1);
    CrossCoreSetFlag<2, PIPE_MTE2>(1);
    const int32_t programs = (M + 127) / 128 * ((N + 255) / 256);
    // grid m in M by BM, n in N by BN
    for (int32_t program = block; program < programs; program += blocks) {
        const int32_t n_start = tdsl::FloorMod(program, (N + 255) / 256) * 256;
        const int32_t n_size = tdsl::Min(256, N - n_start);
        const int32_t n_pitch = tdsl::FloorDiv(n_size + 15, 16) * 16;
        const int32_t m_first = tdsl::FloorDiv(program, (N + 255) / 256) * 128;
        const int32_t m_rows = tdsl::Min(128, M - m_first);
        const int32_t m_start = m_first + sub * 64;
        const int32_t m_size = tdsl::Max(tdsl::Min(m_rows - sub * 64, 64), 0);
        // gemm.tile:10: c[m, n] = relu(acc + bias[n])
        CrossCoreWaitFlag(0);
        if (n_size != n_pitch) {
            tdsl::Fill(At<float>(acc, 0, turn % 2), 0.0f, m_size * n_pitch);
            SetFlag<HardEvent::V_MTE2>(0);
            WaitFlag<HardEvent::V_MTE2>(0);
        }
        WaitFlag<HardEvent::V_MTE2>(1 + turn % 2);
        tdsl::CopyIn(At<float>(acc, 0, turn % 2), acc_handed[(acc_handed_turn % 2) * 32768 + (int64_t(m_start) - m_first) * 256], n_size, 0.0f, Axis{m_size, 256, n_pitch});
        CrossCoreSetFlag<2, PIPE_MTE2>(1);
        acc_handed_turn = acc_handed_turn + 1;
        tdsl::CopyIn(At<half>(bias_2, 0, turn % 2), bias[n_start], n_size, 0.0f);
        SetFlag<HardEvent::MTE2_V>(turn % 2);
        WaitFlag<HardEvent::MTE2_V>(turn % 2);
        tdsl::Convert<RoundMode::CAST_NONE>(At<float>(cast), At<half>(bias_2, 0, turn % 2), n_pitch);
        PipeBarrier<PIPE_V>();
        tdsl::AddTiles(Full(At<float>(acc, 0, turn % 2), n_pitch), Full(At<float>(acc, 0, turn % 2), n_pitch), Row(At<float>(cast)), m_size, n_pitch);
        PipeBarrier<PIPE_V>();
        // nn.tile:6: fn relu(x) = max(x, 0)
        tdsl::MaxScalar(At<float>(acc, 0, turn % 2), At<float>(acc, 0, turn % 2), 0.0f, m_size * n_pitch);
        PipeBarrier<PIPE_V>();
        WaitFlag<HardEvent::MTE3_V>(0);
        tdsl::Convert<RoundMode::CAST_RINT>(At<half>(cast_2), At<float>(acc, 0, turn % 2), m_size * n_pitch);
        SetFlag<HardEvent::V_MTE3>(0);
        SetFlag<HardEvent::V_MTE2>(1 + turn % 2);
        WaitFlag<HardEvent::V_MTE3>(0);
        tdsl::CopyOut(c[n_start + int64_t(m_start) * N], At<half>(cast_2), n_size, Axis{m_size, N, n_pitch});
        SetFlag<HardEvent::MTE3_V>(0);
        turn = turn + 1;
    }
    WaitFlag<HardEvent::V_MTE2>(1);
    WaitFlag<HardEvent::V_MTE2>(2);
    WaitFlag<HardEvent::MTE3_V>(0);
}

extern "C" __global__ __aicore__ void gemm(GM_ADDR a_address, GM_ADDR b_address, GM_ADDR bias_address, GM_ADDR c_address, GM_ADDR workspace, GM_ADDR tiling) {
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    const auto *args = reinterpret_cast<const __gm__ GemmTiling *>(tiling);
    if ASCEND_IS_AIC {
        CubeCore(a_address, b_address, bias_address, c_address, workspace, args);
    }
    if ASCEND_IS_AIV {
        VectorCore(a_address, b_address, bias_address, c_address, workspace, args);
    }
}
