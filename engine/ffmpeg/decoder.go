package ffmpeg

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/cgo"
	"unsafe"

	"github.com/asticode/go-astiav"

	"rave/engine/media"
)

// ErrAgain means that a decoder, filter or encoder needs more input before it gives the next output.
var ErrAgain = errors.New("ffmpeg: more input needed")

// DecoderConfig says what to decode.
type DecoderConfig struct {
	Stream        string // the name that logs and errors use
	Codec         media.Codec
	ParameterSets [][]byte // NAL units without start codes; may be empty when they come in-band
	Threads       int      // slice threads: they add no delay, unlike frame threads
	// MaxPixels bounds the pictures that are decoded, as they are coded, and with them the memory that a few bytes of a
	// hostile stream can ask for.
	MaxPixels int
	Log       *slog.Logger // for FFmpeg's own lines; nil: that of SetLogger
}

// Decoder decodes one elementary stream.
type Decoder struct {
	cfg    DecoderConfig
	ctx    *astiav.CodecContext
	pkt    *C.AVPacket
	said   *C.rave_decoder
	handle cgo.Handle
}

// liveDecoder names FFmpeg's decoder of a codec that live input may use. Every other one that is compiled in is a risk
// without a use here: no network client chooses among them.
func liveDecoder(codec media.Codec) (name string, ok bool) {
	switch codec {
	case media.H264:
		return "h264", true
	case media.H265:
		return "hevc", true
	case media.MJPEG:
		return "mjpeg", true
	default:
		return "", false
	}
}

// NewDecoder opens a decoder for live input with low delay: a picture comes out as soon as the stream's own reordering
// allows.
func NewDecoder(cfg DecoderConfig) (*Decoder, error) {
	name, ok := liveDecoder(cfg.Codec)
	if !ok {
		return nil, fmt.Errorf("stream %s: codec %q is not decoded from live input; set the camera to H.264, H.265 or MJPEG",
			cfg.Stream, cfg.Codec)
	}
	if err := checkSize(cfg, media.AnnexB(cfg.ParameterSets...)); err != nil {
		return nil, err
	}
	codec := astiav.FindDecoderByName(name)
	if codec == nil {
		return nil, fmt.Errorf("this build's FFmpeg has no %s decoder", cfg.Codec)
	}
	C.rave_log_install()
	d := &Decoder{cfg: cfg, ctx: astiav.AllocCodecContext(codec), pkt: C.av_packet_alloc()}
	d.handle = cgo.NewHandle(source{cfg.Stream, cfg.Log})
	d.said = C.rave_decoder_new(d.c(), C.uintptr_t(d.handle), C.int64_t(cfg.MaxPixels+rounding))
	d.ctx.SetThreadType(astiav.ThreadTypeSlice)
	d.ctx.SetThreadCount(max(1, cfg.Threads))
	if cfg.Codec == media.H264 {
		// With slice threads FFmpeg has no error resilience for H.264 (its option enable_er), and without that it does
		// not tell which pictures are damaged.
		d.ctx.SetThreadCount(1)
	}
	d.ctx.SetFlags(astiav.NewCodecContextFlags(astiav.CodecContextFlagLowDelay))
	if extra := media.AnnexB(cfg.ParameterSets...); len(extra) > 0 {
		if err := d.ctx.SetExtraData(extra); err != nil {
			d.Close()
			return nil, fmt.Errorf("set parameter sets: %w", err)
		}
	}
	if err := d.ctx.Open(codec, nil); err != nil {
		d.Close()
		return nil, fmt.Errorf("open %s decoder: %w", cfg.Codec, err)
	}
	return d, nil
}

// Found is what a decoder noticed in an access unit that it made a picture of, in the order of decoding.
type Found struct {
	Damaged bool // errors were concealed
	Missing bool // a picture that it refers to is not there
}

// Send gives one access unit. An error means that this access unit could not be decoded; the next may.
func (d *Decoder) Send(data []byte, pts int64) (Found, error) {
	if len(data) == 0 { // it would mean the end of the stream
		return Found{}, errors.New("decode: empty access unit")
	}
	if err := checkSize(d.cfg, data); err != nil {
		return Found{}, err
	}
	err := C.rave_decoder_send(d.c(), d.pkt, (*C.uint8_t)(&data[0]), C.int(len(data)), C.int64_t(pts))
	var width, height C.int
	found := C.rave_decoder_found(d.said, &width, &height)
	switch {
	case err >= 0:
		return Found{Damaged: found&C.RAVE_DAMAGED != 0, Missing: found&C.RAVE_MISSING != 0}, nil
	case found&C.RAVE_TOO_LARGE != 0:
		return Found{}, wrongSize(d.cfg, int(width), int(height))
	default:
		return Found{}, fmt.Errorf("decode: %w", astiav.Error(err))
	}
}

func (d *Decoder) c() *C.AVCodecContext { return (*C.AVCodecContext)(d.ctx.UnsafePointer()) }

// Drain announces the end of the stream; Receive then gives what is left.
func (d *Decoder) Drain() error { return d.ctx.SendPacket(nil) }

// Receive fills av with the next picture in presentation order. ErrAgain: send more; astiav.ErrEof: drained.
func (d *Decoder) Receive(av *astiav.Frame) error {
	err := d.ctx.ReceiveFrame(av)
	if errors.Is(err, astiav.ErrEagain) {
		return ErrAgain
	}
	return err
}

// SkipNonReference makes the decoder pass over pictures that no other refers to.
func (d *Decoder) SkipNonReference(on bool) {
	n := C.int(0)
	if on {
		n = 1
	}
	C.rave_decoder_skip_nonref(d.c(), n)
}

// Reorder returns how many pictures the stream's B-frames delay the output by; it may rise while decoding.
func (d *Decoder) Reorder() int {
	return int(C.rave_decoder_reorder(d.c()))
}

// Close frees the decoder.
func (d *Decoder) Close() {
	C.av_packet_free(&d.pkt)
	d.ctx.Free()
	C.free(unsafe.Pointer(d.said))
	d.handle.Delete()
}
