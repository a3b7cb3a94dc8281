package e2e

import (
	"fmt"
	"strings"
	"testing"

	"rave/bench/camera"
	"rave/bench/clip"
)

// Whatever a camera sends: every picture arrives, in order, at twice the size, in the camera's colours, and the plan
// says what was done to it.
func TestInputs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		clip    clip.Params
		options string // through FFmpeg once more
		sets    camera.Sets
		plan    string // has this
		w, h    int    // of the output; 0: twice the usual
		color   string // of the output, range and matrix; "" is not checked
	}{
		{name: "H265", clip: clip.Params{Codec: clip.H265}, plan: "h265 320x184"},
		{name: "H265_10_bit", clip: clip.Params{Codec: clip.H265, Pixel: "yuv420p10le"}, plan: "yuv420p10le.*converted to yuv420p"},
		{name: "H265_B-frames", clip: clip.Params{Codec: clip.H265, BFrames: 3}, plan: "B-frames"},
		{name: "MJPEG", clip: clip.Params{Codec: clip.MJPEG}, plan: "full range kept", color: "pc"},
		{name: "B-frames", clip: clip.Params{BFrames: 3}, plan: "B-frames delay it by"},
		{name: "interlaced", clip: clip.Params{Interlaced: true}, plan: "deinterlaced by bwdif"},
		{name: "10_bit", clip: clip.Params{Pixel: "yuv420p10le"}, plan: "yuv420p10le.*converted to yuv420p"},
		{name: "4:2:2", clip: clip.Params{Pixel: "yuv422p"}, plan: "yuv422p.*converted to yuv420p"},
		{name: "full_range_709", clip: clip.Params{FullRange: true}, plan: "BT.709 full range kept", color: "pc bt709",
			options: "-c copy -bsf:v h264_metadata=video_full_range_flag=1:colour_primaries=1:transfer_characteristics=1:matrix_coefficients=1"},
		{name: "limited_range_601", plan: "BT.601 limited range", color: "tv smpte170m",
			options: "-c copy -bsf:v h264_metadata=video_full_range_flag=0:colour_primaries=6:transfer_characteristics=6:matrix_coefficients=6"},
		{name: "limited_range_709", plan: "BT.709 limited range", color: "tv bt709",
			options: "-c copy -bsf:v h264_metadata=video_full_range_flag=0:colour_primaries=1:transfer_characteristics=1:matrix_coefficients=1"},
		{name: "parameter_sets_in_the_SDP_only", sets: camera.SetsSDP},
		{name: "parameter_sets_in-band_only", sets: camera.SetsInBand},
		{name: "H265_parameter_sets_in-band_only", clip: clip.Params{Codec: clip.H265}, sets: camera.SetsInBand},
		{name: "portrait", clip: clip.Params{Width: 184, Height: 320}, w: 368, h: 640},
		{name: "no_multiple_of_16", clip: clip.Params{Width: 322, Height: 182}, w: 644, h: 364},
		{name: "odd_4:4:4", options: "-vf crop=319:181:0:0:exact=1,format=yuv444p -c:v libx264 -preset veryfast -bf 0 -g 10", w: 638, h: 362,
			plan: "yuv444p.*converted to yuv420p"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			path := makeClip(ctx, t, c.clip)
			if c.options != "" {
				path = transcode(ctx, t, path, c.options)
			}
			cam := startCamera(ctx, t, camera.Config{Clip: path, Sets: c.sets})
			p := serve(ctx, t, settings{streams: fmt.Sprintf("  cam: {source: %q, transport: tcp, quality: [luma-copy-x2, lanczos]}", cam.URL)})
			p.serves(ctx, "cam")
			r := watch(t, p.url("cam"), "tcp")
			complete(ctx, t, p, r, 5*fps/2, loop)
			ascending(t, r)
			p.says(ctx, `msg=plan.*`+c.plan)
			if c.w == 0 {
				c.w, c.h = 2*width, 2*height
			}
			if first := described(ctx, t, r)[0]; first.Matrix == "" {
				t.Errorf("the reader says nothing of colours: %+v", first)
			}
			for i, picture := range described(ctx, t, r) {
				if picture.Width != c.w || picture.Height != c.h {
					t.Fatalf("picture %d is %dx%d; want %dx%d", i, picture.Width, picture.Height, c.w, c.h)
				}
				if color := picture.Range + " " + picture.Matrix; picture.Matrix != "" && !strings.HasPrefix(color, c.color) {
					t.Fatalf("picture %d has colours %q; want %q", i, color, c.color)
				}
			}
		})
	}
}

// The original is what the camera sends, and nothing else.
func TestOriginalIsUntouched(t *testing.T) {
	t.Parallel()
	for _, codec := range []clip.Codec{clip.H264, clip.H265, clip.MJPEG} {
		t.Run(string(codec), func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			params := clip.Params{Codec: codec}
			if codec != clip.MJPEG {
				params.BFrames = 2
			}
			cam := startCamera(ctx, t, camera.Config{Clip: makeClip(ctx, t, params)})
			p := serve(ctx, t, settings{streams: fmt.Sprintf("  cam: {source: %q, transport: tcp, quality: [lanczos]}", cam.URL)})
			p.serves(ctx, "cam/original")
			r := watch(t, p.url("cam/original"), "tcp")
			direct := watch(t, cam.URL, "tcp")
			complete(ctx, t, p, r, 3*fps, loop)
			wait(ctx, t, direct, 1)
			ascending(t, r)
			got, want := described(ctx, t, r)[0], described(ctx, t, direct)[0]
			if got.Width != want.Width || got.Height != want.Height || got.Format != want.Format || got.Range != want.Range || got.Matrix != want.Matrix {
				t.Errorf("the reader has %+v; the camera sends %+v", got, want)
			}
			if !strings.Contains(r.Output(), "Video: "+map[clip.Codec]string{clip.H264: "h264", clip.H265: "hevc", clip.MJPEG: "mjpeg"}[codec]) {
				t.Errorf("codec: %s", r.Output())
			}
		})
	}
}
