// What the host tells kernel `vector_add`: sizes and parameters of one launch.
#ifndef TILEDSL_VECTOR_ADD_TILING_H
#define TILEDSL_VECTOR_ADD_TILING_H

#include <cstdint>

struct VectorAddTiling {
    int64_t N;
};

#endif
