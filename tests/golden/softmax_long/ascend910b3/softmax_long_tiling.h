// What the host tells kernel `softmax_long`: sizes and parameters of one launch.
#ifndef TILEDSL_SOFTMAX_LONG_TILING_H
#define TILEDSL_SOFTMAX_LONG_TILING_H

#include <cstdint>

struct SoftmaxLongTiling {
    int64_t R;
    int64_t N;
};

#endif
