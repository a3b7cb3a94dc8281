// Resizing of whole pictures: by two in both directions, which is what networks do and what must be fast, and by tables
// for all other sizes.
#include "resample.cuh"

// Filter is six weights of the samples from i-3 on for output sample 2i, which lies at i - 1/4. Those of 2i+1 are the
// same from i+3 back. (Lanczos has six; a bicubic's four have zeros beside them.)
struct Filter {
  float w[6];
};

// S: sample type read, D: written.
template <class S, class D> struct Twice {
  Picture from;
  Canvas to;
  Filter f;
  float gain;      // from code values read to code values written
  i32 luma_blocks; // rows of blocks that make luma; those behind them make chroma

  static constexpr int steps = 2;
  static constexpr int threads = 128;
  // In samples, where a chroma pair counts two. The tile has eight more of them than it needs on each side.
  static constexpr int W = 480, H = 16, TW = W / 2 + 16;
  static constexpr int rows_each = H / 4; // rows of the input that a thread doubles
  struct Tile {
    float v[H][TW]; // doubled vertically
  };

  template <int STEP> DEVICE void step(Tile &tile, Place at) const {
    if (at.by < luma_blocks)
      part<STEP, 1>(tile, at.x, at.bx, at.by, {from.luma, from.luma_pitch, from.width, from.height}, to.luma, to.luma_pitch);
    else
      part<STEP, 2>(tile, at.x, at.bx, at.by - luma_blocks, {from.chroma, from.chroma_pitch, from.chroma_width(), from.chroma_height()},
                    to.chroma, to.chroma_pitch);
  }

  template <int STEP, int C> DEVICE void part(Tile &tile, i32 thread, i32 bx, i32 by, const Plane &p, u8 *out, i32 pitch) const {
    if (bx * W >= 2 * p.width * C) return;
    if (STEP == 0)
      vertical<C>(tile, thread % (TW / 4) * 4, thread / (TW / 4) * rows_each, bx, by, p);
    else
      horizontal<C>(tile, thread, bx, by, p, out, pitch);
  }

  // Four columns of the tile, rows_each rows of the input from row first of the block's on.
  template <int C> DEVICE void vertical(Tile &tile, i32 column, i32 first, i32 bx, i32 by, const Plane &p) const {
    const i32 x = bx * (W / 2) - 8 + column, y = by * (H / 2) + first;
    float in[rows_each + 6][4];
#pragma unroll
    for (i32 k = 0; k < rows_each + 6; k++) {
      const u8 *row = p.row(clamp(y - 3 + k, 0, p.height - 1));
      if (x >= 0 && x + 4 <= p.width * C) {
        const Words<4 * sizeof(S)> words = read<4 * sizeof(S)>(row + x * sizeof(S));
#pragma unroll
        for (i32 i = 0; i < 4; i++) in[k][i] = sample<S>(words, i);
      } else {
#pragma unroll
        for (i32 i = 0; i < 4; i++) { // x is a multiple of C
          const i32 pair = (x + i - i % C) / C; // where x < 0, a multiple of C too
          in[k][i] = sample_at((const S *)row + clamp(pair, 0, p.width - 1) * C + i % C);
        }
      }
    }
#pragma unroll
    for (i32 k = 0; k < rows_each; k++) {
      f32x4 even = {}, odd = {};
#pragma unroll
      for (i32 l = 0; l < 6; l++)
#pragma unroll
        for (i32 i = 0; i < 4; i++) even[i] += f.w[l] * in[k + l][i], odd[i] += f.w[5 - l] * in[k + 1 + l][i];
      *(f32x4 *)&tile.v[2 * (first + k)][column] = even;
      *(f32x4 *)&tile.v[2 * (first + k) + 1][column] = odd;
    }
  }

  // Eight samples at a time.
  template <int C> DEVICE void horizontal(Tile &tile, i32 thread, i32 bx, i32 by, const Plane &p, u8 *out, i32 pitch) const {
    constexpr i32 reach = 4 * C;                        // samples read before the first, a multiple of four
    constexpr i32 groups = (4 + reach + 4 * C) / 4;     // of four samples
#pragma unroll 1
    for (i32 n = thread; n < H * (W / 8); n += threads) {
      const i32 row = n / (W / 8), column = n % (W / 8) * 8;
      const i32 x = bx * W + column, y = by * H + row;
      if (x >= 2 * p.width * C || y >= 2 * p.height) continue;
      f32x4 in[groups];
#pragma unroll
      for (i32 k = 0; k < groups; k++) in[k] = *(const f32x4 *)&tile.v[row][8 + column / 2 - reach + 4 * k];
      float v[8];
#pragma unroll
      for (i32 i = 0; i < 8; i++) {
        const i32 twin = i / C % 2, centre = reach + i / (2 * C) * C + i % C; // of the input's sample that i lies beside
        float sum = 0;
#pragma unroll
        for (i32 k = 0; k < 6; k++) {
          const i32 at = centre + (k - 3 + twin) * C;
          sum += f.w[twin ? 5 - k : k] * in[at / 4][at % 4];
        }
        v[i] = gain * sum;
      }
      store(out + (u64)y * pitch, x, 2 * p.width * C, v);
    }
  }

  static DEVICE void store(u8 *row, i32 x, i32 size, const float *v) {
    if (x + 8 <= size) {
      write(row + x * sizeof(D), samples<D, 8>(v));
      return;
    }
#pragma unroll
    for (i32 i = 0; i < 8; i++)
      if (x + i < size) put_sample((D *)row + x + i, v[i]);
  }
};

// Any size to any other; luma and chroma may come from pictures of different sizes.
template <class S, class D> struct Resize {
  Plane luma, chroma;
  Canvas to;
  Table luma_columns, luma_rows, chroma_columns, chroma_rows;
  float gain;
  i32 luma_blocks;

  typedef None Tile;
  static constexpr int steps = 1;

  template <int STEP> DEVICE void step(None &, Place at) const {
    const i32 x = at.bx * 32 + at.x;
    if (at.by < luma_blocks) {
      const i32 y = at.by * 8 + at.y;
      if (x < to.width && y < to.height)
        put_sample((D *)to.luma_row(y) + x, gain * resample<S>(luma, luma_columns, luma_rows, x, y, 0, 1));
      return;
    }
    const i32 y = (at.by - luma_blocks) * 8 + at.y;
    if (x >= 2 * to.chroma_width() || y >= to.chroma_height()) return;
    put_sample((D *)to.chroma_row(y) + x, gain * resample<S>(chroma, chroma_columns, chroma_rows, x / 2, y, x % 2, 2));
  }
};

#define RESIZE(surfaces, S, D)                                                                                                         \
  KERNEL(twice_##surfaces, (PICTURE(from), CANVAS(to), float w0, float w1, float w2, float w3, float w4, float w5, float gain, i32 luma_blocks), \
         (SURFACE_OF(from), SURFACE_OF(to), {w0, w1, w2, w3, w4, w5}, gain, luma_blocks), Twice<S, D>)                                  \
  KERNEL(resize_##surfaces, (PLANE(luma), PLANE(chroma), CANVAS(to), TABLE(luma_columns), TABLE(luma_rows), TABLE(chroma_columns), TABLE(chroma_rows), float gain, i32 luma_blocks), \
         (PLANE_OF(luma), PLANE_OF(chroma), SURFACE_OF(to), TABLE_OF(luma_columns), TABLE_OF(luma_rows), TABLE_OF(chroma_columns), TABLE_OF(chroma_rows), gain, luma_blocks), Resize<S, D>)

RESIZE(nv12_nv12, u8, u8)
RESIZE(p010_nv12, u16, u8)
RESIZE(p010_p010, u16, u16)
