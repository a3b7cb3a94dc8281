package ffmpeg

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"

	"github.com/asticode/go-astiav"
)

// Opus at its full rate, in frames of 20 ms (RFC 6716 section 2.1.4).
const (
	OpusRate  = 48000
	OpusFrame = OpusRate / 50
)

// OpusTranscoder makes Opus of AAC, in stereo.
type OpusTranscoder struct {
	dec, enc  *astiav.CodecContext
	in        *C.AVPacket
	out       *astiav.Packet
	decoded   *astiav.Frame
	resampled *astiav.Frame
	frame     *astiav.Frame // of 20 ms
	resampler *astiav.SoftwareResampleContext
	from      soundFormat // that resampler takes; it makes itself on the first frame
	waiting   *astiav.AudioFifo
	made      int64 // samples
}

// soundFormat is what a resampler is built for.
type soundFormat struct {
	rate     int
	channels string
	sample   astiav.SampleFormat
}

// NewOpusTranscoder opens the decoder for an AudioSpecificConfig (ISO/IEC 14496-3 section 1.6), and the encoder.
func NewOpusTranscoder(config []byte, bitrate int) (*OpusTranscoder, error) {
	aac, opus := astiav.FindDecoderByName("aac"), astiav.FindEncoderByName("libopus")
	if aac == nil || opus == nil {
		return nil, errors.New("this build's FFmpeg has no aac decoder, or no libopus")
	}
	C.rave_log_install()
	t := &OpusTranscoder{
		dec: astiav.AllocCodecContext(aac), enc: astiav.AllocCodecContext(opus),
		in: C.av_packet_alloc(), out: astiav.AllocPacket(),
		decoded: astiav.AllocFrame(), resampled: astiav.AllocFrame(), frame: astiav.AllocFrame(),
		waiting: astiav.AllocAudioFifo(astiav.SampleFormatFlt, astiav.ChannelLayoutStereo.Channels(), OpusFrame),
	}
	if err := t.open(aac, opus, config, bitrate); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func (t *OpusTranscoder) open(aac, opus *astiav.Codec, config []byte, bitrate int) error {
	if err := t.dec.SetExtraData(config); err != nil {
		return fmt.Errorf("set AudioSpecificConfig: %w", err)
	}
	t.dec.SetThreadCount(1)
	if err := t.dec.Open(aac, nil); err != nil {
		return fmt.Errorf("open AAC decoder: %w", err)
	}
	t.enc.SetSampleRate(OpusRate)
	t.enc.SetSampleFormat(astiav.SampleFormatFlt)
	t.enc.SetChannelLayout(astiav.ChannelLayoutStereo)
	t.enc.SetTimeBase(astiav.NewRational(1, OpusRate))
	t.enc.SetBitRate(int64(bitrate))
	if err := t.enc.Open(opus, nil); err != nil {
		return fmt.Errorf("open Opus encoder: %w", err)
	}
	return nil
}

// Send decodes one access unit. An error means that this one could not be decoded; the next may.
func (t *OpusTranscoder) Send(data []byte) error {
	if len(data) == 0 { // it would mean the end of the stream
		return errors.New("decode sound: empty access unit")
	}
	dec := (*C.AVCodecContext)(t.dec.UnsafePointer())
	if err := C.rave_decoder_send(dec, t.in, (*C.uint8_t)(&data[0]), C.int(len(data)), 0); err < 0 {
		return fmt.Errorf("decode sound: %w", astiav.Error(err))
	}
	for {
		switch err := t.dec.ReceiveFrame(t.decoded); {
		case errors.Is(err, astiav.ErrEagain):
			return nil
		case err != nil:
			return fmt.Errorf("decode sound: %w", err)
		}
		err := t.resample()
		t.decoded.Unref()
		t.resampled.Unref()
		if err != nil {
			return fmt.Errorf("resample sound: %w", err)
		}
	}
}

// resample adds what has been decoded to what waits.
func (t *OpusTranscoder) resample() error {
	f := t.decoded
	if l := &cframe(f).ch_layout; l.order == C.AV_CHANNEL_ORDER_UNSPEC { // such as a program config element of AAC's
		C.av_channel_layout_default(l, l.nb_channels)
	}
	if from := (soundFormat{f.SampleRate(), f.ChannelLayout().String(), f.SampleFormat()}); t.resampler == nil || from != t.from {
		t.closeResampler()
		t.resampler, t.from = astiav.AllocSoftwareResampleContext(), from
	}
	t.asOpus(t.resampled)
	if err := t.resampler.ConvertFrame(f, t.resampled); err != nil {
		return err
	}
	_, err := t.waiting.Write(t.resampled)
	return err
}

func (t *OpusTranscoder) asOpus(f *astiav.Frame) {
	f.SetChannelLayout(astiav.ChannelLayoutStereo)
	f.SetSampleFormat(astiav.SampleFormatFlt)
	f.SetSampleRate(OpusRate)
}

// Waiting returns how many samples have been decoded that no packet has been made of.
func (t *OpusTranscoder) Waiting() int { return t.waiting.Size() }

// Receive returns the packet of the next 20 ms; the data is the caller's. ErrAgain: send more.
func (t *OpusTranscoder) Receive() ([]byte, error) {
	if t.waiting.Size() < OpusFrame {
		return nil, ErrAgain
	}
	defer t.frame.Unref()
	t.asOpus(t.frame)
	t.frame.SetNbSamples(OpusFrame)
	if err := t.frame.AllocBuffer(0); err != nil {
		return nil, fmt.Errorf("allocate sound: %w", err)
	}
	if _, err := t.waiting.Read(t.frame); err != nil {
		return nil, fmt.Errorf("read sound: %w", err)
	}
	t.frame.SetPts(t.made)
	t.made += OpusFrame
	if err := errors.Join(t.enc.SendFrame(t.frame), t.enc.ReceivePacket(t.out)); err != nil {
		return nil, fmt.Errorf("encode sound: %w", err)
	}
	defer t.out.Unref()
	return t.out.Data(), nil
}

func (t *OpusTranscoder) closeResampler() {
	if t.resampler != nil {
		t.resampler.Free()
		t.resampler = nil
	}
}

// Close frees everything.
func (t *OpusTranscoder) Close() {
	t.closeResampler()
	t.waiting.Free()
	t.decoded.Free()
	t.resampled.Free()
	t.frame.Free()
	t.out.Free()
	C.av_packet_free(&t.in)
	t.enc.Free()
	t.dec.Free()
}
