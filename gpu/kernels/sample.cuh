// Samples of pictures and elements of tensors: how they lie in memory, how they become float and back.
#pragma once
#include "cuda.cuh"

// A half is the bits of a float16.
struct half {
  u16 bits;
};

// Words is what a thread reads or writes at once.
template <int BYTES> struct alignas(BYTES % 16 == 0 ? 16 : BYTES % 8 == 0 ? 8 : 4) Words {
  u32 w[BYTES / 4];
};

template <int BYTES> DEVICE Words<BYTES> read(const u8 *p) {
  Words<BYTES> r;
  if (BYTES % 16 == 0) {
#pragma unroll
    for (i32 i = 0; i < BYTES / 16; i++) {
      const u32x4 v = fetch((const u32x4 *)p + i);
      r.w[4 * i] = v[0], r.w[4 * i + 1] = v[1], r.w[4 * i + 2] = v[2], r.w[4 * i + 3] = v[3];
    }
  } else if (BYTES % 8 == 0) {
#pragma unroll
    for (i32 i = 0; i < BYTES / 8; i++) {
      const u32x2 v = fetch((const u32x2 *)p + i);
      r.w[2 * i] = v[0], r.w[2 * i + 1] = v[1];
    }
  } else {
#pragma unroll
    for (i32 i = 0; i < BYTES / 4; i++) r.w[i] = fetch((const u32 *)p + i);
  }
  return r;
}

template <int BYTES> DEVICE void write(u8 *p, const Words<BYTES> &r) {
  if (BYTES % 16 == 0) {
#pragma unroll
    for (i32 i = 0; i < BYTES / 16; i++) ((u32x4 *)p)[i] = u32x4{r.w[4 * i], r.w[4 * i + 1], r.w[4 * i + 2], r.w[4 * i + 3]};
  } else if (BYTES % 8 == 0) {
#pragma unroll
    for (i32 i = 0; i < BYTES / 8; i++) ((u32x2 *)p)[i] = u32x2{r.w[2 * i], r.w[2 * i + 1]};
  } else {
#pragma unroll
    for (i32 i = 0; i < BYTES / 4; i++) ((u32 *)p)[i] = r.w[i];
  }
}

// The code value of sample i. NV12 has bytes; P010 has 16 bits of which the upper ten count.
template <class S, int BYTES> DEVICE float sample(const Words<BYTES> &r, i32 i) {
  if (sizeof(S) == 1) return (float)(u8)(r.w[i / 4] >> 8 * (i % 4));
  return (float)((u16)(r.w[i / 2] >> 16 * (i % 2)) >> 6);
}
DEVICE float sample_at(const u8 *p) { return (float)fetch(p); }
DEVICE float sample_at(const u16 *p) { return (float)(fetch(p) >> 6); }

// N code values, rounded and clamped.
template <class S, int N> DEVICE Words<N * sizeof(S)> samples(const float *v) {
  Words<N * sizeof(S)> r;
  if (sizeof(S) == 1) {
#pragma unroll
    for (i32 i = 0; i < N / 4; i++)
      r.w[i] = pack_bytes(nearest(v[4 * i + 1]), nearest(v[4 * i]), pack_bytes(nearest(v[4 * i + 3]), nearest(v[4 * i + 2]), 0));
  } else {
#pragma unroll
    for (i32 i = 0; i < N / 2; i++)
      r.w[i] = (u32)clamp(nearest(v[2 * i]), 0, 1023) << 6 | (u32)clamp(nearest(v[2 * i + 1]), 0, 1023) << 22;
  }
  return r;
}
DEVICE void put_sample(u8 *p, float v) { *p = (u8)clamp(nearest(v), 0, 255); }
DEVICE void put_sample(u16 *p, float v) { *p = (u16)(clamp(nearest(v), 0, 1023) << 6); }

// Elements of a tensor: floats from 0 to 1, bytes from 0 to 255 for that.
template <class E> struct Element;
template <> struct Element<u8> {
  template <int B> static DEVICE float get(const Words<B> &r, i32 i) { return (float)(u8)(r.w[i / 4] >> 8 * (i % 4)); }
  static DEVICE float get(const u8 *p) { return (float)fetch(p); }
  static DEVICE u8 of(float v) { return (u8)nearest(v * 255); }
  static constexpr float full = 255; // what stands for 1
};
template <> struct Element<half> {
  template <int B> static DEVICE float get(const Words<B> &r, i32 i) { return from_half_bits((u16)(r.w[i / 2] >> 16 * (i % 2))); }
  static DEVICE float get(const half *p) { return from_half_bits(fetch(&p->bits)); }
  static DEVICE half of(float v) { return half{half_bits(v)}; }
  static constexpr float full = 1;
};
union FloatBits {
  float f;
  u32 u;
};
template <> struct Element<float> {
  template <int B> static DEVICE float get(const Words<B> &r, i32 i) {
    FloatBits b;
    b.u = r.w[i];
    return b.f;
  }
  static DEVICE float get(const float *p) { return fetch(p); }
  static DEVICE float of(float v) { return v; }
  static constexpr float full = 1;
};

// N elements of values from 0 to 1.
template <class E, int N> DEVICE Words<N * sizeof(E)> elements(const float *v) {
  Words<N * sizeof(E)> r;
#pragma unroll
  for (i32 i = 0; i < N * (i32)sizeof(E) / 4; i++) {
    if (sizeof(E) == 1) {
      const float *q = v + 4 * i;
      r.w[i] = pack_bytes(nearest(q[1] * 255), nearest(q[0] * 255), pack_bytes(nearest(q[3] * 255), nearest(q[2] * 255), 0));
    } else if (sizeof(E) == 2) {
      r.w[i] = half_bits(v[2 * i]) | (u32)half_bits(v[2 * i + 1]) << 16;
    } else {
      FloatBits b;
      b.f = v[i];
      r.w[i] = b.u;
    }
  }
  return r;
}

// Picture is an NV12 or P010 surface that is read. Rows are pitch bytes apart; pointers and pitches are multiples of 16.
struct Picture {
  const u8 *luma, *chroma;
  i32 luma_pitch, chroma_pitch, width, height;

  DEVICE const u8 *luma_row(i32 y) const { return luma + (u64)y * luma_pitch; }
  DEVICE const u8 *chroma_row(i32 y) const { return chroma + (u64)y * chroma_pitch; }
  DEVICE i32 chroma_width() const { return (width + 1) / 2; }
  DEVICE i32 chroma_height() const { return (height + 1) / 2; }
};

// Canvas is a surface that is written.
struct Canvas {
  u8 *luma, *chroma;
  i32 luma_pitch, chroma_pitch, width, height;

  DEVICE u8 *luma_row(i32 y) const { return luma + (u64)y * luma_pitch; }
  DEVICE u8 *chroma_row(i32 y) const { return chroma + (u64)y * chroma_pitch; }
  DEVICE i32 chroma_width() const { return (width + 1) / 2; }
  DEVICE i32 chroma_height() const { return (height + 1) / 2; }
};

// The parameters of an entry point that make a Picture or a Canvas.
#define PICTURE(p) const u8 *p##_luma, const u8 *p##_chroma, i32 p##_luma_pitch, i32 p##_chroma_pitch, i32 p##_width, i32 p##_height
#define CANVAS(p) u8 *p##_luma, u8 *p##_chroma, i32 p##_luma_pitch, i32 p##_chroma_pitch, i32 p##_width, i32 p##_height
#define SURFACE_OF(p) {p##_luma, p##_chroma, p##_luma_pitch, p##_chroma_pitch, p##_width, p##_height}
