// What the host tells kernel `activate`: sizes and parameters of one launch.
#ifndef TILEDSL_ACTIVATE_TILING_H
#define TILEDSL_ACTIVATE_TILING_H

#include <cstdint>

struct ActivateTiling {
    int64_t N;
};

#endif
