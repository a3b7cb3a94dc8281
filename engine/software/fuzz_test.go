package software_test

import (
	"testing"

	"rave/engine"
	"rave/engine/enginetest"
	"rave/engine/media"
)

// FuzzDecode puts any bytes in the place of one access unit, or two, of a stream. The decoder, in C in this process, may
// refuse them and what follows; it may not crash, hang, take memory for more pixels than allowed, or keep a frame.
func FuzzDecode(f *testing.F) {
	const most = 640 * 640 // pixels
	streams := []string{
		enginetest.H264, enginetest.Baseline, enginetest.Slices, enginetest.BFrames, enginetest.Interlaced, enginetest.TenBit,
		enginetest.Refresh, enginetest.H265, enginetest.H265BFrames, enginetest.H265TenBit, enginetest.MJPEG420, enginetest.MJPEG422,
	}
	for i, name := range streams {
		_, packets := enginetest.Stream(f, name)
		for _, at := range []int{0, 1, 2, 10} {
			f.Add(uint8(i), uint8(at), uint8(3), packets[at].Data, packets[at+1].Data)
		}
	}
	dev := device(f)
	f.Fuzz(func(t *testing.T, stream, at, distance uint8, first, second []byte) {
		track, packets := enginetest.Stream(t, streams[int(stream)%len(streams)])
		a := int(at) % len(packets)
		packets[a].Data = first
		packets[(a+int(distance))%len(packets)].Data = second
		var ledger engine.Ledger
		d, err := dev.NewDecoder(t.Context(), engine.DecoderParams{
			Stream: "fuzz", Track: track, Threads: 2, Deinterlace: true, Frames: 2, Ledger: &ledger, MaxPixels: most,
		})
		if err != nil {
			t.Fatal(err)
		}
		emit := func(f *media.Frame) error {
			defer f.Release()
			if f.Width*f.Height > most {
				t.Errorf("a picture has %s", f.Size())
			}
			return nil
		}
		for _, p := range packets {
			_ = d.Send(p, emit) // it may refuse
		}
		_ = d.Flush(emit)
		d.Close()
		if n := ledger.InUse(); n != 0 {
			t.Errorf("%d frames were not released", n)
		}
	})
}
