// What the host tells kernel `gemm`: sizes and parameters of one launch.
#ifndef TILEDSL_GEMM_TILING_H
#define TILEDSL_GEMM_TILING_H

#include <cstdint>

struct GemmTiling {
    int64_t M;
    int64_t K;
    int64_t N;
};

#endif
