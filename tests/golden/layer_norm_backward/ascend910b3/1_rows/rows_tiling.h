// What the host tells kernel `rows`: sizes and parameters of one launch.
#ifndef TILEDSL_ROWS_TILING_H
#define TILEDSL_ROWS_TILING_H

#include <cstdint>

struct RowsTiling {
    int64_t M;
    int64_t N;
    int64_t P;
};

#endif
