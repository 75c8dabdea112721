// What the host tells kernel `flash_attention`: sizes and parameters of one launch.
#ifndef TILEDSL_FLASH_ATTENTION_TILING_H
#define TILEDSL_FLASH_ATTENTION_TILING_H

#include <cstdint>

struct FlashAttentionTiling {
    int64_t B;
    int64_t H;
    int64_t S;
    int64_t D;
    int64_t L;
    float scale;
};

#endif
