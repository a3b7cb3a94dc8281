// CUDA for a host compiler: see cuda.cuh. One thread runs all threads of a block, step after step, and block after block.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#define DEVICE inline
typedef u32 u32x2 __attribute__((vector_size(8)));
typedef u32 u32x4 __attribute__((vector_size(16)));
typedef float f32x4 __attribute__((vector_size(16)));

template <class T> T fetch(const T *p) { return *p; }
inline float floor_of(float v) { return std::floor(v); }
inline float least(float a, float b) { return std::fmin(a, b); }
inline float most(float a, float b) { return std::fmax(a, b); }
inline float size_of(float v) { return std::fabs(v); }
inline float saturate(float v) { return std::fmax(0.f, std::fmin(1.f, v)); }
inline i32 nearest(float v) { return std::isnan(v) ? 0 : (i32)std::nearbyint(std::fmax(-1e9f, std::fmin(1e9f, v))); }
inline u32 byte_of(i32 v) { return v < 0 ? 0 : v > 255 ? 255 : v; }
inline u32 pack_bytes(i32 a, i32 b, u32 rest) { return rest << 16 | byte_of(a) << 8 | byte_of(b); }

inline float from_half_bits(u16 h) {
  const int exponent = h >> 10 & 31, fraction = h & 1023;
  const float v = exponent == 0    ? std::ldexp((float)fraction, -24)
                  : exponent == 31 ? (fraction ? NAN : INFINITY)
                                   : std::ldexp((float)(fraction + 1024), exponent - 25);
  return h >> 15 ? -v : v;
}

// To the nearest, ties to even.
inline u16 half_bits(float v) {
  const u16 sign = std::signbit(v) ? 0x8000 : 0;
  const float a = std::fabs(v);
  if (std::isnan(v)) return 0x7fff;
  if (a >= 65520) return sign | 0x7c00;
  int exponent;
  std::frexp(a, &exponent);
  if (a == 0 || exponent < -13) return sign | (u16)std::nearbyint(std::ldexp(a, 24)); // subnormal, or the least normal one
  return sign | (u16)(((exponent + 13) << 10) + (int)std::nearbyint(std::ldexp(a, 11 - exponent))); // the hidden bit adds one to the exponent
}

struct Blocks {
  i32 x, y, threads_x, threads_y;
};
inline Blocks blocks; // of the launch that is going on

template <class K> void run(const K &k) {
  const auto tile = std::make_unique<typename K::Tile>();
  const auto step = [&](i32 bx, i32 by, auto number) {
    for (i32 y = 0; y < blocks.threads_y; y++)
      for (i32 x = 0; x < blocks.threads_x; x++) k.template step<decltype(number)::value>(*tile, Place{x, y, bx, by});
  };
  for (i32 by = 0; by < blocks.y; by++)
    for (i32 bx = 0; bx < blocks.x; bx++) {
      std::memset((void *)tile.get(), 0xff, sizeof *tile); // NaN: what nobody wrote shows
      step(bx, by, std::integral_constant<int, 0>());
      if constexpr (K::steps > 1) step(bx, by, std::integral_constant<int, 1>());
      if constexpr (K::steps > 2) step(bx, by, std::integral_constant<int, 2>());
    }
}

// Kernel is an entry point as the driver's interface sees it.
struct Kernel {
  const char *name;
  std::vector<size_t> sizes; // of its parameters
  void (*call)(void **parameters);
};
inline std::vector<Kernel> &kernels() {
  static std::vector<Kernel> list;
  return list;
}

template <auto F> struct Entry;
template <class... A, void (*F)(A...)> struct Entry<F> {
  template <size_t... I> static void unpack(void **p, std::index_sequence<I...>) { F(*(A *)p[I]...); }
  static void call(void **p) { unpack(p, std::index_sequence_for<A...>()); }
  static bool list(const char *name) {
    kernels().push_back({name, {sizeof(A)...}, call});
    return true;
  }
};

#define KERNEL(name, parameters, fields, ...)                              \
  static void name parameters { run(__VA_ARGS__{UNPACK fields}); }         \
  static const bool name##_listed = Entry<name>::list(#name);
