// Launches kernel `flash_attention` for ascend910b3 from C.
//
// Pointers are device memory, row-major and contiguous. The workspace is device memory of at least
// tiledsl_flash_attention_workspace_bytes(...) bytes; launches on one stream may share it.
// Results: 0; -1 a pointer is null; -2 a size is negative or above 2^31 - 1; -3 the chip is unknown;
// else the error of the runtime.
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "acl/acl.h"
#include "aclrtlaunch_flash_attention.h"
#include "tiling/platform/platform_ascendc.h"
#include "tiledsl_scalar.h"
#include "flash_attention_tiling.h"

namespace {

constexpr size_t kAlignment = 512;
constexpr size_t kBlockBytes = 983040;
constexpr size_t kTilingBytes = (sizeof(FlashAttentionTiling) + kAlignment - 1) / kAlignment * kAlignment;

int64_t CoreCount() {
    auto *platform = platform_ascendc::PlatformAscendCManager::GetInstance();
    return platform == nullptr ? 0 : int64_t(platform->GetCoreNumAic());
}

// How many blocks are launched: one for each program, and no more than there are cores.
int64_t BlockCount(int64_t B, int64_t H, int64_t S, int64_t D, int64_t L, float scale) {
    (void)B;
    (void)H;
    (void)S;
    (void)D;
    (void)L;
    (void)scale;
    const int64_t cores = CoreCount();
    const int64_t programs = int64_t(B) * H * ((S + 127) / 128);
    return programs < 1 ? 1 : programs < cores ? programs : cores;
}

}  // namespace

extern "C" size_t tiledsl_flash_attention_workspace_bytes(int64_t B, int64_t H, int64_t S, int64_t D, int64_t L, float scale) {
    size_t bytes = kTilingBytes;
    const int64_t blocks = BlockCount(B, H, S, D, L, scale);
    return bytes + size_t(blocks) * kBlockBytes;
}

extern "C" int32_t tiledsl_flash_attention(void *q_address, void *k_address, void *v_address, void *o_address, int64_t B, int64_t H, int64_t S, int64_t D, int64_t L, float scale, void *workspace, aclrtStream stream) {
    if (q_address == nullptr && int64_t(int64_t(B) * H * S * D) != 0) return -1;
    if (k_address == nullptr && int64_t(int64_t(B) * H * L * D) != 0) return -1;
    if (v_address == nullptr && int64_t(int64_t(B) * H * L * D) != 0) return -1;
    if (o_address == nullptr && int64_t(int64_t(B) * H * S * D) != 0) return -1;
    if (workspace == nullptr) return -1;
    if (B < 0 || B > INT32_MAX) return -2;
    if (H < 0 || H > INT32_MAX) return -2;
    if (S < 0 || S > INT32_MAX) return -2;
    if (D < 0 || D > INT32_MAX) return -2;
    if (L < 0 || L > INT32_MAX) return -2;
    const int64_t blocks = BlockCount(B, H, S, D, L, scale);
    if (blocks < 1 || blocks > 65535) return -3;

    FlashAttentionTiling tiling{};
    tiling.B = B;
    tiling.H = H;
    tiling.S = S;
    tiling.D = D;
    tiling.L = L;
    tiling.scale = scale;
    // This kind of copy keeps the bytes until they are on the device, in the order of the stream.
    const auto copy = [stream](void *to, const void *from, size_t bytes) {
        return aclrtMemcpyAsync(to, bytes, from, bytes, ACL_MEMCPY_HOST_TO_BUF_TO_DEVICE, stream);
    };
    uint8_t *next = static_cast<uint8_t *>(workspace);
    void *const tiling_address = next;
    aclError error = copy(next, &tiling, sizeof tiling);
    if (error != ACL_SUCCESS) return error;
    next += kTilingBytes;
    return int32_t(ACLRT_LAUNCH_KERNEL(flash_attention)(
        uint32_t(blocks), stream, q_address, k_address, v_address, o_address, next, tiling_address));
}
