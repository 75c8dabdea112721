// What the host tells kernel `layer_norm`: sizes and parameters of one launch.
#ifndef TILEDSL_LAYER_NORM_TILING_H
#define TILEDSL_LAYER_NORM_TILING_H

#include <cstdint>

struct LayerNormTiling {
    int64_t M;
    int64_t N;
    float eps;
};

#endif
