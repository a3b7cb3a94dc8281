package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"rave/engine/media"
)

// Stage turns inputs into outputs: none, one or many for each. Send consumes in even if it returns an error; emit
// passes ownership of its argument. Flush emits what is left and leaves the stage ready for new input. A Stage belongs
// to one goroutine. An error of Send costs that input only.
type Stage[In, Out any] interface {
	Send(in In, emit func(Out) error) error
	Flush(emit func(Out) error) error
	Close()
}

// Decoder makes pictures of access units, in presentation order.
type Decoder interface {
	Stage[media.Packet, *media.Frame]
	// SkipNonReference passes over pictures that no other refers to, while decoding is behind.
	SkipNonReference(on bool)
	// Input says what the stream turned out to be, for the plan: "h264 640x360 yuv422p, converted to yuv420p".
	Input() string
}

// Enhancer makes the output picture of an input picture: a network, or plain Lanczos.
type Enhancer interface {
	Stage[*media.Frame, *media.Frame]
	// Try makes a picture that nobody sees, and returns how long that took: whether it would hold a stream's rate.
	Try() (time.Duration, error)
	// Describe says how it works, for the plan: "live-x2 ×2 on luma, chroma bicubic".
	Describe() string
}

// Encoder makes access units of pictures, without B-frames: one in, one out.
type Encoder interface {
	Stage[*media.Frame, media.Packet]
	// RequestKeyframe makes the next picture an IDR. It may be called from any goroutine.
	RequestKeyframe()
	// SetRate makes pictures that come at fps add up to bps bits per second, from the next picture on.
	SetRate(bps int, fps float64)
	Describe() string
}

// DefaultMaxPixels is 8192×4608.
const DefaultMaxPixels = 8192 * 4608

// DecoderParams says what to decode.
type DecoderParams struct {
	Stream      string // the name that logs and errors use
	Log         *slog.Logger
	Track       media.Track
	Threads     int
	Deinterlace bool // deinterlace what is flagged as interlaced
	Frames      int  // pictures that may be in flight behind the decoder
	Ledger      *Ledger
	MaxPixels   int // larger pictures are refused before memory is taken for them; 0: DefaultMaxPixels
	// OnDamage is told of an access unit that is damaged, or refers to one that is missing, before its picture is emitted,
	// and that of any later access unit; nil: nobody wants to know. Damage that shows in the picture only is in its Meta.
	OnDamage func(p media.Packet, missing bool)
}

// EnhancerParams says what an enhancer has to make.
type EnhancerParams struct {
	Rung    string // "lanczos", or a model's name
	In, Out media.Format
	Threads int
	Frames  int // pictures that may be in flight behind the enhancer
	Ledger  *Ledger
}

// EncoderParams says what to encode.
type EncoderParams struct {
	In        media.Format
	Track     int     // the track of the packets made
	Preset    string  // x264's name of a speed
	Bitrate   int     // bits per second
	FrameRate float64 // expected frames per second
	Threads   int
	Baseline  bool // constrained baseline profile, which every decoder knows; else what compresses best
}

// JPEGParams says what to make an image of. The pictures stay their owner's.
type JPEGParams struct {
	Left          *media.Frame
	Right         *media.Frame // nil, or a picture of the same scene: the image shows its right half beside Left's left half
	Width, Height int          // of the image; even
	Threads       int
}

// Caps says what a device can do: per stage nil, or why not and the fix.
type Caps struct{ Decode, Enhance, Encode error }

// ModelInfo is what the engine must know of a model before it is loaded.
type ModelInfo struct {
	Name  string
	Scale int // output width over input width
}

// Device is a place where stages run: the software backend, or one GPU.
type Device interface {
	Name() string
	// Probe finds out by doing: it decodes, enhances and encodes a picture.
	Probe(ctx context.Context) Caps
	// Inspect reads a model's properties; an error names the model and the fix.
	Inspect(ctx context.Context, model string) (ModelInfo, error)
	// NewDecoder, NewEnhancer: ctx bounds the life of the stage: it interrupts loading and running.
	NewDecoder(ctx context.Context, p DecoderParams) (Decoder, error)
	NewEnhancer(ctx context.Context, p EnhancerParams) (Enhancer, error)
	NewEncoder(p EncoderParams) (Encoder, error)
	// NewOpus makes Opus packets of 20 ms, in stereo, of the packets of a sound track that Transcodes knows.
	NewOpus(sound media.Track) (Stage[media.Packet, media.Packet], error)
	// JPEG makes an image. It may be called from any goroutine.
	JPEG(p JPEGParams) ([]byte, error)
	// Mix changes into to the mean of both pictures, share being into's part, from 0 to 1. Both are enhancers' outputs of
	// one format.
	Mix(into, from *media.Frame, share float64) error
}

// Plan is the device chosen for each stage, and why.
type Plan struct {
	Decode, Enhance, Encode Device
	Reason                  string
}

// ChoosePlan takes for each stage the first of the devices that can do it.
func ChoosePlan(ctx context.Context, devices ...Device) (Plan, error) {
	var (
		plan    Plan
		reasons []error
	)
	for _, d := range devices {
		caps := d.Probe(ctx)
		choose(&plan.Decode, d, caps.Decode, "decode", &reasons)
		choose(&plan.Enhance, d, caps.Enhance, "enhance", &reasons)
		choose(&plan.Encode, d, caps.Encode, "encode", &reasons)
	}
	if plan.Decode == nil || plan.Enhance == nil || plan.Encode == nil {
		return Plan{}, fmt.Errorf("no device for every stage: %w", errors.Join(reasons...))
	}
	if len(reasons) > 0 {
		plan.Reason = errors.Join(reasons...).Error()
	}
	return plan, nil
}

// choose gives d the stage if it can do it and no earlier device has it.
func choose(slot *Device, d Device, why error, stage string, reasons *[]error) {
	switch {
	case why != nil:
		*reasons = append(*reasons, fmt.Errorf("%s cannot %s: %w", d.Name(), stage, why))
	case *slot == nil:
		*slot = d
	}
}
