package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The parsers here return errors that go on after the quoted value: `"5x" is not a scale; use …`.

// Scale is the output's size over the input's, each way. ScaleAuto leaves it to the stream's best model.
type Scale float64

// ScaleAuto is the scale of the first enhancer in quality.
const ScaleAuto Scale = 0

// String returns "auto", "1.5" and so on.
func (s Scale) String() string {
	if s == ScaleAuto {
		return auto
	}
	return strconv.FormatFloat(float64(s), 'f', -1, 64)
}

// auto is the value that leaves a choice to RAVE.
const auto = "auto"

func parseScale(text string) (Scale, error) {
	for _, s := range []Scale{ScaleAuto, 1, 1.5, 2, 3, 4} {
		if text == s.String() {
			return s, nil
		}
	}
	return 0, errors.New("is not a scale; use auto, 1, 1.5, 2, 3 or 4")
}

// Size is a picture's size in pixels.
type Size struct{ Width, Height int }

// String returns "WxH".
func (s Size) String() string { return fmt.Sprintf("%dx%d", s.Width, s.Height) }

func parseSize(text string) (Size, error) {
	w, h, ok := strings.Cut(text, "x")
	width, errW := strconv.Atoi(w)
	height, errH := strconv.Atoi(h)
	if !ok || errW != nil || errH != nil || width < 16 || height < 16 || width > 16384 || height > 16384 {
		return Size{}, errors.New("is not a size; use WIDTHxHEIGHT in pixels, 16 to 16384 each, such as 3840x2160")
	}
	return Size{width, height}, nil
}

func parsePixels(text string) (int, error) {
	const least, most = 320 * 240, 16384 * 16384
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("is not a number of pixels; use %d (320x240) to %d (16384x16384)", least, most)
	}
	return n, nil
}

// Bitrate is in bits per second. BitrateAuto follows size and frame rate.
type Bitrate int

// BitrateAuto is chosen from the output's size and frame rate.
const BitrateAuto Bitrate = 0

// String returns "auto", "800k", "4M" and so on.
func (b Bitrate) String() string {
	switch {
	case b == BitrateAuto:
		return auto
	case b%1e6 == 0:
		return strconv.Itoa(int(b/1e6)) + "M"
	case b%1e3 == 0:
		return strconv.Itoa(int(b/1e3)) + "k"
	default:
		return strconv.Itoa(int(b))
	}
}

func parseBitrate(text string) (Bitrate, error) {
	if text == auto {
		return BitrateAuto, nil
	}
	digits, unit := text, 1.0
	switch {
	case strings.HasSuffix(text, "k"):
		digits, unit = strings.TrimSuffix(text, "k"), 1e3
	case strings.HasSuffix(text, "M"):
		digits, unit = strings.TrimSuffix(text, "M"), 1e6
	}
	n, err := strconv.ParseFloat(digits, 64)
	if bits := math.Round(n * unit); err == nil && bits >= 16e3 && bits <= 500e6 {
		return Bitrate(bits), nil
	}
	return 0, errors.New("is not a bitrate; use auto, or bits per second from 16k to 500M, such as 800k or 4M")
}

// Memory is in bytes. MemoryAuto follows the machine.
type Memory int64

// MemoryAuto is half of what the machine or the container has.
const MemoryAuto Memory = 0

// String returns "auto", "512M", "2G" and so on; the units are powers of 1024.
func (m Memory) String() string {
	switch {
	case m == MemoryAuto:
		return auto
	case m%(1<<30) == 0:
		return strconv.FormatInt(int64(m>>30), 10) + "G"
	default:
		return strconv.FormatInt(int64(m>>20), 10) + "M"
	}
}

func parseMemory(text string) (Memory, error) {
	if text == auto {
		return MemoryAuto, nil
	}
	digits, shift := strings.TrimSuffix(text, "M"), 20
	if strings.HasSuffix(text, "G") {
		digits, shift = strings.TrimSuffix(text, "G"), 30
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if bytes := Memory(n) << shift; err == nil && digits != text && bytes >= 256<<20 && bytes <= 1<<40 {
		return bytes, nil
	}
	return 0, errors.New("is not a size of memory; use auto, or 256M to 1024G, such as 800M or 4G")
}

func parseLevel(text string) (slog.Level, error) {
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if text == formatLevel(l) {
			return l, nil
		}
	}
	return 0, errors.New("is not a log level; use debug, info, warn or error")
}

func formatLevel(l slog.Level) string { return strings.ToLower(l.String()) }

// parseListen reads a listen address; port is the one of the example in its error.
func parseListen(port string) func(string) (string, error) {
	return func(text string) (string, error) {
		host, p, err := net.SplitHostPort(text)
		n, errPort := strconv.ParseUint(p, 10, 16)
		if err != nil || errPort != nil || strings.ContainsAny(host, "/@ ") {
			return "", fmt.Errorf("is not a listen address; use HOST:PORT, such as 127.0.0.1:%s, or :%s for every "+
				"interface", port, port)
		}
		return net.JoinHostPort(host, strconv.FormatUint(n, 10)), nil
	}
}

// loopback reports whether only this machine can reach a listen address.
func loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Port is a UDP port. PortAuto is chosen at the start.
type Port int

// PortAuto is 8000, or any that is free if that is taken.
const PortAuto Port = 0

// String returns "auto" or the number.
func (p Port) String() string {
	if p == PortAuto {
		return auto
	}
	return strconv.Itoa(int(p))
}

func parseRTPPort(text string) (Port, error) {
	if text == auto {
		return PortAuto, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1024 || n > 65534 || n%2 != 0 {
		return 0, errors.New("is not a port for RTP; use auto, or an even number from 1024 to 65534 (RTCP is on the next port)")
	}
	return Port(n), nil
}

func parseThreads(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 1024 {
		return 0, errors.New("is not a number of threads; use 0 for all cores, or 1 to 1024")
	}
	return n, nil
}

func parseConnections(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 2 || n > 65536 {
		return 0, errors.New("is not a number of connections; use 2 to 65536")
	}
	return n, nil
}

func parseText(text string) (string, error) { return text, nil }

// parseDuration reads Go's notation, with the bounds of one key.
func parseDuration(low, high time.Duration) func(string) (time.Duration, error) {
	return func(text string) (time.Duration, error) {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, errors.New("is not a duration; use a number with a unit, such as 500ms, 5s or 1m30s")
		}
		if d < low || d > high {
			return 0, fmt.Errorf("is out of range; use %s to %s", formatDuration(low), formatDuration(high))
		}
		return d, nil
	}
}

// formatDuration is time.Duration.String without the zeros at the end: 10m, not 10m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// checkName is the rule for names of streams and models, which become parts of URLs, labels and variables.
func checkName(text, what string) error {
	ok := text != "" && len(text) <= 64
	for i, r := range text {
		alnum := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		ok = ok && (alnum || i > 0 && strings.ContainsRune("-_.", r))
	}
	if !ok {
		return fmt.Errorf("is not %s; use up to 64 letters, digits, -, _ and ., beginning with a letter or digit", what)
	}
	return nil
}

func checkStreamName(text string) error {
	if text == "original" {
		return errors.New("is not free as the name of a stream: NAME/original is the path of the untouched picture")
	}
	name := strings.ToLower(text)
	if slices.Contains(reservedPaths(), name) || slices.Contains(reservedSuffixes(), filepath.Ext(name)) {
		return fmt.Errorf("is not free as the name of a stream: /%s is a page of the HTTP server; choose another name", text)
	}
	return checkName(text, "the name of a stream")
}

// reservedPaths are what the HTTP server has beside the streams, in lower case: today, and what it may well have one day.
func reservedPaths() []string {
	return []string{"api", "ui", "metrics", "healthz", "readyz", "whep", "whip", "publish", "login", "logout", "static", "assets"}
}

// reservedSuffixes end the names of its files, such as page.css.
func reservedSuffixes() []string {
	return []string{".html", ".css", ".js", ".json", ".txt", ".ico", ".png", ".svg", ".webmanifest"}
}

// checkHostName accepts what a browser may ask for: a name, without a port.
func checkHostName(text string) error {
	u, err := url.Parse("http://" + text)
	if err != nil || u.Host != text || u.Port() != "" || strings.ContainsAny(text, ":*") || u.Hostname() == "" {
		return errors.New("is not the name of a host; use one such as rave.example.org, without scheme and port")
	}
	return nil
}

// checkOrigin accepts what a browser sends as Origin: scheme, host and port.
func checkOrigin(text string) error {
	u, err := url.Parse(text)
	if text != "*" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Scheme+"://"+u.Host != text) {
		return errors.New(`is not an origin; use SCHEME://HOST or SCHEME://HOST:PORT without a slash behind it, such as ` +
			`https://example.org, or "*" for every site`)
	}
	return nil
}

func checkModelName(text string) error {
	if text == "lanczos" {
		return errors.New("is not free as the name of a model: it is the built-in resampler")
	}
	return checkName(text, "the name of a model")
}

func checkModelRef(text string) error { return checkName(text, "the name of an enhancer") }

func checkModelFile(text string) error {
	if filepath.Ext(text) != ".onnx" {
		return errors.New("is not a model file; use the path of an .onnx file")
	}
	return nil
}
