// The little of CUDA that the kernels use, declared here so that no toolkit takes part in building them; and the same for
// a host compiler, with which a test runs these very sources on the CPU (testdata/host.cpp).
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int i32;

// Place is where a thread stands: in its block, and its block in the grid.
struct Place {
  i32 x, y, bx, by;
};

#ifdef __CUDA__

#define DEVICE __attribute__((device, always_inline)) inline
typedef u32 u32x2 __attribute__((ext_vector_type(2)));
typedef u32 u32x4 __attribute__((ext_vector_type(4)));
typedef float f32x4 __attribute__((ext_vector_type(4)));

// Reads past L1's coherence: what the kernels read nobody writes meanwhile, and so loads may pass stores.
DEVICE u32 fetch(const u32 *p) { return __nvvm_ldg_ui(p); }
DEVICE u32x2 fetch(const u32x2 *p) { return __nvvm_ldg_ui2(p); }
DEVICE u32x4 fetch(const u32x4 *p) { return __nvvm_ldg_ui4(p); }
DEVICE u16 fetch(const u16 *p) { return __nvvm_ldg_us(p); }
DEVICE u8 fetch(const u8 *p) { return __nvvm_ldg_uc(p); }
DEVICE float fetch(const float *p) { return __nvvm_ldg_f(p); }
DEVICE i32 fetch(const i32 *p) { return __nvvm_ldg_i(p); }

DEVICE float floor_of(float v) { return __builtin_floorf(v); }
DEVICE float least(float a, float b) { return __builtin_fminf(a, b); }
DEVICE float most(float a, float b) { return __builtin_fmaxf(a, b); }
DEVICE float size_of(float v) { return __builtin_fabsf(v); }
DEVICE float saturate(float v) { return __nvvm_saturate_f(v); }
// To the nearest integer, ties to even; NaN gives 0.
DEVICE i32 nearest(float v) {
  i32 r;
  asm("cvt.rni.s32.f32 %0, %1;" : "=r"(r) : "f"(v));
  return r;
}
// Two integers saturated to bytes, b in the lowest byte, a above it, the lower half of rest above both.
DEVICE u32 pack_bytes(i32 a, i32 b, u32 rest) {
  u32 r;
  asm("cvt.pack.sat.u8.s32.b32 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(rest));
  return r;
}
DEVICE u16 half_bits(float v) {
  u16 r;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r) : "f"(v));
  return r;
}
DEVICE float from_half_bits(u16 h) {
  float r;
  asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(h));
  return r;
}

// run calls the steps of a kernel, all threads of a block in step.
template <class K> DEVICE void run(const K &k) {
  __attribute__((shared)) static typename K::Tile tile;
  const Place at = {__nvvm_read_ptx_sreg_tid_x(), __nvvm_read_ptx_sreg_tid_y(), __nvvm_read_ptx_sreg_ctaid_x(),
                    __nvvm_read_ptx_sreg_ctaid_y()};
  k.template step<0>(tile, at);
  if (K::steps > 1) {
    __syncthreads();
    k.template step<1>(tile, at);
  }
  if (K::steps > 2) {
    __syncthreads();
    k.template step<2>(tile, at);
  }
}

// KERNEL(name, (parameters), (fields), type) makes an entry point that runs type{fields}.
#define KERNEL(name, parameters, fields, ...) \
  extern "C" __attribute__((global)) void name parameters { run(__VA_ARGS__{UNPACK fields}); }

#else
#include "testdata/host.h"
#endif

#define UNPACK(...) __VA_ARGS__

struct None {}; // the tile of a kernel that needs no shared memory

template <class T> DEVICE T lower(T a, T b) { return a < b ? a : b; }
template <class T> DEVICE T upper(T a, T b) { return a > b ? a : b; }
DEVICE i32 clamp(i32 v, i32 low, i32 high) { return v < low ? low : v > high ? high : v; }
