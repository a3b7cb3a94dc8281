package testsrc

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// sampleTables are the payloads of the boxes in a sample table (ISO/IEC 14496-12 section 8.5), by their type.
type sampleTables map[string][]byte

func (t *sampleTables) take(kind string, payload []byte) error {
	if *t == nil {
		*t = sampleTables{}
	}
	(*t)[kind] = payload
	return nil
}

// entries returns the rows of a table of size bytes each, after a header of version, flags and count.
func (t sampleTables) entries(kind string, size int) ([]byte, error) {
	b, ok := t[kind]
	if !ok {
		return nil, fmt.Errorf("stbl: no %s box", kind)
	}
	if len(b) < 8 {
		return nil, fmt.Errorf("%s: cut off", kind)
	}
	n := uint64(binary.BigEndian.Uint32(b[4:]))
	if n*uint64(size) > uint64(len(b)-8) {
		return nil, fmt.Errorf("%s: %d entries, but %d bytes", kind, n, len(b)-8)
	}
	return b[8 : 8+n*uint64(size)], nil
}

// samples joins the tables into one list in decode order and returns it with the duration of all.
func (t sampleTables) samples(fileSize uint64) ([]sample, int64, error) {
	list, err := t.sizes(fileSize)
	if err != nil {
		return nil, 0, err
	}
	if len(list) == 0 {
		return nil, 0, errors.New("the video track has no frames")
	}
	if err := t.place(list, fileSize); err != nil {
		return nil, 0, err
	}
	duration, err := t.time(list)
	if err != nil {
		return nil, 0, err
	}
	return list, duration, t.keyframes(list)
}

// sizes makes the list from stsz. Neither its length nor the sum of its sizes exceeds the file's size.
func (t sampleTables) sizes(fileSize uint64) ([]sample, error) {
	b := t["stsz"]
	if len(b) < 12 {
		return nil, errors.New("stbl: no stsz box, or cut off")
	}
	same, n := binary.BigEndian.Uint32(b[4:]), uint64(binary.BigEndian.Uint32(b[8:]))
	if same != 0 && n*uint64(same) > fileSize || same == 0 && n*4 > uint64(len(b)-12) {
		return nil, fmt.Errorf("stsz: %d frames do not fit a file of %d bytes", n, fileSize)
	}
	list := make([]sample, n)
	var sum uint64
	for i := range list {
		list[i].size = same
		if same == 0 {
			list[i].size = binary.BigEndian.Uint32(b[12+4*i:])
		}
		sum += uint64(list[i].size)
	}
	if sum > fileSize {
		return nil, fmt.Errorf("stsz: frames of %d bytes in a file of %d", sum, fileSize)
	}
	return list, nil
}

// place sets the offsets from the chunks: stsc says how many samples each has, stco or co64 where it starts.
func (t sampleTables) place(list []sample, fileSize uint64) error {
	runs, err := t.entries("stsc", 12)
	if err != nil {
		return err
	}
	kind, width := "stco", 4
	if _, ok := t["co64"]; ok {
		kind, width = "co64", 8
	}
	chunks, err := t.entries(kind, width)
	if err != nil {
		return err
	}
	next, perChunk := 0, 0
	for c := 0; c*width < len(chunks) && next < len(list); c++ {
		if len(runs) > 0 && binary.BigEndian.Uint32(runs) == uint32(c+1) {
			perChunk = int(binary.BigEndian.Uint32(runs[4:]))
			runs = runs[12:]
		}
		offset := uint64(0)
		if width == 4 {
			offset = uint64(binary.BigEndian.Uint32(chunks[4*c:]))
		} else {
			offset = binary.BigEndian.Uint64(chunks[8*c:])
		}
		for k := 0; k < perChunk && next < len(list); k++ {
			s := &list[next]
			if offset > fileSize || uint64(s.size) > fileSize-offset {
				return fmt.Errorf("%s: frame %d lies outside the file", kind, next)
			}
			s.offset = offset
			offset += uint64(s.size)
			next++
		}
	}
	if next < len(list) {
		return fmt.Errorf("%s: %d frames lie in no chunk", kind, len(list)-next)
	}
	return nil
}

// time sets decode times from stts and presentation times from ctts; it returns the sum of all durations.
func (t sampleTables) time(list []sample) (int64, error) {
	deltas, err := t.entries("stts", 8)
	if err != nil {
		return 0, err
	}
	i, now := 0, int64(0)
	for ; len(deltas) > 0 && i < len(list); deltas = deltas[8:] {
		delta := binary.BigEndian.Uint32(deltas[4:])
		for n := binary.BigEndian.Uint32(deltas); n > 0 && i < len(list); n-- {
			list[i].dts, list[i].pts = now, now
			now += int64(delta)
			i++
		}
	}
	if i < len(list) {
		return 0, fmt.Errorf("stts: no time for %d frames", len(list)-i)
	}
	if now == 0 {
		return 0, errors.New("stts: the video has no duration")
	}
	if _, ok := t["ctts"]; !ok {
		return now, nil
	}
	offsets, err := t.entries("ctts", 8)
	if err != nil {
		return 0, err
	}
	for i = 0; len(offsets) > 0 && i < len(list); offsets = offsets[8:] {
		// Version 0 is unsigned, but writers put negative offsets there too, as in version 1.
		offset := int64(int32(binary.BigEndian.Uint32(offsets[4:])))
		for n := binary.BigEndian.Uint32(offsets); n > 0 && i < len(list); n-- {
			list[i].pts += offset
			i++
		}
	}
	return now, nil
}

// keyframes marks the samples in stss; without that box every sample is one.
func (t sampleTables) keyframes(list []sample) error {
	if _, ok := t["stss"]; !ok {
		for i := range list {
			list[i].sync = true
		}
		return nil
	}
	numbers, err := t.entries("stss", 4)
	if err != nil {
		return err
	}
	for ; len(numbers) > 0; numbers = numbers[4:] {
		n := uint64(binary.BigEndian.Uint32(numbers))
		if n == 0 || n > uint64(len(list)) {
			return fmt.Errorf("stss: no frame %d", n)
		}
		list[n-1].sync = true
	}
	return nil
}
