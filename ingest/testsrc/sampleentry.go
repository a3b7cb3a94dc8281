package testsrc

import (
	"encoding/binary"
	"errors"
	"fmt"

	"rave/engine/media"
)

// describe reads the sample entry: the codec, the size and the parameter sets.
func (v *video) describe(b []byte) error {
	if len(b) < 8 {
		return errors.New("missing, or cut off")
	}
	return boxes(b[8:], func(kind string, entry []byte) error {
		const visual = 78 // bytes of a VisualSampleEntry before its boxes (ISO/IEC 14496-12 section 12.1.3)
		if v.entry != "" {
			return errors.New("more than one sample entry: the format changes within the clip")
		}
		if len(entry) < visual {
			return fmt.Errorf("%q: cut off", kind)
		}
		v.entry = kind
		v.width, v.height = int(binary.BigEndian.Uint16(entry[24:])), int(binary.BigEndian.Uint16(entry[26:]))
		err := inside(kind, entry[visual:], func(config string, payload []byte) error {
			switch {
			case config == "avcC" && v.codec() == media.H264:
				return v.avcConfig(payload)
			case config == "hvcC" && v.codec() == media.H265:
				return v.hevcConfig(payload)
			case config == "esds" && kind == "mp4v":
				return checkJPEG(payload)
			}
			return nil
		})
		if err != nil {
			return err
		}
		switch codec := v.codec(); {
		case codec == "":
			return fmt.Errorf("video format %q: only H.264 (avc1, avc3), H.265 (hvc1, hev1) and MJPEG are supported", kind)
		case codec != media.MJPEG && v.lengthSize == 0:
			return fmt.Errorf("%s: no decoder configuration", kind)
		}
		return nil
	})
}

func (v *video) codec() media.Codec {
	switch v.entry {
	case "avc1", "avc3":
		return media.H264
	case "hvc1", "hev1":
		return media.H265
	case "mp4v", "jpeg", "mjpa":
		return media.MJPEG
	default:
		return ""
	}
}

func (v *video) track() media.Track {
	return media.Track{
		Kind: media.Video, Codec: v.codec(), ClockRate: media.VideoClockRate, Width: v.width, Height: v.height,
		ParameterSets: v.sets,
	}
}

// avcConfig reads an AVCDecoderConfigurationRecord (ISO/IEC 14496-15 section 5.3.3.1.2).
func (v *video) avcConfig(b []byte) error {
	if len(b) < 7 {
		return errors.New("avcC: cut off")
	}
	v.lengthSize = int(b[4]&3) + 1
	rest, err := v.takeSets(b[6:], int(b[5]&31))
	if err == nil && len(rest) == 0 {
		err = errors.New("cut off")
	}
	if err == nil {
		_, err = v.takeSets(rest[1:], int(rest[0]))
	}
	if err != nil {
		return fmt.Errorf("avcC: %w", err)
	}
	return nil
}

// hevcConfig reads an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 section 8.3.3.1.2).
func (v *video) hevcConfig(b []byte) error {
	if len(b) < 23 {
		return errors.New("hvcC: cut off")
	}
	v.lengthSize = int(b[21]&3) + 1
	arrays, rest := int(b[22]), b[23:]
	for range arrays {
		if len(rest) < 3 {
			return errors.New("hvcC: cut off")
		}
		kind, n, before := rest[0]&63, int(binary.BigEndian.Uint16(rest[1:])), len(v.sets)
		var err error
		if rest, err = v.takeSets(rest[3:], n); err != nil {
			return fmt.Errorf("hvcC: %w", err)
		}
		if kind < 32 || kind > 34 { // not VPS, SPS, PPS
			v.sets = v.sets[:before]
		}
	}
	return nil
}

// takeSets reads n NAL units, each after its length in 16 bits.
func (v *video) takeSets(b []byte, n int) ([]byte, error) {
	for range n {
		if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
			return nil, errors.New("parameter set cut off")
		}
		end := 2 + int(binary.BigEndian.Uint16(b))
		if end > 2 {
			v.sets = append(v.sets, b[2:end:end])
		}
		b = b[end:]
	}
	return b, nil
}

// checkJPEG makes sure that an elementary stream descriptor says JPEG (ISO/IEC 14496-1 section 7.2.6.5 and table 5).
func checkJPEG(b []byte) error {
	const esDescriptor, decoderConfig, jpeg = 3, 4, 0x6c
	descriptor := func(b []byte, tag byte) []byte {
		if len(b) == 0 || b[0] != tag {
			return nil
		}
		for i := 1; i < len(b) && i < 5; i++ {
			if b[i]&0x80 == 0 {
				return b[i+1:]
			}
		}
		return nil
	}
	if len(b) < 4 {
		return errors.New("esds: cut off")
	}
	es := descriptor(b[4:], esDescriptor)
	if len(es) < 3 || es[2] != 0 {
		return errors.New("esds: not understood")
	}
	config := descriptor(es[3:], decoderConfig)
	if len(config) == 0 {
		return errors.New("esds: not understood")
	}
	if config[0] != jpeg {
		return fmt.Errorf("esds: object type %#x: of MPEG-4 systems' formats only JPEG (0x6c) is supported", config[0])
	}
	return nil
}

// accessUnit copies a sample out of the file: Annex B with 4-byte start codes, a keyframe led by its parameter sets.
func (v *video) accessUnit(file []byte, s sample) ([]byte, error) {
	b := file[s.offset : s.offset+uint64(s.size)]
	if v.lengthSize == 0 {
		if len(b) < 4 || b[0] != 0xff || b[1] != 0xd8 {
			return nil, errors.New("not a JPEG image")
		}
		return append([]byte(nil), b...), nil
	}
	units, err := v.nalUnits(b)
	if err != nil {
		return nil, err
	}
	if s.sync && !v.hasSets(units) {
		at := 0
		if v.isDelimiter(units[0]) {
			at = 1
		}
		units = append(units[:at:at], append(append([][]byte(nil), v.sets...), units[at:]...)...)
	}
	return media.AnnexB(units...), nil
}

// nalUnits splits a sample at its length fields; there is at least one.
func (v *video) nalUnits(b []byte) ([][]byte, error) {
	var units [][]byte
	for len(b) > 0 {
		if len(b) < v.lengthSize {
			return nil, errors.New("NAL unit length cut off")
		}
		size := uint64(0)
		for _, x := range b[:v.lengthSize] {
			size = size<<8 | uint64(x)
		}
		b = b[v.lengthSize:]
		if size > uint64(len(b)) {
			return nil, fmt.Errorf("NAL unit of %d bytes, but %d are left", size, len(b))
		}
		if size > 0 {
			units = append(units, b[:size])
		}
		b = b[size:]
	}
	if len(units) == 0 {
		return nil, errors.New("empty")
	}
	return units, nil
}

func (v *video) hasSets(units [][]byte) bool {
	for _, u := range units {
		if v.codec() == media.H264 && u[0]&31 == 7 || v.codec() == media.H265 && u[0]>>1&63 == 33 {
			return true
		}
	}
	return false
}

func (v *video) isDelimiter(unit []byte) bool {
	return v.codec() == media.H264 && unit[0]&31 == 9 || v.codec() == media.H265 && unit[0]>>1&63 == 35
}
