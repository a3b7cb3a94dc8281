// Package testsrc is a camera made of an MP4 file: it plays the file's video in an endless loop in real time, as the
// access units that a camera would send. It serves the demo, the benchmarks and the tests.
//
// A Clip holds its access units in memory; the packets it sends share them. Frames leave by absolute deadlines, so a
// late frame does not delay those after it and the rate does not drift. Frames leave in decode order; with B-frames
// presentation times do not ascend in that order, as from any such camera.
//
// The MP4 reader is written for hostile files: it allocates at most a small multiple of the file's size and its errors
// name the box. It knows plain MP4 (ISO/IEC 14496-12) with H.264, H.265 and MJPEG video; other tracks are ignored, and
// fragmented files are refused.
package testsrc
