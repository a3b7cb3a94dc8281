// Package barcode draws a frame's number into its picture and reads it back after the picture was scaled, compressed
// and enhanced, so that somebody outside can tell which frame a picture is.
//
// The code is a strip over the top eighth of the picture: two rows of 20 cells, each a dark or a bright block of luma.
// They hold 24 bits of number and 16 of checksum, most significant first. A cell is read as the mean of its middle, and
// must be clearly dark or bright. So Read gives the number that was drawn or an error; a picture without the code
// passes for one with a probability below 1 in 65,536.
package barcode

import (
	"errors"
	"fmt"
)

// Max is the largest number that fits.
const Max = 1<<24 - 1

const (
	columns, rows = 20, 2
	bits          = columns * rows
	dark, bright  = 40, 208 // away from the ends of both ranges, so that a converted range does not clip
	middle        = (dark + bright) / 2
	margin        = 28 // the least distance of a cell's mean from the middle
)

// Errors by which Read says that there is no number to read.
var (
	ErrUnclear  = errors.New("a cell is neither dark nor bright")
	ErrChecksum = errors.New("checksum differs")
)

// Height returns how many rows of a picture of height h the code covers. Read needs no more than these.
func Height(h int) int { return (h + 7) / 8 }

// Draw writes n over the top of a luma plane of a w by h picture. It must be at least 80 by 32.
func Draw(plane []byte, stride, w, h int, n uint32) error {
	if err := check(plane, stride, w, h); err != nil {
		return err
	}
	if n > Max {
		return fmt.Errorf("frame number %d: the barcode holds up to %d", n, Max)
	}
	code := uint64(n)<<16 | uint64(checksum(n))
	for y := range Height(h) {
		row := min(y*8*rows/h, rows-1)
		for x := range w {
			level := byte(dark)
			if code>>(bits-1-row*columns-x*columns/w)&1 == 1 {
				level = bright
			}
			plane[y*stride+x] = level
		}
	}
	return nil
}

// Read returns the number in the luma plane of a w by h picture, whatever the size it was drawn at. Only the first
// Height(h) rows are looked at.
func Read(plane []byte, stride, w, h int) (uint32, error) {
	if err := check(plane, stride, w, h); err != nil {
		return 0, err
	}
	var code uint64
	for i := range bits {
		mean := cell(plane, stride, w, h, i%columns, i/columns)
		if mean > middle-margin && mean < middle+margin {
			return 0, fmt.Errorf("%w: cell %d is %d", ErrUnclear, i, mean)
		}
		code <<= 1
		if mean > middle {
			code |= 1
		}
	}
	n := uint32(code >> 16)
	if checksum(n) != uint16(code) {
		return 0, ErrChecksum
	}
	return n, nil
}

// cell returns the mean of the middle of a cell: 40 % of its width and height, at least one sample.
func cell(plane []byte, stride, w, h, column, row int) int {
	span := func(i, length, parts int) (int, int) {
		from := (10*i + 3) * length / (10 * parts)
		return from, max((10*i+7)*length/(10*parts), from+1)
	}
	x0, x1 := span(column, w, columns)
	y0, y1 := span(row, h, 8*rows)
	sum := 0
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			sum += int(plane[y*stride+x])
		}
	}
	return sum / ((x1 - x0) * (y1 - y0))
}

func check(plane []byte, stride, w, h int) error {
	if w < 80 || h < 32 || stride < w || len(plane) < (Height(h)-1)*stride+w {
		return fmt.Errorf("picture %dx%d, stride %d, %d bytes: the barcode needs 80x32 or more", w, h, stride, len(plane))
	}
	return nil
}

// checksum is CRC-16/CCITT-FALSE over the number's three bytes: a picture that is all dark or all bright fails it.
func checksum(n uint32) uint16 {
	crc := uint16(0xffff)
	for bit := 23; bit >= 0; bit-- {
		top := crc>>15 ^ uint16(n>>bit&1)
		crc <<= 1
		if top == 1 {
			crc ^= 0x1021
		}
	}
	return crc
}
