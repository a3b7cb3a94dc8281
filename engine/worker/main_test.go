package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rave/bench/leak"
	"rave/engine"
	"rave/engine/enginetest"
	"rave/engine/media"
	"rave/engine/software"
	"rave/engine/worker"
)

// TestMain is the worker as well, and a main process that a test can kill, when it is started as one.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "worker":
		if err := worker.Main(worker.Descriptor, build); err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
			os.Exit(1)
		}
		os.Exit(0)
	case len(os.Args) > 2 && os.Args[1] == "parent":
		parent(os.Args[2])
	}
	code := leak.Main(m)
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) {
		fmt.Fprintf(os.Stderr, "child processes are left: %d, %v\n", pid, err)
		code = 1
	}
	os.Exit(code)
}

// spec tells a worker under test what to do wrong.
type spec struct {
	Fault string        // "segfault", "abort", "kill", "panic", "exit", "hang", "nonsense", "build"; empty: nothing
	At    time.Duration // PTS of the access unit that does it
	Once  string        // a file that is made; once it exists nothing happens any more
	Times int           // not once, but so many times
}

func build(_ context.Context, data []byte, log *slog.Logger) (engine.Plan, error) {
	var s spec
	if err := json.Unmarshal(data, &s); err != nil {
		return engine.Plan{}, err
	}
	log.Debug("worker builds its plan", "pid", os.Getpid(), "group", slog.GroupValue(slog.Float64("f", 0.5)))
	if s.Fault == "build" && s.due() {
		return engine.Plan{}, errors.New("no such device")
	}
	d := software.New(software.Config{Log: log})
	return engine.Plan{Decode: faulty{d, s}, Enhance: faulty{d, s}, Encode: d, Reason: "test"}, nil
}

func (s spec) due() bool {
	if s.Once == "" {
		return true
	}
	for i := range max(1, s.Times) {
		f, err := os.OpenFile(fmt.Sprint(s.Once, i), os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			f.Close()
			return true
		}
	}
	return false
}

// faulty is a device whose decoders fail as C code does.
type faulty struct {
	engine.Device
	spec spec
}

func (f faulty) NewDecoder(ctx context.Context, p engine.DecoderParams) (engine.Decoder, error) {
	d, err := f.Device.NewDecoder(ctx, p)
	return faultyDecoder{d, f.spec}, err
}

// NewEnhancer makes a Lanczos of any model, unless it is the one that a worker dies of.
func (f faulty) NewEnhancer(ctx context.Context, p engine.EnhancerParams) (engine.Enhancer, error) {
	if p.Rung == "deadly" {
		fmt.Fprintln(os.Stderr, "terminate called after throwing an instance of 'std::bad_alloc'")
		syscall.Kill(os.Getpid(), syscall.SIGABRT)
		select {}
	}
	p.Rung = engine.Lanczos
	return f.Device.NewEnhancer(ctx, p)
}

type faultyDecoder struct {
	engine.Decoder
	spec spec
}

func (d faultyDecoder) Send(p media.Packet, emit func(*media.Frame) error) error {
	if d.spec.At == 0 || p.PTS != d.spec.At || !d.spec.due() {
		return d.Decoder.Send(p, emit)
	}
	switch d.spec.Fault {
	case "segfault":
		syscall.Kill(os.Getpid(), syscall.SIGSEGV)
	case "abort":
		syscall.Kill(os.Getpid(), syscall.SIGABRT)
	case "kill":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "panic":
		panic("provoked")
	case "exit":
		fmt.Println(strings.Repeat("a very long line ", 1000))
		os.Exit(3)
	case "nonsense":
		_, _ = syscall.Write(worker.Descriptor+1, []byte{1, 2, 3})
		for fd := worker.Descriptor; fd < 20; fd++ { // the socket has another number by now
			if _, err := syscall.Getpeername(fd); err == nil {
				_, _ = syscall.Write(fd, []byte{200, 0, 0, 0, 99, 0, 0, 0})
			}
		}
	}
	select {} // the signal comes, or nothing ever does
}

// parent runs a client until it is killed, and prints the worker's PID into a file once it works.
func parent(file string) {
	packets := loadPackets(os.Getenv("RAVE_WORKER_TEST_STREAM"))
	client, err := worker.New(worker.Config{
		Spec: []byte("{}"), Session: engine.Config{
			Stream: "parent", Track: media.Track{Kind: media.Video, Codec: media.H264, ClockRate: media.VideoClockRate},
			Quality: []string{engine.Lanczos}, Output: engine.OutputRule{Scale: 1}, Preset: "ultrafast", Bitrate: 400_000,
			GOP: time.Second, Threads: 1, Observer: enginetest.NewRecorder(nil), Log: slog.New(slog.DiscardHandler),
		},
	}, &printPID{file: file})
	if err != nil {
		panic(err)
	}
	client2.Store(client)
	go func() {
		for _, p := range packets {
			client.Send(context.Background(), p)
		}
	}()
	_ = client.Run(context.Background())
}

// pending is a pointer that parent's output needs and that exists only after it.
type pending struct {
	mu sync.Mutex
	c  *worker.Client
}

func (p *pending) Store(c *worker.Client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.c = c
}

func (p *pending) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.c.PID()
}

var client2 pending

type printPID struct{ file string }

func (p *printPID) Tracks([]media.Track) error { return nil }
func (p *printPID) Packet(media.Packet) error {
	tmp := p.file + ".new"
	_ = os.WriteFile(tmp, []byte(strconv.Itoa(client2.PID())), 0o600)
	return os.Rename(tmp, p.file)
}

// savePackets and loadPackets hand a stream to another process.
func savePackets(t *testing.T, packets []media.Packet) string {
	t.Helper()
	data, err := json.Marshal(packets)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "packets")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func loadPackets(name string) []media.Packet {
	data, err := os.ReadFile(name)
	if err != nil {
		panic(err)
	}
	var packets []media.Packet
	if err := json.Unmarshal(data, &packets); err != nil {
		panic(err)
	}
	for i := range packets {
		packets[i].Arrival = time.Now()
	}
	return packets
}
