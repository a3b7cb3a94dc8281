package web

import (
	"slices"
	"time"
)

// SchemaVersion changes whenever a field of Status is renamed, removed or means something else. New fields leave it.
const SchemaVersion = 1

// Status is what a running RAVE tells of itself: the body of /api/v1/status and the content of the page. Texts must be
// free of credentials; they need no escaping.
type Status struct {
	SchemaVersion int        `json:"schema_version"` // filled in by the Server
	Version       string     `json:"version"`
	Time          time.Time  `json:"time"` // of this status; filled in by the Server if zero
	Started       time.Time  `json:"started"`
	Config        *File      `json:"config,omitempty"` // nil: there is no file
	Listeners     []Listener `json:"listeners"`
	Streams       []Stream   `json:"streams"`
}

// File is the configuration file and what has become of it.
type File struct {
	Path   string    `json:"path"`
	Loaded time.Time `json:"loaded"`          // when what it said last took effect
	Error  string    `json:"error,omitempty"` // why what it says now does not
}

// Listener is a port that RAVE was told to open.
type Listener struct {
	Name    string `json:"name"` // "rtsp", "http"
	Address string `json:"address"`
	Up      bool   `json:"up"`
	Reason  string `json:"reason,omitempty"` // why it is not up
}

// State is what a stream's source is doing.
type State string

// The states.
const (
	StateOnline     State = "online"     // it delivers
	StateConnecting State = "connecting" // an attempt is under way
	StateWaiting    State = "waiting"    // between two attempts, or for a publisher
)

// Stream is the status of one stream. Rates are those of the last seconds, percentiles those of the last frames.
type Stream struct {
	Name       string    `json:"name"`
	Source     string    `json:"source"`            // "publish", or the camera's URL without credentials
	Publish    bool      `json:"publish"`           // the source is a publisher that connects to us
	State      State     `json:"state"`             //
	Reason     string    `json:"reason,omitempty"`  // why it is not online
	Since      time.Time `json:"since,omitzero"`    // when it came to be online, or ceased to be
	NextTry    time.Time `json:"next_try,omitzero"` // when waiting: the next attempt
	Asleep     bool      `json:"asleep,omitempty"`  // nothing is decoded: on_demand, and nobody watches
	Reconnects int64     `json:"reconnects"`        // connections after the first

	Plan        string `json:"plan,omitempty"` // what is done where, with reasons
	EnhancedURL string `json:"enhanced_url"`
	OriginalURL string `json:"original_url"`

	Input     Video      `json:"input"`
	Output    Video      `json:"output"`
	Enhancer  string     `json:"enhancer,omitempty"` // that made the last picture
	Enhancers []Enhancer `json:"enhancers"`          // best first
	Latency   Latency    `json:"latency"`            // from a picture's arrival to readers
	Stages    []Stage    `json:"stages"`             // in the order of the data path
	Drops     []Drop     `json:"drops"`
	Readers   Readers    `json:"readers"`
	Viewers   Viewers    `json:"viewers"`

	// For who has the picture before his eyes, by WebRTC:
	Made     []Made    `json:"made"`               // the last changes of enhancer, oldest first
	Captured *Captured `json:"captured,omitempty"` // nil: no enhanced picture has been made
}

// Made says that pictures from this RTP time on were made by an enhancer, until the next change.
type Made struct {
	RTP      uint32 `json:"rtp"` // of WebRTC, in 90 kHz ticks that wrap at 32 bits
	Enhancer string `json:"enhancer"`
}

// Captured says when a recent picture was captured: by it and the RTP time of another, when that was.
type Captured struct {
	RTP  uint32    `json:"rtp"` // as in Made
	Time time.Time `json:"time"`
	// Clock is "camera" if the camera tells its time, which is as right as its clock; else "arrival": Time is when the
	// picture came.
	Clock string `json:"clock"`
}

// Video describes compressed video on its way in or out.
type Video struct {
	Codec   string  `json:"codec,omitempty"`
	Size    string  `json:"size,omitempty"` // "640x360"
	FPS     float64 `json:"fps"`            // pictures per second
	Bitrate float64 `json:"bitrate"`        // bits per second
	Frames  int64   `json:"frames"`         // pictures since start
}

// Enhancer is one entry of a stream's quality list.
type Enhancer struct {
	Name   string  `json:"name"`
	Share  float64 `json:"share"`            // of the pictures since start, 0 to 1
	Reason string  `json:"reason,omitempty"` // why it does not serve
	// ReasonCode is that for programs: "slow", "failed" or "loading", which needs no more words. Empty if it serves or could.
	ReasonCode string `json:"reason_code,omitempty"`
}

// Latency summarises durations in milliseconds.
type Latency struct {
	P50 float64 `json:"p50_ms"`
	P95 float64 `json:"p95_ms"`
	P99 float64 `json:"p99_ms"`
}

// Stage is how long pictures waited for a stage, and how long it worked on each.
type Stage struct {
	Name string  `json:"name"`
	Wait Latency `json:"wait"`
	Work Latency `json:"work"`
}

// Drop counts packets or pictures given up since start.
type Drop struct {
	Stage  string `json:"stage"`
	Reason string `json:"reason"`
	Count  int64  `json:"count"`
}

// Readers counts who is connected by RTSP.
type Readers struct {
	Enhanced int `json:"enhanced"`
	Original int `json:"original"`
}

// Viewers counts who is connected by WebRTC.
type Viewers struct {
	Enhanced Audience `json:"enhanced"`
	Original Audience `json:"original"`
}

// Audience are the viewers of a path.
type Audience struct {
	Count int `json:"count"`
	// Renditions tells how many of them get what is made for viewers in place of the stream as it is: "low", a small picture,
	// since their network does not carry the full one; "browser", the original as H.264 without B-frames, and "opus", the
	// sound as Opus, since browsers do not play the camera's.
	Renditions map[string]int `json:"renditions"`
}

// NewLatency makes a Latency of durations.
func NewLatency(p50, p95, p99 time.Duration) Latency {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return Latency{ms(p50), ms(p95), ms(p99)}
}

// Dropped returns the sum of the stream's drops.
func (s Stream) Dropped() int64 {
	var n int64
	for _, d := range s.Drops {
		n += d.Count
	}
	return n
}

// normal returns a copy without nil slices and maps, which JSON would write as null.
func (s Status) normal() Status {
	s.Listeners = some(s.Listeners)
	s.Streams = some(slices.Clone(s.Streams))
	for i := range s.Streams {
		st := &s.Streams[i]
		for _, a := range []*Audience{&st.Viewers.Enhanced, &st.Viewers.Original} {
			if a.Renditions == nil {
				a.Renditions = map[string]int{}
			}
		}
		st.Enhancers, st.Stages, st.Drops, st.Made = some(st.Enhancers), some(st.Stages), some(st.Drops), some(st.Made)
	}
	return s
}

func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
