package config

import (
	"log/slog"
	"maps"
	"reflect"
	"slices"
)

// Config is the whole configuration of one RAVE process.
type Config struct {
	Log         Log
	RTSP        RTSP
	HTTP        HTTP
	WebRTC      WebRTC
	Auth        Auth
	Users       []User
	CPU         CPU
	Workers     Workers
	Limits      Limits
	ONNXRuntime ONNXRuntime
	Models      map[string]string // model name → path of an .onnx file, beside the embedded models
	// StreamDefaults is what each stream starts from; its Name, Source, Username and Password are empty. It has been
	// applied to Streams already.
	StreamDefaults Stream
	Streams        []Stream // in the order of the file

	places map[string]place // key path → where it was set; for errors
}

// Log says what is logged and how.
type Log struct {
	Level  slog.Level
	Format LogFormat
}

// LogFormat is the form of log lines.
type LogFormat string

// The log formats.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// RTSP configures the RTSP server that readers and publishers connect to.
type RTSP struct {
	Listen         string // TCP address, host:port
	UDP            bool   // offer RTP over UDP beside TCP
	RTPPort        Port   // even UDP port for RTP; RTCP is on the next one
	MaxConnections int    // at once; of one host half as many
}

// HTTP configures the page, the API, metrics and health.
type HTTP struct {
	Listen  string // TCP address, host:port
	TLS     TLS
	Hosts   []string // names of this machine beside its addresses and those of the local network
	Origins []string // of other sites' pages that may use the API: "https://example.org", or "*" for all
}

// TLS says which certificate the HTTP server has; without one it speaks plain HTTP.
type TLS struct {
	Certificate, Key string // paths of PEM files
}

// Auth says whether readers, publishers and visitors of the page must log in.
type Auth string

// The ways of authentication.
const (
	AuthUsers Auth = "users" // as one of users; open while there are none, which only loopback addresses allow
	AuthNone  Auth = "none"  // everybody may do everything
)

// Workers says in which processes streams run.
type Workers string

// The ways of running streams.
const (
	WorkersOn  Workers = "on"  // each stream in a process of its own
	WorkersOff Workers = "off" // all in the main process
)

// Limits bound what hostile or broken input can take.
type Limits struct {
	WorkerMemory Memory // of each worker process
}

// CPU is the budget of the machine's cores that all streams share.
type CPU struct {
	Threads int // 0: all cores
}

// ONNXRuntime says where the ONNX Runtime library is.
type ONNXRuntime struct {
	Library string // path; empty: beside the binary, then the system's
}

// Equal reports whether two configurations say the same, wherever it is written.
func (c *Config) Equal(o *Config) bool {
	a, b := *c, *o
	a.places, b.places = nil, nil
	return reflect.DeepEqual(a, b)
}

// Default returns the configuration of an empty file: no streams, everything on loopback.
func Default() *Config {
	return &Config{
		Log:            Log{Level: slog.LevelInfo, Format: LogText},
		RTSP:           RTSP{Listen: "127.0.0.1:8554", UDP: true, RTPPort: PortAuto, MaxConnections: 512},
		HTTP:           HTTP{Listen: "127.0.0.1:8080"},
		WebRTC:         defaultWebRTC(),
		Auth:           AuthUsers,
		Workers:        WorkersOn,
		StreamDefaults: defaultStream(),
	}
}

// Open reports whether everybody may do everything: auth is none, or there are no users.
func (c *Config) Open() bool { return c.Auth == AuthNone || len(c.Users) == 0 }

// User returns the user of that name.
func (c *Config) User(name string) (User, bool) {
	i := slices.IndexFunc(c.Users, func(u User) bool { return u.Name == name })
	if i < 0 {
		return User{}, false
	}
	return c.Users[i], true
}

// schema lists the keys of the file in the order in which they are read: stream_defaults before streams.
func (c *Config) schema() section {
	return section{
		{"log", c.Log.schema()},
		{"rtsp", c.RTSP.schema()},
		{"http", c.HTTP.schema()},
		{"webrtc", c.WebRTC.schema()},
		{"auth", choice(&c.Auth, "a kind of authentication", AuthUsers, AuthNone)},
		{"users", c.users()},
		{"cpu", c.CPU.schema()},
		{"workers", choice(&c.Workers, "a way of running streams", WorkersOn, WorkersOff)},
		{"limits", c.Limits.schema()},
		{"onnxruntime", c.ONNXRuntime.schema()},
		{"models", c.models()},
		{"stream_defaults", c.StreamDefaults.options()},
		{"streams", c.streams()},
	}
}

func (l *Log) schema() section {
	return section{
		{"level", value(&l.Level, parseLevel, formatLevel)},
		{"format", choice(&l.Format, "a log format", LogText, LogJSON)},
	}
}

func (r *RTSP) schema() section {
	return section{
		{"listen", value(&r.Listen, parseListen("8554"), plain)},
		{"udp", boolean(&r.UDP)},
		{"rtp_port", number(&r.RTPPort, parseRTPPort)},
		{"max_connections", integer(&r.MaxConnections, parseConnections)},
	}
}

func (h *HTTP) schema() section {
	return section{
		{"listen", value(&h.Listen, parseListen("8080"), plain)},
		{"tls", section{
			{"certificate", value(&h.TLS.Certificate, parseText, plain)},
			{"key", value(&h.TLS.Key, parseText, plain)},
		}},
		{"hosts", list{get: func() []string { return h.Hosts }, set: func(s []string) { h.Hosts = s }, check: checkHostName}},
		{"origins", list{get: func() []string { return h.Origins }, set: func(s []string) { h.Origins = s }, check: checkOrigin}},
	}
}

func (c *CPU) schema() section {
	return section{{"threads", integer(&c.Threads, parseThreads)}}
}

func (l *Limits) schema() section {
	return section{{"worker_memory", value(&l.WorkerMemory, parseMemory, Memory.String)}}
}

func (o *ONNXRuntime) schema() section {
	return section{{"library", value(&o.Library, parseText, plain)}}
}

// models is the mapping of names to files.
func (c *Config) models() dict {
	entry := func(name string) rule {
		return scalar{
			set: func(text string) error {
				if err := checkModelFile(text); err != nil {
					return err
				}
				if c.Models == nil {
					c.Models = map[string]string{}
				}
				c.Models[name] = text
				return nil
			},
			get: func() string { return c.Models[name] },
		}
	}
	return dict{
		check: checkModelName,
		entry: entry,
		names: func() []string { return slices.Sorted(maps.Keys(c.Models)) },
	}
}

// streams is the mapping of names to streams; each starts from the defaults.
func (c *Config) streams() dict {
	index := map[string]int{} // there may be thousands
	for i, s := range c.Streams {
		index[s.Name] = i
	}
	return dict{
		check: checkStreamName,
		entry: func(name string) rule {
			i, ok := index[name]
			if !ok {
				s := c.StreamDefaults
				s.Name, s.Quality = name, slices.Clone(s.Quality)
				c.Streams, i = append(c.Streams, s), len(c.Streams)
				index[name] = i
			}
			return c.Streams[i].schema()
		},
		names: func() []string {
			var names []string
			for _, s := range c.Streams {
				names = append(names, s.Name)
			}
			return names
		},
	}
}

// users is the list of users; they are told apart by name.
func (c *Config) users() records {
	return records{
		key: "name",
		add: func() section {
			c.Users = append(c.Users, defaultUser())
			return c.Users[len(c.Users)-1].schema()
		},
		at:   func(i int) section { return c.Users[i].schema() },
		size: func() int { return len(c.Users) },
	}
}
