// Resampling by tables: any size to any other, with any separable filter. Slow beside what is made for a factor of two.
#pragma once
#include "bicubic.cuh"

// Plane is one plane of a picture; width counts samples, or pairs for chroma.
struct Plane {
  const u8 *at;
  i32 pitch, width, height;

  DEVICE const u8 *row(i32 y) const { return at + (u64)y * pitch; }
};

// Table says for each output sample of one axis which input sample is the first of taps, and their weights. First ones
// may lie before the edge, and others behind it: the edge is repeated.
struct Table {
  const i32 *first;
  const float *weights;
  i32 taps;
};

// Sample (or component of a pair; step 2) x, y of the resized plane.
template <class S> DEVICE float resample(const Plane &p, const Table &columns, const Table &rows, i32 x, i32 y, i32 component, i32 step) {
  const i32 left = fetch(columns.first + x), top = fetch(rows.first + y);
  float sum = 0;
#pragma unroll 1
  for (i32 k = 0; k < rows.taps; k++) {
    const S *row = (const S *)p.row(clamp(top + k, 0, p.height - 1)) + component;
    float line = 0;
#pragma unroll 2
    for (i32 l = 0; l < columns.taps; l++)
      line += fetch(columns.weights + x * columns.taps + l) * sample_at(row + step * clamp(left + l, 0, p.width - 1));
    sum += fetch(rows.weights + y * rows.taps + k) * line;
  }
  return sum;
}

#define PLANE(p) const u8 *p, i32 p##_pitch, i32 p##_width, i32 p##_height
#define PLANE_OF(p) {p, p##_pitch, p##_width, p##_height}
#define TABLE(t) const i32 *t##_first, const float *t##_weights, i32 t##_taps
#define TABLE_OF(t) {t##_first, t##_weights, t##_taps}
