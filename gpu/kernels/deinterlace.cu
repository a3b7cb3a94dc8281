// Deinterlacing at the field rate by the method of FFmpeg's bwdif: BBC's Weston three-field filter (PH-2071), held between
// bounds that yadif's look at the neighbouring fields gives. Arithmetic is in whole numbers, which floats hold exactly.
#include "sample.cuh"

// What one missing line is made of, for one column. Lines are numbered from the missing one: those at -1 and +1 were
// sent with the field that is completed, those at 0, ±2, ±4 with the fields before and after it.
struct Missing {
  float sum[5];                 // before + after, at -4, -2, 0, 2, 4
  float change;                 // |before - after| at 0
  float near_up, near_down;     // the field's own lines at -1, +1
  float far_up, far_down;       // at -3, +3
  float moved;                  // twice the larger mean change of lines -1 and +1 to the same fields of the frames around

  static DEVICE float half(float v) { return floor_of(v * .5f); }

  // Line 0. Near the edge of the picture there are no lines ±3, ±4 (border), or no ±2 either (checked is false then).
  DEVICE float line(bool border, bool checked) const {
    const float mean = half(sum[2]);
    float slack = half(most(change, moved));
    if (slack == 0) return mean;
    const float c = near_up, e = near_down;
    if (checked) {
      const float b = half(sum[1]) - c, f = half(sum[3]) - e, dc = mean - c, de = mean - e;
      const float high = most(most(de, dc), least(b, f)), low = least(least(de, dc), most(b, f));
      slack = most(slack, most(low, -high));
    }
    float v;
    if (border) {
      v = half(c + e);
    } else {
      const float near = c + e, far = far_up + far_down;
      const float moving = floor_of((5570 * sum[2] - 3801 * (sum[1] + sum[3]) + 1016 * (sum[0] + sum[4])) * .25f) + 4309 * near - 213 * far;
      v = over_8192(size_of(c - e) > change ? moving : 5077 * near - 981 * far);
    }
    return least(most(v, mean - slack), mean + slack);
  }

  static DEVICE float over_8192(float v) { return floor_of(v * (1 / 8192.f)); }
};

// Frames are three in a row, of the same size. The field of `current` whose first line is `first` is kept and the other
// field's lines are made.
template <class S> struct Deinterlace {
  const u8 *luma[3], *chroma[3];
  i32 luma_pitch[3], chroma_pitch[3];
  Canvas to;
  i32 first;       // 0: the top field is kept, 1: the bottom field
  i32 second;      // the kept field is the later one of its frame
  i32 alone;       // there is no frame around it: interpolate within the field
  i32 luma_blocks; // rows of blocks that make luma; those behind them make chroma

  typedef None Tile;
  static constexpr int steps = 1;
  static constexpr int LINES = 4; // that a thread makes, and as many that it copies

  struct Frames {
    const u8 *at[3];
    i32 pitch[3], size, height; // size: samples in a row
    DEVICE const u8 *row(i32 f, i32 y) const { return at[f] + (u64)y * pitch[f]; }
  };

  template <int STEP> DEVICE void step(None &, Place at) const {
    const i32 x = (at.bx * 32 + at.x) * 4;
    if (at.by < luma_blocks) {
      const Frames f = {{luma[0], luma[1], luma[2]}, {luma_pitch[0], luma_pitch[1], luma_pitch[2]}, to.width, to.height};
      plane(f, to.luma, to.luma_pitch, x, (at.by * 4 + at.y) * 2 * LINES);
      return;
    }
    const Frames f = {{chroma[0], chroma[1], chroma[2]}, {chroma_pitch[0], chroma_pitch[1], chroma_pitch[2]}, 2 * to.chroma_width(), to.chroma_height()};
    plane(f, to.chroma, to.chroma_pitch, x, ((at.by - luma_blocks) * 4 + at.y) * 2 * LINES);
  }

  DEVICE void plane(const Frames &f, u8 *out, i32 pitch, i32 x, i32 y) const {
    if (x >= f.size || y >= f.height) return;
    // Rows end at a multiple of 16 bytes, so four samples can be read and written wherever one is.
    if (!alone && y >= 4 && y + 2 * LINES + 4 <= f.height) {
      middle(f, out, pitch, x, y);
      return;
    }
#pragma unroll 1
    for (i32 j = y; j < lower(y + 2 * LINES, f.height); j++) {
      if (j % 2 == first) {
        write(out + (u64)j * pitch + x * sizeof(S), read<4 * sizeof(S)>(f.row(1, j) + x * sizeof(S)));
        continue;
      }
#pragma unroll 1
      for (i32 i = 0; i < lower(4, f.size - x); i++) put_sample((S *)(out + (u64)j * pitch) + x + i, alone ? within(f, x + i, j) : single(f, x + i, j));
    }
  }

  // Lines y … y+7, of which four are made, all with four lines on each side.
  DEVICE void middle(const Frames &f, u8 *out, i32 pitch, i32 x, i32 y) const {
    const i32 bytes = x * sizeof(S);
    const i32 base = y + 1 - first;                // the first line that is made; base ± 1 are of the kept field
    const i32 before = second ? 1 : 0, after = before + 1; // frames whose other field comes before and after
    float sum[LINES + 4][4], change[LINES][4];     // other field: lines base - 4 + 2k
    float own[LINES + 3][4], moved[LINES + 1][2][4]; // kept field: lines base - 3 + 2k; moved from base - 1 on
#pragma unroll
    for (i32 k = 0; k < LINES + 4; k++) {
      const auto b = read<4 * sizeof(S)>(f.row(before, base - 4 + 2 * k) + bytes), a = read<4 * sizeof(S)>(f.row(after, base - 4 + 2 * k) + bytes);
#pragma unroll
      for (i32 i = 0; i < 4; i++) {
        const float vb = sample<S>(b, i), va = sample<S>(a, i);
        sum[k][i] = vb + va;
        if (k >= 2 && k < LINES + 2) change[k - 2][i] = size_of(vb - va);
      }
    }
#pragma unroll
    for (i32 k = 0; k < LINES + 3; k++) {
      const i32 line = base - 3 + 2 * k;
      const auto c = read<4 * sizeof(S)>(f.row(1, line) + bytes);
#pragma unroll
      for (i32 i = 0; i < 4; i++) own[k][i] = sample<S>(c, i);
      if (line >= y && line < y + 2 * LINES) write(out + (u64)line * pitch + bytes, c);
      if (k == 0 || k == LINES + 2) continue;
      const auto p = read<4 * sizeof(S)>(f.row(0, line) + bytes), n = read<4 * sizeof(S)>(f.row(2, line) + bytes);
#pragma unroll
      for (i32 i = 0; i < 4; i++) {
        moved[k - 1][0][i] = size_of(sample<S>(p, i) - own[k][i]);
        moved[k - 1][1][i] = size_of(sample<S>(n, i) - own[k][i]);
      }
    }
#pragma unroll
    for (i32 l = 0; l < LINES; l++) {
      float v[4];
#pragma unroll
      for (i32 i = 0; i < 4; i++) {
        const Missing m = {{sum[l][i], sum[l + 1][i], sum[l + 2][i], sum[l + 3][i], sum[l + 4][i]},
                           change[l][i],
                           own[l + 1][i],
                           own[l + 2][i],
                           own[l][i],
                           own[l + 3][i],
                           most(moved[l][0][i] + moved[l + 1][0][i], moved[l][1][i] + moved[l + 1][1][i])};
        v[i] = m.line(false, true);
      }
      write(out + (u64)(base + 2 * l) * pitch + bytes, samples<S, 4>(v));
    }
  }

  DEVICE float at(const Frames &f, i32 frame, i32 x, i32 y) const { return sample_at((const S *)f.row(frame, y) + x); }

  // One missing sample anywhere in the picture.
  DEVICE float single(const Frames &f, i32 x, i32 y) const {
    const i32 before = second ? 1 : 0, after = before + 1;
    const i32 up = y > 0 ? y - 1 : y + 1, down = y + 1 < f.height ? y + 1 : y - 1;
    const bool border = y < 4 || y + 5 > f.height, checked = y >= 2 && y + 3 <= f.height;
    Missing m = {};
#pragma unroll
    for (i32 k = 0; k < 5; k++)
      if (k == 2 || (checked && (k == 1 || k == 3)) || !border) m.sum[k] = at(f, before, x, y - 4 + 2 * k) + at(f, after, x, y - 4 + 2 * k);
    m.change = size_of(at(f, before, x, y) - at(f, after, x, y));
    m.near_up = at(f, 1, x, up), m.near_down = at(f, 1, x, down);
    if (!border) m.far_up = at(f, 1, x, y - 3), m.far_down = at(f, 1, x, y + 3);
    m.moved = most(size_of(at(f, 0, x, up) - m.near_up) + size_of(at(f, 0, x, down) - m.near_down),
                   size_of(at(f, 2, x, up) - m.near_up) + size_of(at(f, 2, x, down) - m.near_down));
    return m.line(border, checked);
  }

  // One missing sample from the field's own lines.
  DEVICE float within(const Frames &f, i32 x, i32 y) const {
    const i32 up = y > 0 ? y - 1 : y + 1, down = y + 1 < f.height ? y + 1 : y - 1;
    const i32 far_up = y > 2 ? y - 3 : y + 1, far_down = y + 3 < f.height ? y + 3 : y - 1;
    const float near = at(f, 1, x, up) + at(f, 1, x, down);
    return Missing::over_8192(5077 * near - 981 * (at(f, 1, x, far_up) + at(f, 1, x, far_down)));
  }
};

#define DEINTERLACE(name, S)                                                                                              \
  KERNEL(name,                                                                                                            \
         (const u8 *luma0, const u8 *luma1, const u8 *luma2, const u8 *chroma0, const u8 *chroma1, const u8 *chroma2,     \
          i32 luma_pitch0, i32 luma_pitch1, i32 luma_pitch2, i32 chroma_pitch0, i32 chroma_pitch1, i32 chroma_pitch2,     \
          CANVAS(to), i32 first, i32 second, i32 alone, i32 luma_blocks),                                                 \
         ({luma0, luma1, luma2}, {chroma0, chroma1, chroma2}, {luma_pitch0, luma_pitch1, luma_pitch2},                    \
          {chroma_pitch0, chroma_pitch1, chroma_pitch2}, SURFACE_OF(to), first, second, alone, luma_blocks),              \
         Deinterlace<S>)

DEINTERLACE(deinterlace_nv12, u8)
DEINTERLACE(deinterlace_p010, u16)
