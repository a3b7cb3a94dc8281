package worker

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"time"
)

// A message is a length (4 bytes, little endian, of what follows it), a kind (1 byte) and fields: integers as varints
// of encoding/binary, strings and byte slices led by their length. Both sides are the same program, so there is one
// version and no negotiation; it is checked all the same.
const protocolVersion = 5

// kind says what a message is.
type kind byte

// The kinds of messages.
const (
	kindStart    kind = 1 // to the worker, first
	kindPacket   kind = 2 // both ways
	kindKeyframe kind = 3 // to the worker
	kindRepeat   kind = 4 // to the worker
	kindPing     kind = 5 // to the worker
	kindGoodbye  kind = 6 // to the worker, last
	kindSnapshot kind = 7 // to the worker: a question
	kindWant     kind = 8 // to the worker: the renditions that are wanted, and those to begin with a keyframe

	kindHello  kind = 16 // from the worker, first
	kindTracks kind = 17 // from the worker
	kindEvents kind = 18 // from the worker
	kindPong   kind = 19 // from the worker
	kindFailed kind = 20 // from the worker, last: why it cannot go on
	kindModel  kind = 21 // from the worker: the model that it is about to open, or has opened
	kindShot   kind = 22 // from the worker: the answer to a question

	kindRendition       kind = 23 // from the worker: a packet of a rendition
	kindRenditionTracks kind = 24 // from the worker
)

// The bounds of what one side believes of the other.
const (
	maxData    = 32 << 20 // a packet
	maxMessage = 2 << 20  // anything else
	maxText    = 2 << 10  // a line, a name, a reason
	maxList    = 1024
	headRoom   = 4 << 10 // what a packet has beside its data
)

var errMalformed = errors.New("malformed message")

func (k kind) limit() int {
	switch k {
	case kindPacket, kindShot, kindRendition:
		return maxData + headRoom
	case kindKeyframe, kindPing, kindPong, kindGoodbye:
		return 0
	case kindHello, kindSnapshot, kindWant, kindRepeat:
		return 32
	case kindStart, kindTracks, kindEvents, kindFailed, kindModel, kindRenditionTracks:
		return maxMessage
	default:
		return -1
	}
}

// link is one end of the socket. Reading and writing may go on at once, each in one goroutine at a time.
type link struct {
	net.Conn
	r *bufio.Reader
	w *bufio.Writer
}

func newLink(c net.Conn) *link {
	const buffer = 64 << 10
	return &link{Conn: c, r: bufio.NewReaderSize(c, buffer), w: bufio.NewWriterSize(c, buffer)}
}

// write adds a message to what the next flush sends; fields are written one after the other.
func (l *link) write(k kind, fields ...[]byte) error {
	n := 1
	for _, f := range fields {
		n += len(f)
	}
	if n-1 > k.limit() {
		return fmt.Errorf("message %d of %d bytes is above the limit of %d", k, n-1, k.limit())
	}
	head := binary.LittleEndian.AppendUint32(l.w.AvailableBuffer(), uint32(n))
	if _, err := l.w.Write(append(head, byte(k))); err != nil {
		return err
	}
	for _, f := range fields {
		if _, err := l.w.Write(f); err != nil {
			return err
		}
	}
	return nil
}

func (l *link) flush() error { return l.w.Flush() }

// read returns the next message. Its fields are the caller's. The end of the other side is io.EOF.
func (l *link) read() (kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(l.r, head[:]); err != nil {
		return 0, nil, err
	}
	n, k := int64(binary.LittleEndian.Uint32(head[:4]))-1, kind(head[4])
	if n < 0 || n > int64(k.limit()) {
		return 0, nil, fmt.Errorf("%w: kind %d with %d bytes", errMalformed, k, n)
	}
	fields := make([]byte, n)
	if _, err := io.ReadFull(l.r, fields); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return k, fields, nil
}

func appendInt[T ~int | ~int64](b []byte, v T) []byte { return binary.AppendVarint(b, int64(v)) }

func appendBytes[T ~string | ~[]byte](b []byte, v T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// appendText appends a string that may be cut.
func appendText(b []byte, v string) []byte { return appendBytes(b, v[:min(len(v), maxText)]) }

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendFloat(b []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
}

// appendTime appends a moment as Unix nanoseconds by the wall clock of now. The reading of the monotonic clock counts:
// a step of the wall clock since t does not change its age.
func appendTime(b []byte, t, now time.Time) []byte {
	return binary.LittleEndian.AppendUint64(b, uint64(now.UnixNano()-int64(now.Sub(t))))
}

// fields reads a message field by field. After the first error everything is zero.
type fields struct {
	b   []byte
	err error
}

func (f *fields) fail(what string) {
	if f.err == nil {
		f.err = fmt.Errorf("%w: %s", errMalformed, what)
	}
	f.b = nil
}

func (f *fields) byte() byte {
	if len(f.b) == 0 {
		f.fail("too short")
		return 0
	}
	v := f.b[0]
	f.b = f.b[1:]
	return v
}

func (f *fields) bool() bool {
	v := f.byte()
	if v > 1 {
		f.fail("neither true nor false")
	}
	return v == 1
}

func (f *fields) int64() int64 {
	v, n := binary.Varint(f.b)
	if n <= 0 {
		f.fail("integer")
		return 0
	}
	f.b = f.b[n:]
	return v
}

func (f *fields) int() int                { return int(f.int64()) }
func (f *fields) duration() time.Duration { return time.Duration(f.int64()) }

// count reads a number of things, at most limit.
func (f *fields) count(limit int) int {
	v, n := binary.Uvarint(f.b)
	if n <= 0 || v > uint64(limit) {
		f.fail("count")
		return 0
	}
	f.b = f.b[n:]
	return int(v)
}

// bytes reads a byte slice of at most limit bytes; it shares the message's memory.
func (f *fields) bytes(limit int) []byte {
	n := f.count(limit)
	if n > len(f.b) {
		f.fail("too short")
		return nil
	}
	v := f.b[:n:n]
	f.b = f.b[n:]
	return v
}

func (f *fields) text() string { return string(f.bytes(maxText)) }

func (f *fields) fixed() uint64 {
	if len(f.b) < 8 {
		f.fail("too short")
		return 0
	}
	v := binary.LittleEndian.Uint64(f.b)
	f.b = f.b[8:]
	return v
}

func (f *fields) float() float64 { return math.Float64frombits(f.fixed()) }

// time reads a moment and gives it this process's monotonic reading. Nothing lies in the future.
func (f *fields) time(now time.Time) time.Time {
	age := now.UnixNano() - int64(f.fixed())
	return now.Add(-time.Duration(max(0, age)))
}

// end returns the first error; fields that are left over are one.
func (f *fields) end() error {
	if len(f.b) > 0 {
		f.fail("too long")
	}
	return f.err
}
