package testsrc

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// video is the first video track of an MP4 file.
type video struct {
	entry         string // the four-character code of its sample entry
	width, height int
	timescale     uint32
	duration      int64    // of all samples, ticks
	sets          [][]byte // parameter sets without start codes
	lengthSize    int      // bytes of the length before each NAL unit; 0 for MJPEG
	samples       []sample
}

// sample is one access unit's place in the file and in time (ticks).
type sample struct {
	offset   uint64
	size     uint32
	dts, pts int64
	sync     bool
}

// boxes calls f for each box in b (ISO/IEC 14496-12 section 4.2) with its type and payload.
func boxes(b []byte, f func(kind string, payload []byte) error) error {
	for len(b) > 0 {
		if len(b) < 8 {
			return fmt.Errorf("box header cut off: %d bytes are left", len(b))
		}
		size, header, kind := uint64(binary.BigEndian.Uint32(b)), uint64(8), string(b[4:8])
		switch size {
		case 0: // to the end of the file
			size = uint64(len(b))
		case 1:
			if len(b) < 16 {
				return fmt.Errorf("box %q: header cut off", kind)
			}
			size, header = binary.BigEndian.Uint64(b[8:]), 16
		}
		if size < header || size > uint64(len(b)) {
			return fmt.Errorf("box %q: size %d, but %d bytes are left", kind, size, len(b))
		}
		if err := f(kind, b[header:size]); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

// inside is like boxes and names the enclosing box in errors.
func inside(name string, b []byte, f func(kind string, payload []byte) error) error {
	if err := boxes(b, f); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// parse finds the first video track. Every sample it returns lies within data, and their sizes add up to no more than
// the file's.
func parse(data []byte) (*video, error) {
	var movie, fragmented bool
	var tracks [][]byte
	err := boxes(data, func(kind string, payload []byte) error {
		if kind != "moov" {
			return nil
		}
		movie = true
		return inside("moov", payload, func(kind string, payload []byte) error {
			switch kind {
			case "mvex":
				fragmented = true
			case "trak":
				tracks = append(tracks, payload)
			}
			return nil
		})
	})
	switch {
	case err != nil:
		return nil, err
	case !movie:
		return nil, errors.New("no moov box: not an MP4 file, or cut off")
	case fragmented:
		return nil, errors.New("fragmented MP4 is not supported; remux it with: ffmpeg -i IN -c copy OUT.mp4")
	}
	for i, b := range tracks {
		v, err := parseTrack(b, uint64(len(data)))
		if err != nil {
			return nil, fmt.Errorf("track %d: %w", i+1, err)
		}
		if v != nil {
			return v, nil
		}
	}
	return nil, errors.New("no video track")
}

// parseTrack returns nil for a track that is not video.
func parseTrack(b []byte, fileSize uint64) (*video, error) {
	var v video
	var handler string
	var tables sampleTables
	err := boxes(b, func(kind string, payload []byte) error {
		if kind != "mdia" {
			return nil
		}
		return inside("mdia", payload, func(kind string, payload []byte) error {
			switch kind {
			case "mdhd":
				return v.mediaHeader(payload)
			case "hdlr":
				if len(payload) < 12 {
					return errors.New("hdlr: cut off")
				}
				handler = string(payload[8:12])
			case "minf":
				return inside("minf", payload, func(kind string, payload []byte) error {
					if kind != "stbl" {
						return nil
					}
					return inside("stbl", payload, tables.take)
				})
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	if handler != "vide" {
		return nil, nil
	}
	if v.timescale == 0 {
		return nil, errors.New("no mdhd box with a time scale")
	}
	if err := v.describe(tables["stsd"]); err != nil {
		return nil, fmt.Errorf("stsd: %w", err)
	}
	if v.samples, v.duration, err = tables.samples(fileSize); err != nil {
		return nil, err
	}
	return &v, nil
}

// mediaHeader reads the time scale (ISO/IEC 14496-12 section 8.4.2).
func (v *video) mediaHeader(b []byte) error {
	at := 12
	if len(b) > 0 && b[0] == 1 {
		at = 20
	}
	if len(b) < at+4 {
		return errors.New("mdhd: cut off")
	}
	v.timescale = binary.BigEndian.Uint32(b[at:])
	if v.timescale == 0 || v.timescale > 500e6 {
		return fmt.Errorf("mdhd: time scale %d", v.timescale)
	}
	return nil
}
