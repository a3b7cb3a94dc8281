package media

import (
	"fmt"
	"sync/atomic"
	"time"
)

// PixelFormat is the memory layout of a raw frame's samples.
type PixelFormat uint8

// Pixel formats that leave a decoder. Everything else that cameras send is converted to YUV420P there.
const (
	YUV420P PixelFormat = iota + 1 // three planes Y, U, V, 8 bits, chroma halved both ways
	NV12                           // two planes Y, UV interleaved; GPU frames
)

// String returns FFmpeg's name of the format.
func (p PixelFormat) String() string {
	switch p {
	case YUV420P:
		return "yuv420p"
	case NV12:
		return "nv12"
	default:
		return fmt.Sprintf("pixelformat(%d)", uint8(p))
	}
}

// Matrix is the YCbCr matrix, with the code points of ITU-T H.273 table 4.
type Matrix uint8

// Matrices that occur in camera video.
const (
	MatrixBT709       Matrix = 1
	MatrixUnspecified Matrix = 2
	MatrixBT470BG     Matrix = 5 // BT.601, 625 lines
	MatrixSMPTE170M   Matrix = 6 // BT.601, 525 lines; the same coefficients
	MatrixBT2020      Matrix = 9 // non-constant luminance; with ten bits
)

// Color describes how samples map to light. The numbers are ITU-T H.273 code points; 2 is unspecified.
type Color struct {
	Matrix    Matrix
	Primaries uint8
	Transfer  uint8
	FullRange bool
}

// Resolve replaces an unspecified matrix by what players assume for a picture of this height: BT.709 from 720 lines
// up, else BT.601. It must be applied to the size that the camera sent, before upscaling: a player would guess
// differently for the larger picture and show other colours.
func (c Color) Resolve(height int) Color {
	if c.Matrix == MatrixUnspecified || c.Matrix == 0 {
		if height >= 720 {
			c.Matrix = MatrixBT709
		} else {
			c.Matrix = MatrixSMPTE170M
		}
	}
	return c
}

// Format is everything a stage must be rebuilt for when it changes.
type Format struct {
	Width, Height int // luma pixels
	Pixel         PixelFormat
	Color         Color
	SAR           [2]int // sample aspect ratio, {1, 1} when square; {0, 1} if unspecified
}

// Size returns "WxH".
func (f Format) Size() string { return fmt.Sprintf("%dx%d", f.Width, f.Height) }

// Meta is what travels with a picture from its packet to the packet made of it.
type Meta struct {
	PTS      time.Duration
	Arrival  time.Time
	NTP      time.Time
	Decoded  time.Time // when it left the decoder
	Enhanced time.Time // when it left the enhancer
	Enhancer string    // the rung that made it; empty until then
	Keyframe bool      // the camera's keyframe
	Damaged  bool      // the decoder concealed errors in it
	Unwanted bool      // decoded for the sake of others only, see Packet.DecodeOnly
	Held     bool      // see Packet.Held
}

// Frame is one raw picture. It has one owner at a time; passing it on passes ownership, even if the call fails; the
// last owner calls Release once.
type Frame struct {
	Meta
	Format
	// Planes and Strides describe host memory: plane i holds rows of Strides[i] bytes. Nil for GPU frames.
	Planes  [3][]byte
	Strides [3]int
	// Native is the backend's own handle, such as an *astiav.Frame.
	Native any

	owner Owner
	gone  atomic.Bool
}

// Owner gets a frame back at the end of its life: a pool, or the decoder whose memory it is.
type Owner interface {
	// Free takes the released frame. It may be called from any goroutine.
	Free(f *Frame)
	// Misused is told of a second Release: a bug in the engine, never a reason to crash a running stream. Pools in
	// tests panic here.
	Misused(f *Frame)
}

// NewFrame returns a frame that goes back to owner. Frames that are used again are re-armed by Reuse.
func NewFrame(owner Owner) *Frame { return &Frame{owner: owner} }

// Reuse makes a released frame the property of its caller again. Only its owner calls it.
func (f *Frame) Reuse() {
	f.Meta = Meta{}
	f.gone.Store(false)
}

// Release ends the life of the frame. Only the first call counts; a second is reported to the owner.
func (f *Frame) Release() {
	if f.gone.Swap(true) {
		f.owner.Misused(f)
		return
	}
	f.owner.Free(f)
}
