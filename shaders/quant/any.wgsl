// The storage type that the kernel was made for.

#if QUANT == F32
#include "quant/f32.wgsl"
#elif QUANT == F16
#include "quant/f16.wgsl"
#elif QUANT == BF16
#include "quant/bf16.wgsl"
#elif QUANT == Q4_0
#include "quant/q4_0.wgsl"
#elif QUANT == Q4_1
#include "quant/q4_1.wgsl"
#elif QUANT == Q5_0
#include "quant/q5_0.wgsl"
#elif QUANT == Q5_1
#include "quant/q5_1.wgsl"
#elif QUANT == Q8_0
#include "quant/q8_0.wgsl"
#elif QUANT == Q4_K
#include "quant/q4_k.wgsl"
#elif QUANT == Q5_K
#include "quant/q5_k.wgsl"
#elif QUANT == Q6_K
#include "quant/q6_k.wgsl"
#endif
