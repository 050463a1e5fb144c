"""What every C file has in common: NET stands for its name, MACRO for the name in capitals."""

HELPERS = {
    "bfloat16": """
static float NET_bfloat16(uint16_t bits)
{
    union { uint32_t bits; float value; } u;
    u.bits = (uint32_t)bits << 16;
    return u.value;
}
""",
    "float16": """
static float NET_float16(uint16_t bits)
{
    union { uint32_t bits; float value; } u;
    if (bits & 0x7c00u)
        u.bits = ((uint32_t)(bits & 0x7fffu) << 13) + ((uint32_t)112 << 23);
    else
        u.value = (float)(bits & 0x3ffu) * 5.9604644775390625e-8f; /* subnormal: a multiple of 2^-24 */
    return bits & 0x8000u ? -u.value : u.value;
}
""",
    "int4": """
static float NET_int4(const uint8_t *packed, size_t e)
{
    return (float)((((packed[e / 2] >> (e % 2 * 4)) & 15) ^ 8) - 8);
}
""",
    "relu": "static float NET_relu(float v) { return v < 0 ? 0 : v; }\n",
    "leaky_relu": "static float NET_leaky_relu(float v, float slope) { return v < 0 ? slope * v : v; }\n",
    "elu": "static float NET_elu(float v, float alpha) { return v < 0 ? alpha * expm1f(v) : v; }\n",
    "gelu": "static float NET_gelu(float v) { return 0.5f * v * (1 + erff(0.707106781f * v)); }\n",
    "gelu_tanh": """
static float NET_gelu_tanh(float v)
{
    return 0.5f * v * (1 + tanhf(0.797884561f * (v + 0.044715f * v * v * v)));
}
""",
    "silu": "static float NET_silu(float v) { return v / (1 + expf(-v)); }\n",
    "sigmoid": "static float NET_sigmoid(float v) { return 1 / (1 + expf(-v)); }\n",
    "tanh": "static float NET_tanh(float v) { return tanhf(v); }\n",
}
HEAD = """\
/*
 * NET: a neural network of {n_in} inputs and {n_out} outputs, written by prewired.
 *
 *     void NET(const float *x, float *y);              one sample
 *     void NET_batch(const float *x, float *y, int n); n samples, one after the other in x and in y
 *
 * C99 and C++. It allocates nothing, and two threads are not to call it at once. Batches are worked on in tiles of
 * MACRO_TILE samples: {tile} (fast ones are multiples of 32), which take {ram:,} bytes of static memory. Compiled with
 * -D MACRO_TILE=1 it takes {ram_single:,} bytes, the least; with
 * -D MACRO_MAIN it has a main() that reads samples from stdin as float32 and writes outputs to stdout.
 *
 * Weights, scales and biases: {weights:,} bytes. Indices: {indices:,} bytes.
\0 */
{includes}
#define MACRO_INPUTS {n_in}
#define MACRO_OUTPUTS {n_out}
#ifndef MACRO_TILE
#define MACRO_TILE {tile}
#endif

#ifdef __cplusplus
extern "C" {{
#endif
void NET(const float *x, float *y);
void NET_batch(const float *x, float *y, int n);
#ifdef __cplusplus
}}
#endif
"""

BATCH = """
void NET_batch(const float *x, float *y, int n)
{{
#if MACRO_TILE > 1
    for (; n > MACRO_TILE / 8; n -= MACRO_TILE) {{
        const size_t m = n < MACRO_TILE ? (size_t)n : MACRO_TILE;
        size_t i, t;
        for (i = 0; i < {n_in}; i++)
            for (t = 0; t < MACRO_TILE; t++)
                NET_a[i * MACRO_TILE + t] = t < m ? x[t * {n_in} + i] : 0;
{calls}
        for (t = 0; t < m; t++)
            for (i = 0; i < {n_out}; i++)
                y[t * {n_out} + i] = NET_{last}[i * MACRO_TILE + t];
        x += m * {n_in};
        y += m * {n_out};
    }}
#endif
    for (; n > 0; n--) {{
        NET(x, y);
        x += {n_in};
        y += {n_out};
    }}
}}

#ifdef MACRO_MAIN
#include <stdio.h>

int main(void)
{{
    static float x[64 * {n_in}], y[64 * {n_out}];
    for (;;) {{
        const size_t got = fread(x, 1, sizeof x, stdin), n = got / sizeof *x / {n_in};
        NET_batch(x, y, (int)n);
        fwrite(y, sizeof *y, n * {n_out}, stdout);
        if (got % (sizeof *x * {n_in})) {{
            fprintf(stderr, "expected whole samples of {n_in} float32 values, got part of one at the end\\n");
            return 1;
        }}
        if (got < sizeof x)
            return fflush(stdout) || ferror(stdin);
    }}
}}
#endif
"""


ROW = """\
        while (k + 4 <= n) {
            NET_EDGE(a) NET_EDGE(b) NET_EDGE(c) NET_EDGE(d)
        }
        while (k < n)
            NET_EDGE(a)
"""
ROW_OF_TILES = """\
        while (k + 2 <= n) { /* two at a time, or compilers exchange this loop and the one over samples */
            NET_EDGE_OF_TILE NET_EDGE_OF_TILE
        }
        if (k < n)
            NET_EDGE_OF_TILE
"""
