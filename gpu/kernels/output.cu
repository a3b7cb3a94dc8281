// A network's output into a picture, in one pass: clamped, rounded, converted. For luma networks the chroma of the picture
// that went in is resized in the same pass.
#include "resample.cuh"

// S: sample type of the picture that went in, D: of the one that comes out, E: element of the tensor.
template <class S, class D, class E> struct FromLuma {
  const E *from;
  i32 width;   // of the tensor, at least the picture's
  i32 aligned; // every row of the tensor begins at a multiple of 16 bytes
  float gain;  // code value of 1
  Canvas to;
  Plane chroma; // of the picture that went in, in pairs
  Table columns, rows;
  float chroma_gain; // from one picture's code values to the other's
  i32 doubled;       // chroma gets exactly twice its width and height

  typedef None Tile;
  static constexpr int steps = 1;
  static constexpr int W = 16;

  // A thread makes 16×2 pixels of luma and the 8 pairs of chroma among them.
  template <int STEP> DEVICE void step(None &, Place at) const {
    const i32 x = (at.bx * 32 + at.x) * W, y = (at.by * 4 + at.y) * 2;
    if (x >= to.width || y >= to.height) return;
    const bool inside = x + W <= to.width && y + 2 <= to.height;
    if (inside && aligned) {
      luma(x, y);
    } else {
#pragma unroll 1
      for (i32 j = y; j < lower(y + 2, to.height); j++)
#pragma unroll 1
        for (i32 i = x; i < lower(x + W, to.width); i++)
          put_sample((D *)to.luma_row(j) + i, gain / Element<E>::full * Element<E>::get(from + (u64)j * width + i));
    }
    if (inside && doubled) {
      twice(x / 2, y / 2);
      return;
    }
#pragma unroll 1
    for (i32 i = x / 2; i < lower(x / 2 + W / 2, to.chroma_width()); i++)
      for (i32 c = 0; c < 2; c++)
        put_sample((D *)to.chroma_row(y / 2) + 2 * i + c, chroma_gain * resample<S>(chroma, columns, rows, i, y / 2, c, 2));
  }

  DEVICE void luma(i32 x, i32 y) const {
    Words<W * sizeof(E)> in[2];
#pragma unroll
    for (i32 r = 0; r < 2; r++) in[r] = read<W * sizeof(E)>((const u8 *)(from + (u64)(y + r) * width + x));
#pragma unroll
    for (i32 r = 0; r < 2; r++) {
      float v[W];
#pragma unroll
      for (i32 i = 0; i < W; i++) v[i] = gain / Element<E>::full * Element<E>::get(in[r], i);
      write(to.luma_row(y + r) + x * sizeof(D), samples<D, W>(v));
    }
  }

  // Eight pairs from column x on, at twice the resolution.
  DEVICE void twice(i32 x, i32 y) const {
    const bool odd = y % 2;
    float u[8] = {}, v[8] = {}; // of four columns and two more on each side
#pragma unroll
    for (i32 k = 0; k < 4; k++) {
      ChromaRow<S, 4> row;
      row.read_from(chroma.row(clamp(y / 2 - 2 + k + odd, 0, chroma.height - 1)), x / 2, chroma.width);
      const float weight = chroma_gain * (odd ? Bicubic::even(3 - k) : Bicubic::even(k));
#pragma unroll
      for (i32 i = 0; i < 8; i++) u[i] += weight * row.u(i), v[i] += weight * row.v(i);
    }
    float out[16] = {};
#pragma unroll
    for (i32 i = 0; i < 8; i++)
#pragma unroll
      for (i32 k = 0; k < 4; k++) {
        const float weight = Bicubic::even(i % 2 ? 3 - k : k);
        out[2 * i] += weight * u[i / 2 + k + i % 2], out[2 * i + 1] += weight * v[i / 2 + k + i % 2];
      }
    write(to.chroma_row(y) + 2 * x * sizeof(D), samples<D, 16>(out));
  }
};

// Weights of R, G and B (0 to 1) for Y, U and V as code values.
struct Weights {
  float y[3], u[3], v[3], black, grey;
};

// Chroma is halved by swscale's bicubic over 8×8 pixels, edges repeated: columns by way of shared memory.
template <class D, class E, bool INTERLEAVED> struct FromRGB {
  const E *from;
  i32 width, height; // of the tensor, at least the picture's
  i32 aligned;
  Canvas to;
  Weights m;

  static constexpr int steps = 3;
  static constexpr int W = 128, H = 16;    // of a block's pixels
  static constexpr int TW = W + 16;        // with the pixels beside them that chroma needs, in whole groups of 8
  static constexpr int TH = H + 6;         // likewise
  static constexpr int threads = 256;      // per block
  struct Tile {
    float full[2][TH][TW];    // U and V of all pixels
    float half[2][H / 2][TW]; // halved vertically
  };

  template <int STEP> DEVICE void step(Tile &tile, Place at) const {
    if (STEP == 0) pixels(tile, at);
    if (STEP == 1) vertical(tile, at);
    if (STEP == 2) horizontal(tile, at);
  }

  // Weight of row or column k (0 … 7) of the eight for one.
  static DEVICE float weight(i32 k) {
    const i32 d = k < 4 ? 3 - k : k - 4;
    return .5f * (d == 0 ? Bicubic::d025 : d == 1 ? Bicubic::d075 : d == 2 ? Bicubic::d125 : Bicubic::d175);
  }

  // Converts groups of 8 pixels: luma goes out, U and V into the tile.
  DEVICE void pixels(Tile &tile, Place at) const {
#pragma unroll 1
    for (i32 n = at.x; n < TH * (TW / 8); n += threads) {
      const i32 row = n / (TW / 8), column = n % (TW / 8) * 8;
      const i32 x = at.bx * W - 8 + column, y = at.by * H - 3 + row;
      float rgb[3][8];
      load(rgb, x, clamp(y, 0, to.height - 1));
      float luma[8];
#pragma unroll
      for (i32 i = 0; i < 8; i++) {
        const float r = saturate(rgb[0][i]), g = saturate(rgb[1][i]), b = saturate(rgb[2][i]);
        luma[i] = m.black + m.y[0] * r + m.y[1] * g + m.y[2] * b;
        tile.full[0][row][column + i] = m.u[0] * r + m.u[1] * g + m.u[2] * b;
        tile.full[1][row][column + i] = m.v[0] * r + m.v[1] * g + m.v[2] * b;
      }
      const bool own = row >= 3 && row < 3 + H && column >= 8 && column < 8 + W;
      if (own && y < to.height && x < to.width) out(to.luma_row(y), x, to.width, luma);
    }
  }

  DEVICE void load(float (&rgb)[3][8], i32 x, i32 y) const {
    if (aligned && x >= 0 && x + 8 <= to.width) {
      if (INTERLEAVED) {
        const Words<24 * sizeof(E)> w = read<24 * sizeof(E)>((const u8 *)(from + ((u64)y * width + x) * 3));
#pragma unroll
        for (i32 i = 0; i < 24; i++) rgb[i % 3][i / 3] = Element<E>::get(w, i) * (1 / Element<E>::full);
      } else {
#pragma unroll
        for (i32 c = 0; c < 3; c++) {
          const Words<8 * sizeof(E)> w = read<8 * sizeof(E)>((const u8 *)(from + ((u64)c * height + y) * width + x));
#pragma unroll
          for (i32 i = 0; i < 8; i++) rgb[c][i] = Element<E>::get(w, i) * (1 / Element<E>::full);
        }
      }
      return;
    }
#pragma unroll
    for (i32 c = 0; c < 3; c++)
#pragma unroll
      for (i32 i = 0; i < 8; i++) {
        const i32 sx = clamp(x + i, 0, to.width - 1);
        const u64 at = INTERLEAVED ? ((u64)y * width + sx) * 3 + c : ((u64)c * height + y) * width + sx;
        rgb[c][i] = Element<E>::get(from + at) * (1 / Element<E>::full);
      }
  }

  // Eight samples of a row, or those of them that it has.
  static DEVICE void out(u8 *row, i32 x, i32 size, const float *v) {
    if (x + 8 <= size) {
      write(row + x * sizeof(D), samples<D, 8>(v));
      return;
    }
#pragma unroll
    for (i32 i = 0; i < 8; i++)
      if (x + i < size) put_sample((D *)row + x + i, v[i]);
  }

  // A thread takes four columns of U or of V.
  DEVICE void vertical(Tile &tile, Place at) const {
    if (at.x >= 2 * TW / 4 * 2) return;
    const i32 plane = at.x % 2, column = at.x / 2 % (TW / 4) * 4, first = at.x / 2 / (TW / 4) * (H / 4);
    f32x4 in[H / 2 + 6];
#pragma unroll
    for (i32 k = 0; k < H / 2 + 6; k++) in[k] = *(const f32x4 *)&tile.full[plane][2 * first + k][column];
#pragma unroll
    for (i32 j = 0; j < H / 4; j++) {
      f32x4 sum = {};
#pragma unroll
      for (i32 k = 0; k < 8; k++) sum += weight(k) * in[2 * j + k];
      *(f32x4 *)&tile.half[plane][first + j][column] = sum;
    }
  }

  // A thread makes four pairs.
  DEVICE void horizontal(Tile &tile, Place at) const {
    const i32 row = at.x / (W / 8), column = at.x % (W / 8) * 8; // of the tile; the pairs begin at pixel 8 + column
    const i32 x = at.bx * W + column, y = at.by * (H / 2) + row;
    if (row >= H / 2 || x >= to.width || y >= to.chroma_height()) return;
    float v[8];
#pragma unroll
    for (i32 plane = 0; plane < 2; plane++) {
      f32x4 in[6];
#pragma unroll
      for (i32 k = 0; k < 6; k++) in[k] = *(const f32x4 *)&tile.half[plane][row][column + 4 * k];
#pragma unroll
      for (i32 i = 0; i < 4; i++) {
        float sum = m.grey;
#pragma unroll
        for (i32 k = 0; k < 8; k++) {
          const i32 at = 8 + 2 * i - 3 + k;
          sum += weight(k) * in[at / 4][at % 4];
        }
        v[2 * i + plane] = sum;
      }
    }
    out(to.chroma_row(y), x, 2 * to.chroma_width(), v);
  }
};

#define FROM_LUMA(name, E, ...)                                                                                                   \
  KERNEL(name, (const E *from, i32 width, i32 aligned, float gain, CANVAS(to), PLANE(chroma), TABLE(columns), TABLE(rows), float chroma_gain, i32 doubled), \
         (from, width, aligned, gain, SURFACE_OF(to), PLANE_OF(chroma), TABLE_OF(columns), TABLE_OF(rows), chroma_gain, doubled), FromLuma<__VA_ARGS__>)
#define FROM_RGB(name, E, ...)                                                                                         \
  KERNEL(name, (const E *from, i32 width, i32 height, i32 aligned, CANVAS(to), float yr, float yg, float yb, float ur, float ug, \
                float ub, float vr, float vg, float vb, float black, float grey),                                       \
         (from, width, height, aligned, SURFACE_OF(to), {{yr, yg, yb}, {ur, ug, ub}, {vr, vg, vb}, black, grey}), FromRGB<__VA_ARGS__>)
#define OUTPUTS(type, E)                                                  \
  FROM_LUMA(output_nv12_nv12_##type##_luma, E, u8, u8, E)                 \
  FROM_LUMA(output_p010_nv12_##type##_luma, E, u16, u8, E)                \
  FROM_LUMA(output_p010_p010_##type##_luma, E, u16, u16, E)               \
  FROM_RGB(output_nv12_##type##_rgb_planar, E, u8, E, false)              \
  FROM_RGB(output_nv12_##type##_rgb_interleaved, E, u8, E, true)          \
  FROM_RGB(output_p010_##type##_rgb_planar, E, u16, E, false)             \
  FROM_RGB(output_p010_##type##_rgb_interleaved, E, u16, E, true)

OUTPUTS(uint8, u8)
OUTPUTS(float16, half)
OUTPUTS(float32, float)
