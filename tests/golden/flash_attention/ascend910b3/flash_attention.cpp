// Kernel `flash_attention` for ascend910b3, written by tiledsl. Compile with the CANN toolkit and
// --cce-auto-sync=off: every flag and barrier is here.
//
// softmax(q @ k * scale) @ v without the matrix of scores: for each block of queries the keys go by
// once, and what was summed so far is corrected as the running maximum grows.
//
// Arguments, all in global memory:
//   q_address: in f16[B, H, S, D]
//   k_address: in f16[B, H, L, D]
//   v_address: in f16[B, H, L, D]
//   o_address: out f16[B, H, S, D]
//   workspace: 983040 bytes for each block
//   tiling: a FlashAttentionTiling
#include "kernel_operator.h"
#include "tiledsl_ascend.h"
#include "flash_attention_tiling.h"

using namespace AscendC;
using tdsl::Area;
using tdsl::At;
using tdsl::Axis;
using tdsl::Col;
using tdsl::Full;
using tdsl::One;
using tdsl::Row;

// What a cube core does.
__aicore__ inline void CubeCore(GM_ADDR q_address, GM_ADDR k_address, GM_ADDR v_address, GM_ADDR o_address, GM_ADDR workspace,
        const __gm__ FlashAttentionTiling *args) {
    const int32_t B = int32_t(args->B);
    const int32_t H = int32_t(args->H);
    const int32_t S = int32_t(args->S);
    const int32_t D = int32_t(args->D);
    const int32_t L = int32_t(args->L);
    const int32_t block = int32_t(GetBlockIdx());
    const int32_t blocks = int32_t(GetBlockNum());
    GlobalTensor<half> q;  // in f16[B, H, S, D]
    q.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(q_address), uint64_t(int64_t(B) * H * S * D));
    GlobalTensor<half> k;  // in f16[B, H, L, D]
    k.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(k_address), uint64_t(int64_t(B) * H * L * D));
    GlobalTensor<half> v;  // in f16[B, H, L, D]
    v.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(v_address), uint64_t(int64_t(B) * H * L * D));
    GlobalTensor<half> cast_handed_2;  // workspace: 3 slots of 32768 f16
    cast_handed_2.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(
        workspace + uint64_t(block) * 983040 + 0), 98304);
    GlobalTensor<float> product_handed;  // workspace: 3 slots of 32768 f32
    product_handed.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(
        workspace + uint64_t(block) * 983040 + 196608), 98304);
    GlobalTensor<float> product_2_handed;  // workspace: 3 slots of 32768 f32
    product_2_handed.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(
        workspace + uint64_t(block) * 983040 + 589824), 98304);

    TPipe pipe;
    TBuf<TPosition::A1> l1_buffer;
    pipe.InitBuffer(l1_buffer, 262144);
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
    const Area left{l0a[0], 16384};  // 2 x 16384 bytes, f16[i, d]
    const Area left_2{l0a[0], 16384};  // 2 x 16384 bytes, f16[i, j]
    const Area right{l0b[0], 32768};  // 2 x 32768 bytes, f16[j, d]
    const Area right_2{l0b[0], 32768};  // 2 x 32768 bytes, f16[d, j]
    const Area product{l0c[0], 131072};  // 131072 bytes, f32[i, j]
    const Area product_2{l0c[0], 131072};  // 131072 bytes, f32[i, d]
    const Area k_2{l1[0], 131072};  // 131072 bytes, f16[j, d]
    const Area v_2{l1[0], 131072};  // 131072 bytes, f16[j, d]
    const Area q_2{l1[131072], 65536};  // 65536 bytes, f16[i, d]
    const Area cast_handed{l1[196608], 65536};  // 65536 bytes, f16[i, j]

    int32_t d_at_turn = 0;
    int32_t j_3_at_turn = 0;
    int32_t cast_handed_turn = 0;
    int32_t product_handed_turn = 0;
    int32_t product_2_handed_turn = 0;
    int32_t product_fresh = 0;
    int32_t product_2_fresh = 0;
    SetFlag<HardEvent::M_MTE1>(0);
    SetFlag<HardEvent::M_MTE1>(1);
    SetFlag<HardEvent::M_MTE1>(2);
    SetFlag<HardEvent::M_MTE1>(3);
    SetFlag<HardEvent::MTE1_MTE2>(1);
    SetFlag<HardEvent::MTE1_M>(5);
    SetFlag<HardEvent::M_MTE1>(5);
    SetFlag<HardEvent::FIX_M>(1);
    SetFlag<HardEvent::MTE1_MTE2>(2);
    CrossCoreSetFlag<2, PIPE_MTE2>(1);
    CrossCoreSetFlag<2, PIPE_MTE2>(1);
    CrossCoreSetFlag<2, PIPE_MTE2>(1);
    const int32_t programs = B * H * ((S + 127) / 128);
    // grid b in B, h in H, i in S by BS
    for (int32_t program = block; program < programs; program += blocks) {
        PipeBarrier<PIPE_MTE2>();
        const int32_t i_start = tdsl::FloorMod(program, (S + 127) / 128) * 128;
        const int32_t i_size = tdsl::Min(128, S - i_start);
        const int32_t h = tdsl::FloorMod(tdsl::FloorDiv(program, (S + 127) / 128), H);
        const int32_t b = tdsl::FloorDiv(tdsl::FloorDiv(program, (S + 127) / 128), H);
        const int32_t d_start = 0;
        const int32_t d_size = D;
        WaitFlag<HardEvent::MTE1_MTE2>(2);
        // flash_attention.tile:12: s = q[b, h, i, d] @ k[b, h, j, d] * scale
        tdsl::LoadNz(At<half>(q_2), q[d_start + int64_t(i_start) * D + h * (int64_t(D) * S) + b * (int64_t(D) * S * H)], i_size, d_size, D, tdsl::FloorDiv(i_size + 15, 16) * 16);
        SetFlag<HardEvent::MTE2_MTE1>(2);
        const int32_t j_trips = (L + 255) / 256;
        WaitFlag<HardEvent::MTE2_MTE1>(2);
        // flash_attention.tile:17: acc = acc * fix + T(p) @ v[b, h, j, d]
        // for j in L by BL, the first stage 2 ahead of the last
        for (int32_t j_step = 0; j_step < j_trips + tdsl::Min(j_trips, 1) * 2; ++j_step) {
            PipeBarrier<PIPE_MTE2>();
            PipeBarrier<PIPE_MTE1>();
            const int32_t j_2_start = tdsl::Min(j_step, j_trips - 1) * 256;
            const int32_t j_2_size = tdsl::Min(256, L - j_2_start);
            WaitFlag<HardEvent::MTE1_MTE2>(1);
            // flash_attention.tile:11: for j in L by BL:
            if (j_step < j_trips) {
                tdsl::LoadNz(At<half>(k_2), k[d_start + int64_t(j_2_start) * D + h * (int64_t(D) * L) + b * (int64_t(D) * L * H)], j_2_size, d_size, D, tdsl::FloorDiv(j_2_size + 15, 16) * 16);
            }
            SetFlag<HardEvent::MTE2_MTE1>(0);
            if (j_step < j_trips) {
                product_fresh = 1;
            }
            WaitFlag<HardEvent::MTE2_MTE1>(0);
            WaitFlag<HardEvent::MTE1_M>(5);
            WaitFlag<HardEvent::M_MTE1>(5);
            WaitFlag<HardEvent::FIX_M>(1);
            if (j_step < j_trips) {
                // d in steps that fit L0
                for (int32_t d_at = 0; d_at < tdsl::Max(d_size, 1); d_at += 64) {
                    const int32_t d_at_size = tdsl::Max(tdsl::Min(64, d_size - d_at), 0);
                    WaitFlag<HardEvent::M_MTE1>(d_at_turn % 2);
                    tdsl::LoadA<false>(At<half>(left, 0, d_at_turn % 2), At<half>(q_2, d_at * (tdsl::FloorDiv(i_size + 15, 16) * 16)), i_size, d_at_size, tdsl::FloorDiv(i_size + 15, 16) * 16);
                    tdsl::LoadB<true>(At<half>(right, 0, d_at_turn % 2), At<half>(k_2, d_at * (tdsl::FloorDiv(j_2_size + 15, 16) * 16)), d_at_size, j_2_size, tdsl::FloorDiv(j_2_size + 15, 16) * 16);
                    SetFlag<HardEvent::MTE1_M>(d_at_turn % 2);
                    WaitFlag<HardEvent::MTE1_M>(d_at_turn % 2);
                    tdsl::Multiply(At<float>(product), At<half>(left, 0, d_at_turn % 2), At<half>(right, 0, d_at_turn % 2), i_size, j_2_size, d_at_size, product_fresh == 1);
                    SetFlag<HardEvent::M_MTE1>(d_at_turn % 2);
                    product_fresh = 0;
                    d_at_turn = d_at_turn + 1;
                }
            }
            SetFlag<HardEvent::M_FIX>(0);
            SetFlag<HardEvent::MTE1_MTE2>(0);
            SetFlag<HardEvent::M_MTE1>(4);
            SetFlag<HardEvent::MTE1_M>(4);
            if (j_step < j_trips) {
                CrossCoreWaitFlag(3);
            }
            WaitFlag<HardEvent::M_FIX>(0);
            if (j_step < j_trips) {
                tdsl::StoreProduct(product_handed[(product_handed_turn % 3) * 32768], At<float>(product), i_size, j_2_size, 256);
            }
            SetFlag<HardEvent::FIX_M>(0);
            if (j_step < j_trips) {
                CrossCoreSetFlag<2, PIPE_FIX>(2);
                product_handed_turn = product_handed_turn + 1;
            }
            const int32_t j_3_start = tdsl::Max(j_step - 2, 0) * 256;
            const int32_t j_3_size = tdsl::Min(256, L - j_3_start);
            WaitFlag<HardEvent::MTE1_MTE2>(0);
            if (j_step >= 2) {
                tdsl::LoadNz(At<half>(v_2), v[d_start + int64_t(j_3_start) * D + h * (int64_t(D) * L) + b * (int64_t(D) * L * H)], j_3_size, d_size, D, tdsl::FloorDiv(j_3_size + 15, 16) * 16);
                CrossCoreWaitFlag(0);
                tdsl::LoadNz(At<half>(cast_handed), cast_handed_2[(cast_handed_turn % 3) * 32768], i_size, j_3_size, 256, tdsl::FloorDiv(i_size + 15, 16) * 16);
            }
            SetFlag<HardEvent::MTE2_MTE1>(1);
            if (j_step >= 2) {
                CrossCoreSetFlag<2, PIPE_MTE2>(1);
                cast_handed_turn = cast_handed_turn + 1;
                product_2_fresh = 1;
            }
            WaitFlag<HardEvent::MTE2_MTE1>(1);
            WaitFlag<HardEvent::FIX_M>(0);
            WaitFlag<HardEvent::M_MTE1>(4);
            WaitFlag<HardEvent::MTE1_M>(4);
            if (j_step >= 2) {
                // j in steps that fit L0
                for (int32_t j_3_at = 0; j_3_at < tdsl::Max(j_3_size, 1); j_3_at += 64) {
                    const int32_t j_3_at_size = tdsl::Max(tdsl::Min(64, j_3_size - j_3_at), 0);
                    WaitFlag<HardEvent::M_MTE1>(2 + j_3_at_turn % 2);
                    tdsl::LoadA<false>(At<half>(left_2, 0, j_3_at_turn % 2), At<half>(cast_handed, j_3_at * (tdsl::FloorDiv(i_size + 15, 16) * 16)), i_size, j_3_at_size, tdsl::FloorDiv(i_size + 15, 16) * 16);
                    tdsl::LoadB<false>(At<half>(right_2, 0, j_3_at_turn % 2), At<half>(v_2, j_3_at * 16), j_3_at_size, d_size, tdsl::FloorDiv(j_3_size + 15, 16) * 16);
                    SetFlag<HardEvent::MTE1_M>(2 + j_3_at_turn % 2);
                    WaitFlag<HardEvent::MTE1_M>(2 + j_3_at_turn % 2);
                    tdsl::Multiply(At<float>(product_2), At<half>(left_2, 0, j_3_at_turn % 2), At<half>(right_2, 0, j_3_at_turn % 2), i_size, d_size, j_3_at_size, product_2_fresh == 1);
                    SetFlag<HardEvent::M_MTE1>(2 + j_3_at_turn % 2);
                    product_2_fresh = 0;
                    j_3_at_turn = j_3_at_turn + 1;
                }
            }
            SetFlag<HardEvent::M_FIX>(1);
            SetFlag<HardEvent::MTE1_MTE2>(1);
            SetFlag<HardEvent::MTE1_M>(5);
            SetFlag<HardEvent::M_MTE1>(5);
            if (j_step >= 2) {
                CrossCoreWaitFlag(5);
            }
            WaitFlag<HardEvent::M_FIX>(1);
            if (j_step >= 2) {
                tdsl::StoreProduct(product_2_handed[(product_2_handed_turn % 3) * 32768], At<float>(product_2), i_size, d_size, 256);
            }
            SetFlag<HardEvent::FIX_M>(1);
            if (j_step >= 2) {
                CrossCoreSetFlag<2, PIPE_FIX>(4);
                product_2_handed_turn = product_2_handed_turn + 1;
            }
        }
        SetFlag<HardEvent::MTE1_MTE2>(2);
    }
    CrossCoreWaitFlag(3);
    CrossCoreWaitFlag(3);
    CrossCoreWaitFlag(3);
    CrossCoreWaitFlag(5);
    CrossCoreWaitFlag(5);
    CrossCoreWaitFlag(5);
    WaitFlag<HardEvent::M_MTE1>(0);
    WaitFlag<HardEvent::M_MTE1>(1);
    WaitFlag<HardEvent::M_MTE1>(2);
    WaitFlag<HardEvent::M_MTE1>(3);
    WaitFlag<HardEvent::MTE1_MTE2>(1);
    WaitFlag<HardEvent::MTE1_M>(5);
    WaitFlag<HardEvent::M_MTE1>(5);
    WaitFlag<HardEvent::FIX_M>(1);
    WaitFlag<HardEvent::MTE1_MTE2>(2);
}

// What a vector core does.
__aicore__ inline void VectorCore(GM_ADDR q_address, GM_ADDR k_address, GM_ADDR v_address, GM_ADDR o_address, GM_ADDR workspace,
        const __gm__ FlashAttentionTiling *args) {
    const int32_t B = int32_t(args->B);
    const int32_t H = int32_t(args->H);
    const int32_t S = int32_t(args->S);
    const int32_t D = int32_t(args->D);
    const int32_t L = int32_t(args->L);
    const float scale = float(args->scale);
    const int32_t block = int32_t(GetBlockIdx()) / 2;
    const int32_t blocks = int32_t(GetBlockNum());
    const int32_t sub = int32_t(GetSubBlockIdx());
    GlobalTensor<half> o;  // out f16[B, H, S, D]
    o.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(o_address), uint64_t(int64_t(B) * H * S * D));
    GlobalTensor<half> cast_handed_2;  // workspace: 3 slots of 32768 f16
    cast_handed_2.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(
        workspace + uint64_t(block) * 983040 + 0), 98304);
    GlobalTensor<float> product_handed;  // workspace: 3 slots of 32768 f32
    product_handed.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(
        workspace + uint64_t(block) * 983040 + 196608), 98304);
    GlobalTensor<float> product_2_handed;  // workspace: 3 slots of 32768 f32
    product_2_handed.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(
        workspace + uint64_t(block) * 983040 + 589824), 98304);

    TPipe pipe;
    TBuf<TPosition::VECCALC> ub_buffer;
    pipe.InitBuffer(ub_buffer, 185344);
    pipe.Destroy();  // from here on places and events are the program's own
    const LocalTensor<uint8_t> ub = ub_buffer.Get<uint8_t>();
    const Area acc{ub[0], 65536};  // 65536 bytes, f32[i, d]
    const Area div_{ub[65536], 65536};  // 65536 bytes, f32[i, d]
    const Area product{ub[65536], 65536};  // 65536 bytes, f32[i, j]
    const Area product_2{ub[65536], 65536};  // 65536 bytes, f32[i, d]
    const Area cast{ub[131072], 32768};  // 32768 bytes, f16[i, j]
    const Area cast_2{ub[131072], 32768};  // 32768 bytes, f16[i, d]
    const Area scratch{ub[163840], 19712};  // 19712 bytes
    const Area scratch_2{ub[163840], 19712};  // 19712 bytes
    const Area spread{ub[163840], 2048};  // 2048 bytes, one block an element
    const Area spread_2{ub[163840], 2048};  // 2048 bytes, one block an element
    const Area spread_3{ub[163840], 2048};  // 2048 bytes, one block an element
    const Area fix{ub[183552], 256};  // 3 x 256 bytes, f32[i]
    const Area top{ub[184320], 256};  // 256 bytes, f32[i]
    const Area den{ub[184576], 256};  // 256 bytes, f32[i]
    const Area max{ub[184832], 256};  // 256 bytes, f32[i]
    const Area sum{ub[185088], 256};  // 256 bytes, f32[i]

    int32_t j_turn = 0;
    int32_t cast_handed_turn = 0;
    int32_t product_handed_turn = 0;
    int32_t product_2_handed_turn = 0;
    SetFlag<HardEvent::V_MTE2>(3);
    SetFlag<HardEvent::MTE3_V>(0);
    SetFlag<HardEvent::V_MTE2>(4);
    SetFlag<HardEvent::MTE3_V>(2);
    CrossCoreSetFlag<2, PIPE_MTE2>(3);
    CrossCoreSetFlag<2, PIPE_MTE2>(3);
    CrossCoreSetFlag<2, PIPE_MTE2>(3);
    CrossCoreSetFlag<2, PIPE_MTE2>(5);
    CrossCoreSetFlag<2, PIPE_MTE2>(5);
    CrossCoreSetFlag<2, PIPE_MTE2>(5);
    const int32_t programs = B * H * ((S + 127) / 128);
    // grid b in B, h in H, i in S by BS
    for (int32_t program = block; program < programs; program += blocks) {
        const int32_t i_first = tdsl::FloorMod(program, (S + 127) / 128) * 128;
        const int32_t i_rows = tdsl::Min(128, S - i_first);
        const int32_t i_start = i_first + sub * 64;
        const int32_t i_size = tdsl::Max(tdsl::Min(i_rows - sub * 64, 64), 0);
        const int32_t i_pitch = tdsl::FloorDiv(i_size + 15, 16) * 16;
        const int32_t h = tdsl::FloorMod(tdsl::FloorDiv(program, (S + 127) / 128), H);
        const int32_t b = tdsl::FloorDiv(tdsl::FloorDiv(program, (S + 127) / 128), H);
        const int32_t d_start = 0;
        const int32_t d_size = D;
        const int32_t d_pitch = (d_size + 15) / 16 * 16;
        // flash_attention.tile:8: var top: f32[i] = -inf
        tdsl::Fill(At<float>(top), -tdsl::kInf, i_pitch);
        // flash_attention.tile:9: var den: f32[i] = 0
        tdsl::Fill(At<float>(den), 0.0f, i_pitch);
        // flash_attention.tile:10: var acc: f32[i, d] = 0
        tdsl::Fill(At<float>(acc), 0.0f, i_size * d_pitch);
        const int32_t j_trips = (L + 255) / 256;
        PipeBarrier<PIPE_V>();
        WaitFlag<HardEvent::V_MTE2>(4);
        WaitFlag<HardEvent::MTE3_V>(2);
        // flash_attention.tile:17: acc = acc * fix + T(p) @ v[b, h, j, d]
        // for j in L by BL, the first stage 2 ahead of the last
        for (int32_t j_step = 0; j_step < j_trips + tdsl::Min(j_trips, 1) * 2; ++j_step) {
            PipeBarrier<PIPE_V>();
            PipeBarrier<PIPE_MTE2>();
            const int32_t j_2_start = tdsl::Min(j_step, j_trips - 1) * 256;
            const int32_t j_2_size = tdsl::Min(256, L - j_2_start);
            const int32_t j_2_pitch = tdsl::FloorDiv(j_2_size + 15, 16) * 16;
            // flash_attention.tile:11: for j in L by BL:
            if (j_step < j_trips) {
                // flash_attention.tile:12: s = q[b, h, i, d] @ k[b, h, j, d] * scale
                CrossCoreWaitFlag(2);
                if (j_2_size != j_2_pitch) {
                    tdsl::Fill(At<float>(product), 0.0f, i_size * j_2_pitch);
                    SetFlag<HardEvent::V_MTE2>(0);
                    WaitFlag<HardEvent::V_MTE2>(0);
                }
            }
            WaitFlag<HardEvent::V_MTE2>(3);
            if (j_step < j_trips) {
                tdsl::CopyIn(At<float>(product), product_handed[(product_handed_turn % 3) * 32768 + (int64_t(i_start) - i_first) * 256], j_2_size, 0.0f, Axis{i_size, 256, j_2_pitch});
            }
            SetFlag<HardEvent::MTE2_V>(0);
            if (j_step < j_trips) {
                CrossCoreSetFlag<2, PIPE_MTE2>(3);
                product_handed_turn = product_handed_turn + 1;
            }
            PipeBarrier<PIPE_V>();
            WaitFlag<HardEvent::MTE2_V>(0);
            if (j_step < j_trips) {
                tdsl::MulScalar(At<float>(product), At<float>(product), scale, i_size * j_2_pitch);
            }
            PipeBarrier<PIPE_V>();
            if (j_step < j_trips) {
                // flash_attention.tile:13: new = max(top, max(s over j))
                tdsl::RowReduce<tdsl::Blocks<tdsl::MaxOf>>(At<float>(max), Full(At<float>(product), j_2_pitch), At<float>(scratch), i_size, j_2_size, -tdsl::kInf);
            }
            PipeBarrier<PIPE_V>();
            if (j_step < j_trips) {
                tdsl::MaxTiles(At<float>(max), At<float>(top), At<float>(max), i_size);
            }
            PipeBarrier<PIPE_V>();
            if (j_step < j_trips) {
                // flash_attention.tile:14: p = exp(s - new)
                tdsl::Spread(At<float>(spread), At<float>(max), i_size);
            }
            PipeBarrier<PIPE_V>();
            if (j_step < j_trips) {
                tdsl::SubTiles(Full(At<float>(product), j_2_pitch), Full(At<float>(product), j_2_pitch), Col(At<float>(spread)), i_size, j_2_pitch);
            }
            PipeBarrier<PIPE_V>();
            if (j_step < j_trips) {
                tdsl::Exponential(At<float>(product), At<float>(product), i_size * j_2_pitch);
                // flash_attention.tile:15: fix = exp(top - new)
                tdsl::SubTiles(At<float>(top), At<float>(top), At<float>(max), i_size);
            }
            PipeBarrier<PIPE_V>();
            if (j_step < j_trips) {
                tdsl::Exponential(At<float>(fix, 0, j_turn % 3), At<float>(top), i_size);
            }
            PipeBarrier<PIPE_V>();
            if (j_step < j_trips) {
                // flash_attention.tile:16: den = den * fix + sum(p over j)
                tdsl::MulTiles(At<float>(den), At<float>(den), At<float>(fix, 0, j_turn % 3), i_size);
                tdsl::RowReduce<tdsl::Blocks<tdsl::SumOf>>(At<float>(sum), Full(At<float>(product), j_2_pitch), At<float>(scratch_2), i_size, j_2_size, 0.0f);
            }
            PipeBarrier<PIPE_V>();
            if (j_step < j_trips) {
                tdsl::AddTiles(At<float>(den), At<float>(den), At<float>(sum), i_size);
            }
            WaitFlag<HardEvent::MTE3_V>(0);
            if (j_step < j_trips) {
                tdsl::Convert<RoundMode::CAST_RINT>(At<half>(cast), At<float>(product), i_size * j_2_pitch);
            }
            SetFlag<HardEvent::V_MTE3>(0);
            SetFlag<HardEvent::V_MTE2>(2);
            if (j_step < j_trips) {
                CrossCoreWaitFlag(1);
            }
            WaitFlag<HardEvent::V_MTE3>(0);
            if (j_step < j_trips) {
                tdsl::CopyOut(cast_handed_2[(cast_handed_turn % 3) * 32768 + (int64_t(i_start) - i_first) * 256], At<half>(cast), j_2_size, Axis{i_size, 256, j_2_pitch});
            }
            SetFlag<HardEvent::MTE3_V>(0);
            if (j_step < j_trips) {
                CrossCoreSetFlag<2, PIPE_MTE3>(0);
                cast_handed_turn = cast_handed_turn + 1;
                // flash_attention.tile:18: top = new
                tdsl::AddScalar(At<int32_t>(top), At<int32_t>(max), 0, i_size);
            }
            if (j_step >= 2) {
                tdsl::Spread(At<float>(spread_2), At<float>(fix, 0, (j_turn + 1) % 3), i_size);
            }
            PipeBarrier<PIPE_V>();
            if (j_step >= 2) {
                tdsl::MulTiles(Full(At<float>(acc), d_pitch), Full(At<float>(acc), d_pitch), Col(At<float>(spread_2)), i_size, d_pitch);
                CrossCoreWaitFlag(4);
                if (d_size != d_pitch) {
                    tdsl::Fill(At<float>(product_2), 0.0f, i_size * d_pitch);
                    SetFlag<HardEvent::V_MTE2>(1);
                    WaitFlag<HardEvent::V_MTE2>(1);
                }
            }
            WaitFlag<HardEvent::V_MTE2>(2);
            if (j_step >= 2) {
                tdsl::CopyIn(At<float>(product_2), product_2_handed[(product_2_handed_turn % 3) * 32768 + (int64_t(i_start) - i_first) * 256], d_size, 0.0f, Axis{i_size, 256, d_pitch});
            }
            SetFlag<HardEvent::MTE2_V>(1);
            if (j_step >= 2) {
                CrossCoreSetFlag<2, PIPE_MTE2>(5);
                product_2_handed_turn = product_2_handed_turn + 1;
            }
            PipeBarrier<PIPE_V>();
            WaitFlag<HardEvent::MTE2_V>(1);
            if (j_step >= 2) {
                tdsl::AddTiles(At<float>(acc), At<float>(acc), At<float>(product_2), i_size * d_pitch);
            }
            SetFlag<HardEvent::V_MTE2>(3);
            j_turn = j_turn + 1;
        }
        SetFlag<HardEvent::MTE2_V>(2);
        SetFlag<HardEvent::MTE3_V>(1);
        PipeBarrier<PIPE_V>();
        // flash_attention.tile:19: o[b, h, i, d] = acc / den
        tdsl::Spread(At<float>(spread_3), At<float>(den), i_size);
        PipeBarrier<PIPE_V>();
        WaitFlag<HardEvent::MTE2_V>(2);
        tdsl::DivTiles(Full(At<float>(div_), d_pitch), Full(At<float>(acc), d_pitch), Col(At<float>(spread_3)), i_size, d_pitch);
        PipeBarrier<PIPE_V>();
        WaitFlag<HardEvent::MTE3_V>(1);
        tdsl::Convert<RoundMode::CAST_RINT>(At<half>(cast_2), At<float>(div_), i_size * d_pitch);
        SetFlag<HardEvent::V_MTE3>(1);
        SetFlag<HardEvent::V_MTE2>(4);
        WaitFlag<HardEvent::V_MTE3>(1);
        tdsl::CopyOut(o[d_start + int64_t(i_start) * D + h * (int64_t(D) * S) + b * (int64_t(D) * S * H)], At<half>(cast_2), d_size, Axis{i_size, D, d_pitch});
        SetFlag<HardEvent::MTE3_V>(2);
    }
    CrossCoreWaitFlag(1);
    CrossCoreWaitFlag(1);
    CrossCoreWaitFlag(1);
    WaitFlag<HardEvent::V_MTE2>(3);
    WaitFlag<HardEvent::MTE3_V>(0);
    WaitFlag<HardEvent::V_MTE2>(4);
    WaitFlag<HardEvent::MTE3_V>(2);
}

extern "C" __global__ __aicore__ void flash_attention(GM_ADDR q_address, GM_ADDR k_address, GM_ADDR v_address, GM_ADDR o_address, GM_ADDR workspace, GM_ADDR tiling) {
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    const auto *args = reinterpret_cast<const __gm__ FlashAttentionTiling *>(tiling);
    if ASCEND_IS_AIC {
        CubeCore(q_address, k_address, v_address, o_address, workspace, args);
    }
    if ASCEND_IS_AIV {
        VectorCore(q_address, k_address, v_address, o_address, workspace, args);
    }
}
