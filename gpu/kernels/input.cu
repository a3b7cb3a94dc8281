// A decoded picture into a network's input, in one pass: colours, range, element type, layout, padding and space-to-depth.
#include "bicubic.cuh"

// Matrix makes R, G, B (0 to 1) of code values; for luma only y and r count.
struct Matrix {
  float y, rv, gu, gv, bu, r, g, b;
};

// S: u8 for NV12, u16 for P010. E: u8, half or float. FOLD: 2 for space-to-depth by 2, else 1; the channels of a folded
// position are ordered like ONNX's SpaceToDepth: row, column, colour.
template <class S, class E, bool RGB, bool INTERLEAVED, int FOLD> struct Input {
  Picture from;
  E *to;
  i32 width, height; // of the tensor in pixels, at least the picture's; what is outside repeats the last column and row
  i32 aligned;       // every row of the tensor begins at a multiple of 16 bytes
  Matrix m;

  typedef None Tile;
  static constexpr int steps = 1;
  static constexpr int C = RGB ? 3 : 1;
  // A thread makes W×2 pixels: as many as give 16 bytes in a row of a plane.
  static constexpr int W = FOLD == 1 ? 16 / sizeof(E) : INTERLEAVED ? 8 : sizeof(E) == 4 ? 8 : 16;

  template <int STEP> DEVICE void step(None &, Place at) const {
    const i32 x = (at.bx * 32 + at.x) * W, y = (at.by * 4 + at.y) * 2;
    if (x >= width || y >= height) return;
    if (x + W <= from.width && y + 2 <= from.height && x + W <= width) {
      float v[C][2][W];
      inside(v, x, y);
      store(v, x, y);
      return;
    }
#pragma unroll 1
    for (i32 j = y; j < lower(y + 2, height); j++)
#pragma unroll 1
      for (i32 i = x; i < lower(x + W, width); i++) border(i, j);
  }

  // One pixel, by single accesses.
  DEVICE void border(i32 x, i32 y) const {
    const i32 sx = lower(x, from.width - 1), sy = lower(y, from.height - 1);
    const float l = sample_at((const S *)from.luma_row(sy) + sx);
    float v[C];
    if (RGB)
      convert(l, chroma_at<S>(from, sx, sy, 0), chroma_at<S>(from, sx, sy, 1), v);
    else
      v[0] = saturate(m.y * l + m.r);
#pragma unroll
    for (i32 c = 0; c < C; c++) to[offset(c, x, y)] = Element<E>::of(v[c]);
  }

  DEVICE void convert(float l, float u, float w, float *rgb) const {
    rgb[0] = saturate(m.y * l + m.rv * w + m.r);
    rgb[1] = saturate(m.y * l + m.gu * u + m.gv * w + m.g);
    rgb[2] = saturate(m.y * l + m.bu * u + m.b);
  }

  // W×2 pixels that all lie in the picture.
  DEVICE void inside(float (&v)[C][2][W], i32 x, i32 y) const {
    Words<W * sizeof(S)> luma[2];
#pragma unroll
    for (i32 r = 0; r < 2; r++) luma[r] = read<W * sizeof(S)>(from.luma_row(y + r) + x * sizeof(S));
    if (!RGB) {
#pragma unroll
      for (i32 i = 0; i < 2 * W; i++) v[0][i / W][i % W] = saturate(m.y * sample<S>(luma[i / W], i % W) + m.r);
      return;
    }
    ChromaRow<S, W / 2> rows[5];
#pragma unroll
    for (i32 k = 0; k < 5; k++) rows[k].read_from(from.chroma_row(clamp(y / 2 - 2 + k, 0, from.chroma_height() - 1)), x / 2, from.chroma_width());
    float u[2][W / 2 + 4] = {}, w[2][W / 2 + 4] = {}; // at full resolution vertically
#pragma unroll
    for (i32 k = 0; k < 5; k++)
#pragma unroll
      for (i32 i = 0; i < W / 2 + 4; i++) {
        const float su = rows[k].u(i), sw = rows[k].v(i);
        if (k < 4) u[0][i] += Bicubic::even(k) * su, w[0][i] += Bicubic::even(k) * sw;
        if (k > 0) u[1][i] += Bicubic::odd(k) * su, w[1][i] += Bicubic::odd(k) * sw;
      }
#pragma unroll
    for (i32 r = 0; r < 2; r++)
#pragma unroll
      for (i32 i = 0; i < W; i++) {
        float cu = 0, cw = 0, rgb[3];
#pragma unroll
        for (i32 k = 0; k < 4; k++) {
          const i32 column = i / 2 + k + i % 2;
          const float weight = Bicubic::even(i % 2 ? 3 - k : k);
          cu += weight * u[r][column], cw += weight * w[r][column];
        }
        convert(sample<S>(luma[r], i), cu, cw, rgb);
#pragma unroll
        for (i32 c = 0; c < C; c++) v[c][r][i] = rgb[c];
      }
  }

  // Where pixel x, y of colour c lies.
  DEVICE u64 offset(i32 c, i32 x, i32 y) const {
    const i32 w = width / FOLD, h = height / FOLD;
    const i32 channel = FOLD == 2 ? (y % 2 * 2 + x % 2) * C + c : c;
    if (INTERLEAVED) return ((u64)(y / FOLD) * w + x / FOLD) * (C * FOLD * FOLD) + channel;
    return ((u64)channel * h + y / FOLD) * w + x / FOLD;
  }

  template <int N> DEVICE void put(u64 at, const float *v) const {
    if (aligned) {
      write<N * sizeof(E)>((u8 *)(to + at), elements<E, N>(v));
      return;
    }
#pragma unroll
    for (i32 i = 0; i < N; i++) to[at + i] = Element<E>::of(v[i]);
  }

  DEVICE void store(const float (&v)[C][2][W], i32 x, i32 y) const {
    if (FOLD == 2 && INTERLEAVED) {
      float all[4 * C * W / 2];
#pragma unroll
      for (i32 i = 0; i < 2 * C * W; i++) all[i] = v[i % C][i % (4 * C) / (2 * C)][i / (4 * C) * 2 + i / C % 2];
      put<2 * C * W>(offset(0, x, y), all);
      return;
    }
#pragma unroll
    for (i32 r = 0; r < 2; r++) {
      if (INTERLEAVED) {
        float all[C * W];
#pragma unroll
        for (i32 i = 0; i < C * W; i++) all[i] = v[i % C][r][i / C];
        put<C * W>(offset(0, x, y + r), all);
        continue;
      }
#pragma unroll
      for (i32 c = 0; c < C; c++)
#pragma unroll
        for (i32 f = 0; f < FOLD; f++) {
          float all[W / FOLD];
#pragma unroll
          for (i32 i = 0; i < W / FOLD; i++) all[i] = v[c][r][i * FOLD + f];
          put<W / FOLD>(offset(c, x + f, y + r), all);
        }
    }
  }
};

#define INPUT(name, E, ...)                                                                                                \
  KERNEL(name, (PICTURE(p), E * to, i32 width, i32 height, i32 aligned, float y, float rv, float gu, float gv, float bu, float r, float g, float b), \
         (SURFACE_OF(p), to, width, height, aligned, {y, rv, gu, gv, bu, r, g, b}), Input<__VA_ARGS__>)
#define INPUTS(surface, S, type, E)                                                  \
  INPUT(input_##surface##_##type##_luma_planar_1, E, S, E, false, false, 1)          \
  INPUT(input_##surface##_##type##_luma_planar_2, E, S, E, false, false, 2)          \
  INPUT(input_##surface##_##type##_luma_interleaved_2, E, S, E, false, true, 2)      \
  INPUT(input_##surface##_##type##_rgb_planar_1, E, S, E, true, false, 1)            \
  INPUT(input_##surface##_##type##_rgb_planar_2, E, S, E, true, false, 2)            \
  INPUT(input_##surface##_##type##_rgb_interleaved_1, E, S, E, true, true, 1)        \
  INPUT(input_##surface##_##type##_rgb_interleaved_2, E, S, E, true, true, 2)

INPUTS(nv12, u8, uint8, u8)
INPUTS(nv12, u8, float16, half)
INPUTS(nv12, u8, float32, float)
INPUTS(p010, u16, uint8, u8)
INPUTS(p010, u16, float16, half)
INPUTS(p010, u16, float32, float)
