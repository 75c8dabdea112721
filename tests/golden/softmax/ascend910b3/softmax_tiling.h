// What the host tells kernel `softmax`: sizes and parameters of one launch.
#ifndef TILEDSL_SOFTMAX_TILING_H
#define TILEDSL_SOFTMAX_TILING_H

#include <cstdint>

struct SoftmaxTiling {
    int64_t R;
    int64_t N;
};

#endif
