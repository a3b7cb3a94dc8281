package cuda

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
)

// The libraries of the hardware decoders and encoders. They belong to the driver, and in a container are there only if
// its capabilities include video.
const (
	libnvcuvid = "libnvcuvid.so.1"
	libnvenc   = "libnvidia-encode.so.1"
)

// Codec is a codec of the hardware decoder's (cudaVideoCodec).
type Codec int

// The codecs that RAVE decodes.
const (
	H264  Codec = 4
	MJPEG Codec = 5
	HEVC  Codec = 8
	VP9   Codec = 10
	AV1   Codec = 11
)

func (c Codec) String() string {
	switch c {
	case H264:
		return "H.264"
	case MJPEG:
		return "MJPEG"
	case HEVC:
		return "HEVC"
	case VP9:
		return "VP9"
	case AV1:
		return "AV1"
	}
	return fmt.Sprintf("codec %d", int(c))
}

// Decoders is the hardware decoder's library.
type Decoders struct{ *table }

// OpenDecoders opens nvcuvid; ErrNoLibrary means that the driver, or the container, has none.
func OpenDecoders(lib Library) (*Decoders, error) {
	t, err := open(lib, libnvcuvid, C.rave_cuvid_symbols())
	if err != nil {
		return nil, errors.Join(err, t.close())
	}
	return &Decoders{t}, nil
}

// Close closes the library.
func (d *Decoders) Close() error { return d.close() }

// DecoderCaps is what a GPU decodes of a codec (CUVIDDECODECAPS). Sizes are in pixels.
type DecoderCaps struct {
	Supported           bool
	Engines             int // decoders on the chip that can
	MinWidth, MinHeight int
	MaxWidth, MaxHeight int
	MaxMacroblocks      int  // of 16×16 pixels in a picture
	NV12, P016          bool // the surfaces it writes: 8 bits, up to 16
}

// Caps asks what the GPU of c decodes of a codec in 4:2:0 with a number of bits (Video Codec SDK, cuvidGetDecoderCaps).
func (d *Decoders) Caps(c *Context, codec Codec, bits int) (DecoderCaps, error) {
	const chroma420 = 1
	caps := C.CUVIDDECODECAPS{eCodecType: C.int(codec), eChromaFormat: chroma420, nBitDepthMinus8: C.uint(bits - 8)}
	if code := C.rave_decoder_caps(c.d.fn(), (*C.rave_cuvid)(d.funcs), c.handle, &caps); code != 0 {
		return DecoderCaps{}, c.d.failed(code, "ask what the decoder can do with %v of %d bits", codec, bits)
	}
	return DecoderCaps{
		Supported: caps.bIsSupported != 0, Engines: int(caps.nNumNVDECs), MaxMacroblocks: int(caps.nMaxMBCount),
		MinWidth: int(caps.nMinWidth), MinHeight: int(caps.nMinHeight), MaxWidth: int(caps.nMaxWidth), MaxHeight: int(caps.nMaxHeight),
		NV12: caps.nOutputFormatMask&1 != 0, P016: caps.nOutputFormatMask&2 != 0,
	}, nil
}

// Fits says why a picture of this size is not decoded; nil if it is.
func (c DecoderCaps) Fits(width, height int) error {
	switch {
	case !c.Supported:
		return errors.New("the chip has no decoder for it")
	case width < c.MinWidth || height < c.MinHeight:
		return fmt.Errorf("%dx%d is smaller than the decoder's %dx%d", width, height, c.MinWidth, c.MinHeight)
	case width > c.MaxWidth || height > c.MaxHeight:
		return fmt.Errorf("%dx%d is larger than the decoder's %dx%d", width, height, c.MaxWidth, c.MaxHeight)
	case (width+15)/16*((height+15)/16) > c.MaxMacroblocks:
		return fmt.Errorf("%dx%d has more macroblocks than the decoder's %d", width, height, c.MaxMacroblocks)
	}
	return nil
}

// What hinders the hardware encoder. They are matched by errors.Is.
var (
	// ErrNoEncoder: the chip has none, as the H100's and other data centre chips.
	ErrNoEncoder = errors.New("the chip has no encoder")
	// ErrEncoderSessions: the driver allows no further session.
	ErrEncoderSessions = errors.New("no further encoder session is allowed")
)

// Encoders is the hardware encoder's library.
type Encoders struct{ *table }

// OpenEncoders opens nvidia-encode; ErrNoLibrary means that the driver, or the container, has none.
func OpenEncoders(lib Library) (*Encoders, error) {
	t, err := open(lib, libnvenc, C.rave_nvenc_symbols())
	if err != nil {
		return nil, errors.Join(err, t.close())
	}
	return &Encoders{t}, nil
}

// Close closes the library.
func (e *Encoders) Close() error { return e.close() }

// Version is the newest version of the interface that the driver serves (NvEncodeAPIGetMaxSupportedVersion).
func (e *Encoders) Version() (major, minor int, err error) {
	var version C.uint32_t
	if code := C.rave_nvenc_version((*C.rave_nvenc)(e.funcs), &version); code != 0 {
		return 0, 0, fmt.Errorf("nvenc: read the version: error %d", int(code))
	}
	return int(version >> 4), int(version & 15), nil
}

// Try opens an encoder session on the GPU of c and closes it again, and returns the codecs it offers: H264, HEVC, AV1.
func (e *Encoders) Try(c *Context) ([]Codec, error) {
	const (
		size                                              = 16
		noDevice, unsupported, invalidDevice, outOfMemory = 1, 2, 4, 10 // NVENCSTATUS
		incompatibleKey                                   = 21
	)
	var (
		guids [size]C.NVENC_GUID
		n     C.uint32_t
	)
	code := C.rave_nvenc_try(c.d.fn(), (*C.rave_nvenc)(e.funcs), c.handle, &guids[0], size, &n)
	switch code {
	case 0:
	case noDevice, unsupported, invalidDevice:
		return nil, fmt.Errorf("nvenc: open a session: %w (NVENCSTATUS %d)", ErrNoEncoder, int(code))
	case outOfMemory, incompatibleKey: // what the driver says to one session too many
		return nil, fmt.Errorf("nvenc: open a session: %w (NVENCSTATUS %d)", ErrEncoderSessions, int(code))
	default:
		return nil, fmt.Errorf("nvenc: open a session: NVENCSTATUS %d", int(code))
	}
	var codecs []Codec
	for _, guid := range guids[:min(n, size)] {
		switch guid.d1 { // NV_ENC_CODEC_*_GUID
		case 0x6bc82762:
			codecs = append(codecs, H264)
		case 0x790cdc88:
			codecs = append(codecs, HEVC)
		case 0x0a352289:
			codecs = append(codecs, AV1)
		}
	}
	return codecs, nil
}
