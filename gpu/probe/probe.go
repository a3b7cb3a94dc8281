// Package probe finds out what an NVIDIA GPU can do here, by doing it: it opens the driver, makes a context, copies to the
// GPU and back, asks the decoder, runs what the caller gives it for inference and opens an encoder. What is in the way it
// recognises by its symptom, and says the fix. It changes nothing and leaves nothing open.
package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"rave/gpu/cuda"
)

// Config says where to look.
type Config struct {
	Library cuda.Library // NVIDIA's libraries; nil: the system's
	System  fs.FS        // the system's files, from the root; nil: the real ones
	Index   int          // of the GPU
	// Infer runs a network on the GPU and says by what; nil: inference is not tried.
	Infer func(ctx context.Context, c *cuda.Context) (string, error)
}

// Report is what was found.
type Report struct {
	// Absent says that there is no NVIDIA GPU, and no trace of one; nothing else is set.
	Absent bool
	// Err is why no GPU can be used at all, and the fix; the stages have the same.
	Err error

	GPU         cuda.Device
	Free, Total uint64 // bytes of the GPU's memory
	CUDA        int    // that the driver serves: 13000 is 13.0
	Driver      string // the driver's version, if it could be read
	NVML        error  // why the use of memory cannot be watched

	Decode, Enhance, Encode error // nil: it works
	Decoders                []Decoder
	Inference               string // what ran
	Encoders                []cuda.Codec
}

// Decoder is what the hardware decodes of a codec with some bits.
type Decoder struct {
	Codec cuda.Codec
	Bits  int
	cuda.DecoderCaps
}

// OldestChip is the compute capability from which CUDA 13 serves GPUs, times ten: the generation Turing.
const OldestChip = 75

// Run looks at everything. The context bounds inference only.
func Run(ctx context.Context, cfg Config) Report {
	if cfg.Library == nil {
		cfg.Library = cuda.System()
	}
	if cfg.System == nil {
		cfg.System = os.DirFS("/")
	}
	var r Report
	r.readDriver(cfg)
	d, err := cuda.Open(cfg.Library)
	if err != nil {
		r.Absent, r.Err = r.explain(cfg, err)
	} else {
		r.CUDA = d.Version()
		r.Err = r.use(ctx, cfg, d)
	}
	if r.Err != nil {
		r.Decode, r.Enhance, r.Encode = r.Err, r.Err, r.Err
	}
	return r
}

// Decodes says why a picture of this kind is not decoded by the GPU; nil if it is.
func (r Report) Decodes(codec cuda.Codec, bits, width, height int) error {
	if r.Decode != nil {
		return r.Decode
	}
	for _, d := range r.Decoders {
		if d.Codec == codec && d.Bits == bits {
			if err := d.Fits(width, height); err != nil {
				return fmt.Errorf("%v with %d bits: %w; set a smaller size in the camera, or let software decode it", codec, bits, err)
			}
			return nil
		}
	}
	return fmt.Errorf("the decoder of the %s has no %v with %d bits; set another codec in the camera, or let software decode it", r.GPU.Name, codec, bits)
}

// use tries everything on one GPU, and closes the driver.
func (r *Report) use(ctx context.Context, cfg Config, d *cuda.Driver) (err error) {
	defer closeInto(&err, d)
	devices, err := d.Devices()
	if err != nil {
		return err
	}
	if cfg.Index >= len(devices) {
		return fmt.Errorf("there is no GPU %d: the driver has %d", cfg.Index, len(devices))
	}
	r.GPU = devices[cfg.Index]
	if chip := 10*r.GPU.Major + r.GPU.Minor; chip < OldestChip {
		return fmt.Errorf("the %s has compute capability %d.%d, and CUDA 13 serves %d.%d (generation Turing: GTX 16, RTX 20, T4) or newer; "+
			"a newer GPU would help, software serves", r.GPU.Name, r.GPU.Major, r.GPU.Minor, OldestChip/10, OldestChip%10)
	}
	c, err := d.Retain(cfg.Index)
	if err != nil {
		return err
	}
	defer closeInto(&err, c)
	if r.Free, r.Total, err = c.MemInfo(); err != nil {
		return err
	}
	if err := roundTrip(c); err != nil {
		return err
	}
	r.Decode = r.tryDecoder(cfg, c)
	r.Encode = r.tryEncoder(cfg, c)
	if cfg.Infer != nil {
		r.Inference, r.Enhance = cfg.Infer(ctx, c)
	}
	return nil
}

// closeInto closes something at the end of a function. A failure is an error of that function's, unless it has one: after
// that, closing may well fail for the same reason.
func closeInto(err *error, c io.Closer) {
	if e := c.Close(); *err == nil {
		*err = e
	}
}

// roundTrip copies random bytes to the GPU and back.
func roundTrip(c *cuda.Context) (err error) {
	const n = 1 << 20
	s, err := c.NewStream()
	if err != nil {
		return err
	}
	defer closeInto(&err, s)
	m, err := c.Alloc(n)
	if err != nil {
		return err
	}
	defer closeInto(&err, m)
	there, back := make([]byte, n), make([]byte, n)
	_, _ = rand.Read(there) // it never fails
	if err := errors.Join(s.Upload(m.Ptr(), there), s.Download(back, m.Ptr())); err != nil {
		return err
	}
	if !bytes.Equal(there, back) {
		return errors.New("what is copied to the GPU comes back different; the GPU or its memory is faulty")
	}
	return nil
}

// tryDecoder asks what the hardware decodes.
func (r *Report) tryDecoder(cfg Config, c *cuda.Context) (err error) {
	l, err := cuda.OpenDecoders(cfg.Library)
	if err != nil {
		return videoLibrary(err, "libnvcuvid1", "libnvidia-decode")
	}
	defer closeInto(&err, l)
	for _, codec := range []cuda.Codec{cuda.H264, cuda.HEVC, cuda.AV1, cuda.VP9, cuda.MJPEG} {
		for _, bits := range []int{8, 10} {
			caps, err := l.Caps(c, codec, bits)
			if err != nil {
				return err
			}
			if caps.Supported {
				r.Decoders = append(r.Decoders, Decoder{codec, bits, caps})
			}
		}
	}
	if len(r.Decoders) == 0 {
		return fmt.Errorf("the %s has no video decoder; software decodes", r.GPU.Name)
	}
	return nil
}

// tryEncoder opens an encoder.
func (r *Report) tryEncoder(cfg Config, c *cuda.Context) (err error) {
	l, err := cuda.OpenEncoders(cfg.Library)
	if err != nil {
		return videoLibrary(err, "libnvidia-encode1", "libnvidia-encode")
	}
	defer closeInto(&err, l)
	r.Encoders, err = l.Try(c)
	switch {
	case errors.Is(err, cuda.ErrNoEncoder):
		return fmt.Errorf("the %s has no encoder (NVENC), like all A100 and H100, or a container has another GPU than the first and not /dev/nvidia0; "+
			"software encodes: %w", r.GPU.Name, err)
	case errors.Is(err, cuda.ErrEncoderSessions):
		return fmt.Errorf("the driver allows GeForce GPUs only so many encoder sessions at a time, and others have them all; end some, or let software encode: %w", err)
	}
	return err
}

// videoLibrary says where a codec's library comes from.
func videoLibrary(err error, debian, ubuntu string) error {
	if !errors.Is(err, cuda.ErrNoLibrary) {
		return err
	}
	return fmt.Errorf("%w; the driver itself works. In a container, start that with NVIDIA_DRIVER_CAPABILITIES=compute,utility,video; "+
		"else install the rest of the driver (Debian: %s, Ubuntu: %s-%d)", err, debian, ubuntu, cuda.MinDriver)
}
