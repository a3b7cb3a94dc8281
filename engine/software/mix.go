package software

import (
	"encoding/binary"
	"fmt"

	"rave/engine/media"
)

// Mix implements engine.Device.
func (d *Device) Mix(into, from *media.Frame, share float64) error {
	if into.Format != from.Format || into.Pixel != media.YUV420P {
		return fmt.Errorf("mix pictures: %s %s and %s %s differ or are not yuv420p", into.Size(), into.Pixel, from.Size(), from.Pixel)
	}
	weight := uint64(share*256 + 0.5)
	for i := range into.Planes {
		w, h := into.Width, into.Height
		if i > 0 {
			w, h = (w+1)/2, (h+1)/2
		}
		for y := range h {
			mixRow(into.Planes[i][y*into.Strides[i]:][:w], from.Planes[i][y*from.Strides[i]:][:w], weight)
		}
	}
	return nil
}

// mixRow makes a the mean of a and b with a's weight of 256: eight samples at a time, in two words of four, since a
// product has 16 bits.
func mixRow(a, b []byte, weight uint64) {
	const low, half = 0x00ff00ff00ff00ff, 0x0080008000800080
	mean := func(x, y uint64) uint64 { return (x*weight + y*(256-weight) + half) >> 8 & low }
	n := len(a) &^ 7
	for i := 0; i < n; i += 8 {
		x, y := binary.LittleEndian.Uint64(a[i:]), binary.LittleEndian.Uint64(b[i:])
		binary.LittleEndian.PutUint64(a[i:], mean(x&low, y&low)|mean(x>>8&low, y>>8&low)<<8)
	}
	for i := n; i < len(a); i++ {
		a[i] = byte((uint64(a[i])*weight + uint64(b[i])*(256-weight) + 128) >> 8)
	}
}
