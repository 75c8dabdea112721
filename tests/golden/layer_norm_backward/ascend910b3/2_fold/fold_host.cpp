// Launches kernel `fold` for ascend910b3 from C.
//
// Pointers are device memory, row-major and contiguous. The workspace is device memory of at least
// tiledsl_fold_workspace_bytes(...) bytes; launches on one stream may share it.
// Results: 0; -1 a pointer is null; -2 a size is negative or above 2^31 - 1; -3 the chip is unknown;
// else the error of the runtime.
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "acl/acl.h"
#include "aclrtlaunch_fold.h"
#include "tiling/platform/platform_ascendc.h"
#include "tiledsl_scalar.h"
#include "fold_tiling.h"

namespace {

constexpr size_t kAlignment = 512;
constexpr size_t kBlockBytes = 0;
constexpr size_t kTilingBytes = (sizeof(FoldTiling) + kAlignment - 1) / kAlignment * kAlignment;

int64_t CoreCount() {
    auto *platform = platform_ascendc::PlatformAscendCManager::GetInstance();
    return platform == nullptr ? 0 : int64_t(platform->GetCoreNumAiv());
}

// How many blocks are launched: one for each program, and no more than there are cores.
int64_t BlockCount(int64_t P, int64_t N) {
    (void)P;
    (void)N;
    const int64_t cores = CoreCount();
    const int64_t programs = (N + 511) / 512;
    return programs < 1 ? 1 : programs < cores ? programs : cores;
}

}  // namespace

extern "C" size_t tiledsl_fold_workspace_bytes(int64_t P, int64_t N) {
    size_t bytes = kTilingBytes;
    const int64_t blocks = BlockCount(P, N);
    return bytes + size_t(blocks) * kBlockBytes;
}

extern "C" int32_t tiledsl_fold(void *part_address, void *y_address, int64_t P, int64_t N, void *workspace, aclrtStream stream) {
    if (part_address == nullptr && int64_t(int64_t(P) * N) != 0) return -1;
    if (y_address == nullptr && int64_t(N) != 0) return -1;
    if (workspace == nullptr) return -1;
    if (P < 0 || P > INT32_MAX) return -2;
    if (N < 0 || N > INT32_MAX) return -2;
    const int64_t blocks = BlockCount(P, N);
    if (blocks < 1 || blocks > 65535) return -3;

    FoldTiling tiling{};
    tiling.P = P;
    tiling.N = N;
    // This kind of copy keeps the bytes until they are on the device, in the order of the stream.
    const auto copy = [stream](void *to, const void *from, size_t bytes) {
        return aclrtMemcpyAsync(to, bytes, from, bytes, ACL_MEMCPY_HOST_TO_BUF_TO_DEVICE, stream);
    };
    uint8_t *next = static_cast<uint8_t *>(workspace);
    void *const tiling_address = next;
    aclError error = copy(next, &tiling, sizeof tiling);
    if (error != ACL_SUCCESS) return error;
    next += kTilingBytes;
    return int32_t(ACLRT_LAUNCH_KERNEL(fold)(
        uint32_t(blocks), stream, part_address, y_address, next, tiling_address));
}
