package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"rave/bench/barcode"
	"rave/bench/camera"
	"rave/bench/clip"
	"rave/bench/peer"
	"rave/bench/process"
	"rave/bench/reader"
	lossy "rave/bench/relay" // beside the relay of these tests
)

// What the network loses and reorders is a clip with a keyframe each second, in a loop longer than any delay.
const lossWidth, lossHeight, lossFPS, lossLoop = 640, 360, 25, 250

// mostClean is the mean square error in the worst block that the encoder alone may make. It makes about 1; what is damaged
// or another picture has thousands.
const mostClean = 10

// A network that loses 5 % of a camera's packets and reorders others: what is shown is in order and clean, the last clean
// picture is held for a second at most, and all that is missing is counted. Where packets are only reordered, nothing is
// missing.
func TestLossyNetwork(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	path := makeClip(ctx, t, clip.Params{Width: lossWidth, Height: lossHeight, FPS: lossFPS, Frames: lossLoop})
	cam := startCamera(ctx, t, camera.Config{Clip: path})
	relays, streams := map[string]*lossy.Relay{}, ""
	for name, faults := range map[string]lossy.Faults{
		"lossy": {Loss: 0.05, Reorder: 0.05, Distance: 4, Duplicate: 0.01}, "reordered": {Reorder: 0.1, Distance: 4, Duplicate: 0.01},
	} {
		r, err := lossy.Start(lossy.Config{Camera: address(cam.URL), Seed: 42, Faults: faults})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		relays[name] = r
		streams += fmt.Sprintf(`  %s: {source: "rtsp://%s/stream", transport: udp, quality: [lanczos], output: {scale: 1}, encode: {preset: ultrafast, bitrate: 6M}}`+"\n",
			name, r.Address())
	}
	p := serve(ctx, t, settings{streams: streams})
	readers, recordings := map[string]*reader.Reader{}, map[string]*recording{}
	for name := range relays {
		p.serves(ctx, name)
		readers[name], recordings[name] = watch(t, p.url(name), "tcp"), record(t, p.url(name))
	}
	from := time.Now()
	for _, r := range readers {
		watchFor(ctx, t, r, 15*time.Second)
	}
	to := time.Now()
	source := decodeClip(ctx, t, path)
	sent, err := camera.ReadLog(cam.Log)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string][]shownPicture{}
	for name, rec := range recordings {
		shown[name] = rec.compare(ctx, t, source)
		report, _ := reader.Compare(sent, readers[name].Seen(), lossLoop, from, to)
		t.Logf("%s: relay %+v; reader %+v; dropped %s", name, relays[name].Counts(), report, drops(t, p, name))
		// What is shown after a second of holding may be a concealed picture, which has the number of an earlier one.
		concealed := 0
		for _, one := range shown[name] {
			if one.worst > mostClean {
				concealed++
			}
		}
		if report.Duplicates > concealed || report.Disordered > 0 || report.Pictures == 0 {
			t.Errorf("%s: pictures are wrong, %d of them concealed: %+v", name, concealed, report)
		}
		ascending(t, readers[name])
	}
	unbroken(ctx, t, p, readers["reordered"])
	clean := 0.0 // the error of the encoder alone
	for i, one := range shown["reordered"] {
		clean = max(clean, one.worst)
		if one.worst > mostClean {
			t.Fatalf("reordered: picture %d at %v differs from what was sent: error %.1f in its worst block", i, one.pts, one.worst)
		}
	}
	held(t, shown["lossy"], clean)
	if n := p.metric("rave_frames_dropped_total", `stream="lossy"`, `reason="packet_loss"`); n == 0 {
		t.Error("lost access units are not counted")
	}
	if n := p.metric("rave_frames_dropped_total", `stream="lossy"`, `stage="decode"`); n == 0 {
		t.Error("pictures that refer to lost ones are not counted")
	}
}

// unbroken checks that a reader lost nothing that the program didn't give up because the machine was busy.
func unbroken(_ context.Context, t *testing.T, p *program, r *reader.Reader) {
	t.Helper()
	c := count(r.Seen(), lossLoop)
	busy := p.metric("rave_frames_dropped_total", `stream="reordered"`, `stage="enhance"`)
	if float64(c.lost) > busy || c.twice+c.backwards+c.unreadable > 0 {
		t.Errorf("reordered: %v; the program gave up %v: %s", c, busy, drops(t, p, "reordered"))
	}
}

// shownPicture is one of a recording.
type shownPicture struct {
	pts      time.Duration
	keyframe bool    // of the camera
	worst    float64 // mean square error in the worst block, against what the camera sent; infinite without a number
}

// held checks what a reader was shown: a picture that is worse than the encoder makes it may come only after the last
// clean one has been held for a second, up to the next keyframe that is whole. A recording may begin after such a second:
// then its first picture is a bad one.
func held(t *testing.T, shown []shownPicture, clean float64) {
	t.Helper()
	longest, excused, bad, tolerated := time.Duration(0), len(shown) > 0 && shown[0].worst > 2*clean, 0, 0
	for i := 1; i < len(shown); i++ {
		one, gap := shown[i], shown[i].pts-shown[i-1].pts
		longest = max(longest, gap)
		good := one.worst <= 2*clean
		excused = !(good && one.keyframe) && (excused || gap >= time.Second)
		switch {
		case good:
		case excused:
			tolerated++
		default:
			bad++
			t.Errorf("picture %d at %v, %v after the one before, differs from what was sent: error %.1f in its worst block, %.1f where nothing is lost",
				i, one.pts, gap, one.worst, clean)
		}
	}
	t.Logf("%d pictures: %d bad ones shown as good, %d after a second of holding; the longest standstill %v; errors up to %.1f without loss",
		len(shown), bad, tolerated, longest, clean)
	// The policy's second is between pictures that RAVE has: it begins with the first that is held back, up to a few after
	// the last clean one if those between were lost whole, and ends with the first to come more than a second later,
	// before which others may be lost whole. At 25 fps that makes 1.08 s without such losses.
	if limit := time.Second + 500*time.Millisecond; longest > limit {
		t.Errorf("the picture stood still for %v", longest)
	}
}

// recording is what a reader is sent, kept in a file.
type recording struct {
	process *process.Process
	path    string
}

func record(t *testing.T, url string) *recording {
	t.Helper()
	path := filepath.Join(t.TempDir(), "recording.mkv")
	args := append(strings.Fields("-hide_banner -nostdin -nostats -rtsp_transport tcp -i"), url, "-c", "copy", "-flush_packets", "1", path)
	p, err := process.Start(process.Config{Name: "recorder", Path: peer.Need(t, peer.FFmpeg), Args: args})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return &recording{p, path}
}

// compare ends the recording and says of each picture how far it is from what the camera sent.
func (r *recording) compare(ctx context.Context, t *testing.T, source [][]byte) (list []shownPicture) {
	t.Helper()
	_ = r.process.Signal(syscall.SIGINT)
	<-r.process.Done()
	times := decode(ctx, t, r.path, func(picture []byte) {
		one := shownPicture{worst: math.Inf(1)} // damaged where the number is
		if n, err := barcode.Read(picture, lossWidth, lossWidth, lossHeight); err == nil && int(n) < len(source) {
			one.worst, one.keyframe = worstBlock(picture, source[n]), n%lossFPS == 0
		}
		list = append(list, one)
	})
	if len(list) == 0 || len(times) < len(list) {
		t.Fatalf("%d pictures and %d times were recorded: %s", len(list), len(times), ends(r.process.Output(), 5, 10))
	}
	for i := range list {
		list[i].pts = times[i]
	}
	return list
}

// worstBlock is the largest mean square error of luma in a block of 40 × 40.
func worstBlock(a, b []byte) (worst float64) {
	const size = 40
	for y := 0; y < lossHeight; y += size {
		for x := 0; x < lossWidth; x += size {
			sum := 0
			for row := y; row < y+size; row++ {
				for i := row*lossWidth + x; i < row*lossWidth+x+size; i++ {
					d := int(a[i]) - int(b[i])
					sum += d * d
				}
			}
			worst = max(worst, float64(sum)/(size*size))
		}
	}
	return worst
}

func decodeClip(ctx context.Context, t *testing.T, path string) (pictures [][]byte) {
	t.Helper()
	decode(ctx, t, path, func(picture []byte) { pictures = append(pictures, append([]byte(nil), picture...)) })
	return pictures
}

// decode gives the luma of each picture of a file, and returns their times.
func decode(ctx context.Context, t *testing.T, path string, each func([]byte)) (times []time.Duration) {
	t.Helper()
	args := append(strings.Fields("-nostats -nostdin -i"), path)
	args = append(args, strings.Fields("-fps_mode passthrough -vf showinfo=checksum=0,extractplanes=y -f rawvideo -pix_fmt gray pipe:1")...)
	cmd := exec.CommandContext(ctx, peer.Need(t, peer.FFmpeg), args...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	picture := make([]byte, lossWidth*lossHeight)
	for from := bufio.NewReaderSize(out, 1<<20); ; {
		if _, err := io.ReadFull(from, picture); err != nil {
			break
		}
		each(picture)
	}
	_ = cmd.Wait() // a recording may end within a picture
	for _, m := range regexp.MustCompile(`(?m) pts_time:(\S+)`).FindAllStringSubmatch(said.String(), -1) {
		times = append(times, seconds(m[1]))
	}
	return times
}
