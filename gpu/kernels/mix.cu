// The weighted mean of two pictures, for fades; and a copy, to measure the other kernels against.
#include "sample.cuh"

// into = (weight × into + (256 - weight) × from + 128) / 256, as on the CPU.
template <class S> struct Mix {
  Canvas into;
  Picture from;
  u32 weight;
  i32 luma_blocks;

  typedef None Tile;
  static constexpr int steps = 1;

  template <int STEP> DEVICE void step(None &, Place at) const {
    const i32 x = (at.bx * 32 + at.x) * 16; // bytes
    if (at.by < luma_blocks) {
      const i32 y = at.by * 4 + at.y;
      if (x < into.width * (i32)sizeof(S) && y < into.height) mix(into.luma_row(y) + x, from.luma_row(y) + x);
      return;
    }
    const i32 y = (at.by - luma_blocks) * 4 + at.y;
    if (x < 2 * into.chroma_width() * (i32)sizeof(S) && y < into.chroma_height()) mix(into.chroma_row(y) + x, from.chroma_row(y) + x);
  }

  DEVICE void mix(u8 *into, const u8 *from) const {
    Words<16> a = *(const Words<16> *)into; // written below, so not by read
    const Words<16> b = read<16>(from);
#pragma unroll
    for (i32 i = 0; i < 4; i++) {
      if (sizeof(S) == 1)
        a.w[i] = mean(a.w[i] & 0xff00ff, b.w[i] & 0xff00ff) | mean(a.w[i] >> 8 & 0xff00ff, b.w[i] >> 8 & 0xff00ff) << 8;
      else
        a.w[i] = ten(a.w[i] & 0xffff, b.w[i] & 0xffff) | ten(a.w[i] >> 16, b.w[i] >> 16) << 16;
    }
    write(into, a);
  }

  // Two bytes at a time: a product has 16 bits.
  DEVICE u32 mean(u32 a, u32 b) const { return (a * weight + b * (256 - weight) + 0x800080) >> 8 & 0xff00ff; }
  // A sample of ten bits, in the upper part of 16.
  DEVICE u32 ten(u32 a, u32 b) const { return ((a >> 6) * weight + (b >> 6) * (256 - weight) + 128) >> 8 << 6; }
};

struct Copy {
  const u8 *from;
  u8 *to;
  i32 groups; // of 16 bytes

  typedef None Tile;
  static constexpr int steps = 1;
  static constexpr int each = 4;

  template <int STEP> DEVICE void step(None &, Place at) const {
    const i32 first = at.bx * 256 * each + at.x;
    Words<16> w[each];
#pragma unroll
    for (i32 i = 0; i < each; i++)
      if (first + 256 * i < groups) w[i] = read<16>(from + (u64)(first + 256 * i) * 16);
#pragma unroll
    for (i32 i = 0; i < each; i++)
      if (first + 256 * i < groups) write(to + (u64)(first + 256 * i) * 16, w[i]);
  }
};

#define MIX(name, S)                                                              \
  KERNEL(name, (CANVAS(into), PICTURE(from), u32 weight, i32 luma_blocks),        \
         (SURFACE_OF(into), SURFACE_OF(from), weight, luma_blocks), Mix<S>)

MIX(mix_nv12, u8)
MIX(mix_p010, u16)
KERNEL(copy, (const u8 *from, u8 *to, i32 groups), (from, to, groups), Copy)
