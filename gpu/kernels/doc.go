// Package kernels holds RAVE's own CUDA kernels and the functions that launch them: a decoded picture into a network's
// input, a network's output into a picture, resizing, deinterlacing, mixing.
//
// The kernels are the *.cu files here; the *.ptx files are made from them by `make kernels`, which needs Debian's clang and no
// CUDA toolkit, and are embedded. They need a GPU of compute capability 7.5 (Turing) or newer; the driver compiles them for
// the chip when they are first used and keeps the result on disk.
//
// A launch returns at once; the stream orders it. Nothing is allocated, nothing is owned: pictures and tensors must live
// until the stream has passed the launch. Every function checks sizes, pitches and alignment before it launches, so that a
// wrong one is an error and never an access outside of what was given. A kernel writes whole rows up to the next multiple of 16
// bytes, never beyond a plane's pitch.
//
// A test compiles the very same sources with g++ (testdata/host.cpp) and holds them to references in float64, so that their
// arithmetic is checked without a GPU; with one, the same tests run there.
package kernels
