// Chroma at twice its resolution by swscale's bicubic (B = 0, C = 0.6). Samples lie at the centres of 2×2 pixels, as
// swscale assumes: output sample 2i is at i - 1/4 of the input, 2i+1 at i + 1/4.
#pragma once
#include "sample.cuh"

struct Bicubic {
  // Weights of samples at these distances.
  static constexpr float d025 = 0.871875f, d075 = 0.240625f, d125 = -0.084375f, d175 = -0.028125f;
  // Weights of rows or columns i-2 … i+2 for the sample at i - 1/4.
  static DEVICE float even(i32 k) { return k == 0 ? d175 : k == 1 ? d075 : k == 2 ? d025 : k == 3 ? d125 : 0; }
  // The same for i + 1/4.
  static DEVICE float odd(i32 k) { return even(4 - k); }
};

// A row's chroma for 2N luma columns: N pairs and two more on each side, the edges repeated.
template <class S, int N> struct ChromaRow {
  Words<2 * N * sizeof(S)> middle;
  Words<4 * sizeof(S)> left, right;

  // first is a multiple of 2; width is the number of pairs in the row.
  DEVICE void read_from(const u8 *row, i32 first, i32 width) {
    constexpr i32 pair = 2 * sizeof(S);
    middle = read<N * pair>(row + first * pair);
    if (first > 0)
      left = read<2 * pair>(row + (first - 2) * pair);
    else
      left = both(row, 0, 0);
    if (first + N + 2 <= width)
      right = read<2 * pair>(row + (first + N) * pair);
    else
      right = both(row, lower(first + N, width - 1), width - 1);
  }

  DEVICE float u(i32 i) const { return at(2 * i); }
  DEVICE float v(i32 i) const { return at(2 * i + 1); }

private:
  static DEVICE Words<4 * sizeof(S)> both(const u8 *row, i32 a, i32 b) {
    Words<4 * sizeof(S)> r;
    if (sizeof(S) == 1)
      r.w[0] = fetch((const u16 *)row + a) | (u32)fetch((const u16 *)row + b) << 16;
    else
      r.w[0] = fetch((const u32 *)row + a), r.w[sizeof(S) - 1] = fetch((const u32 *)row + b);
    return r;
  }
  // i counts from the left pair on.
  DEVICE float at(i32 i) const {
    return i < 4 ? sample<S>(left, i) : i < 4 + 2 * N ? sample<S>(middle, i - 4) : sample<S>(right, i - 4 - 2 * N);
  }
};

// One sample of the picture's chroma (component 0: U, 1: V) at luma column x and row y.
template <class S> DEVICE float chroma_at(const Picture &p, i32 x, i32 y, i32 component) {
  float sum = 0;
#pragma unroll 1
  for (i32 k = 0; k < 5; k++) {
    const S *row = (const S *)p.chroma_row(clamp(y / 2 - 2 + k, 0, p.chroma_height() - 1));
    float line = 0;
#pragma unroll 1
    for (i32 l = 0; l < 5; l++) {
      const float w = x % 2 ? Bicubic::odd(l) : Bicubic::even(l);
      line += w * sample_at(row + 2 * clamp(x / 2 - 2 + l, 0, p.chroma_width() - 1) + component);
    }
    sum += (y % 2 ? Bicubic::odd(k) : Bicubic::even(k)) * line;
  }
  return sum;
}
