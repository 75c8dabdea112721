// Launches kernel `gemm` for ascend910b3 from C.
//
// Pointers are device memory, row-major and contiguous. The workspace is device memory of at least
// tiledsl_gemm_workspace_bytes(...) bytes; launches on one stream may share it.
// Results: 0; -1 a pointer is null; -2 a size is negative or above 2^31 - 1; -3 the chip is unknown;
// else the error of the runtime.
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "acl/acl.h"
#include "aclrtlaunch_gemm.h"
#include "tiling/platform/platform_ascendc.h"
#include "tiledsl_scalar.h"
#include "gemm_tiling.h"

namespace {

constexpr size_t kAlignment = 512;
constexpr size_t kBlockBytes = 262144;
constexpr size_t kTilingBytes = (sizeof(GemmTiling) + kAlignment - 1) / kAlignment * kAlignment;

int64_t CoreCount() {
    auto *platform = platform_ascendc::PlatformAscendCManager::GetInstance();
    return platform == nullptr ? 0 : int64_t(platform->GetCoreNumAic());
}

// How many blocks are launched: one for each program, and no more than there are cores.
int64_t BlockCount(int64_t M, int64_t K, int64_t N) {
    (void)M;
    (void)K;
    (void)N;
    const int64_t cores = CoreCount();
    const int64_t programs = int64_t((M + 127) / 128) * ((N + 255) / 256);
    return programs < 1 ? 1 : programs < cores ? programs : cores;
}

}  // namespace

extern "C" size_t tiledsl_gemm_workspace_bytes(int64_t M, int64_t K, int64_t N) {
    size_t bytes = kTilingBytes;
    const int64_t blocks = BlockCount(M, K, N);
    return bytes + size_t(blocks) * kBlockBytes;
}

extern "C" int32_t tiledsl_gemm(void *a_address, void *b_address, void *bias_address, void *c_address, int64_t M, int64_t K, int64_t N, void *workspace, aclrtStream stream) {
    if (a_address == nullptr && int64_t(int64_t(M) * K) != 0) return -1;
    if (b_address == nullptr && int64_t(int64_t(K) * N) != 0) return -1;
    if (bias_address == nullptr && int64_t(N) != 0) return -1;
    if (c_address == nullptr && int64_t(int64_t(M) * N) != 0) return -1;
    if (workspace == nullptr) return -1;
    if (M < 0 || M > INT32_MAX) return -2;
    if (K < 0 || K > INT32_MAX) return -2;
    if (N < 0 || N > INT32_MAX) return -2;
    const int64_t blocks = BlockCount(M, K, N);
    if (blocks < 1 || blocks > 65535) return -3;

    GemmTiling tiling{};
    tiling.M = M;
    tiling.K = K;
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
    return int32_t(ACLRT_LAUNCH_KERNEL(gemm)(
        uint32_t(blocks), stream, a_address, b_address, bias_address, c_address, next, tiling_address));
}
