// What the host tells kernel `fold`: sizes and parameters of one launch.
#ifndef TILEDSL_FOLD_TILING_H
#define TILEDSL_FOLD_TILING_H

#include <cstdint>

struct FoldTiling {
    int64_t P;
    int64_t N;
};

#endif
