package ffmpeg

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"

	"github.com/asticode/go-astiav"

	"rave/engine/media"
)

// ErrAgain means that a decoder, filter or encoder needs more input before it gives the next output.
var ErrAgain = errors.New("ffmpeg: more input needed")

// DecoderConfig says what to decode.
type DecoderConfig struct {
	Codec         media.Codec
	ParameterSets [][]byte // NAL units without start codes; may be empty when they come in-band
	Threads       int      // slice threads: they add no delay, unlike frame threads
}

// Decoder decodes one elementary stream.
type Decoder struct {
	ctx *astiav.CodecContext
	pkt *C.AVPacket
}

// MaxPixels bounds the pictures that are decoded, and with them the memory that a few bytes of a hostile stream can ask
// for: 8192×4608.
const MaxPixels = 8192 * 4608

// NewDecoder opens a decoder with low delay: a picture comes out as soon as the stream's own reordering allows.
func NewDecoder(cfg DecoderConfig) (*Decoder, error) {
	id, ok := map[media.Codec]astiav.CodecID{
		media.H264: astiav.CodecIDH264, media.H265: astiav.CodecIDHevc, media.MJPEG: astiav.CodecIDMjpeg,
	}[cfg.Codec]
	if !ok {
		return nil, fmt.Errorf("codec %q cannot be decoded; set the camera to H.264, H.265 or MJPEG", cfg.Codec)
	}
	codec := astiav.FindDecoder(id)
	if codec == nil {
		return nil, fmt.Errorf("this build's FFmpeg has no %s decoder", cfg.Codec)
	}
	d := &Decoder{ctx: astiav.AllocCodecContext(codec), pkt: C.av_packet_alloc()}
	C.rave_decoder_limit(d.c(), MaxPixels)
	d.ctx.SetThreadType(astiav.ThreadTypeSlice)
	d.ctx.SetThreadCount(max(1, cfg.Threads))
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

// Send gives one access unit. An error means that this access unit could not be decoded; the next may.
func (d *Decoder) Send(data []byte, pts int64) error {
	if len(data) == 0 { // it would mean the end of the stream
		return errors.New("decode: empty access unit")
	}
	if err := C.rave_decoder_send(d.c(), d.pkt, (*C.uint8_t)(&data[0]), C.int(len(data)), C.int64_t(pts)); err < 0 {
		return fmt.Errorf("decode: %w", astiav.Error(err))
	}
	return nil
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
}
