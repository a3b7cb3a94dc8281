package config

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// bad files and the exact message of each. key is the path of the key that it is about, with * for names and items.
var bad = []struct{ key, file, want string }{
	{"log.level", "log: {level: loud}",
		`rave.yaml:1: log.level: "loud" is not a log level; use debug, info, warn or error`},
	{"log.format", "log:\n  format: xml",
		`rave.yaml:2: log.format: "xml" is not a log format; use text or json`},
	{"rtsp.listen", "rtsp: {listen: 8554}",
		`rave.yaml:1: rtsp.listen: "8554" is not a listen address; use HOST:PORT, such as 127.0.0.1:8554, or :8554 for ` +
			`every interface`},
	{"rtsp.listen", "rtsp: {listen: 127.0.0.1:99999}",
		`rave.yaml:1: rtsp.listen: "127.0.0.1:99999" is not a listen address; use HOST:PORT, such as 127.0.0.1:8554, ` +
			`or :8554 for every interface`},
	{"rtsp.listen", "rtsp: {listen: 0.0.0.0:8554}",
		`rave.yaml:1: rtsp.listen: "0.0.0.0:8554" can be reached from other machines, but nobody needs to log in; add ` +
			`users, or write auth: none if that is meant`},
	{"rtsp.udp", "rtsp: {udp: yes}",
		`rave.yaml:1: rtsp.udp: "yes" is neither true nor false`},
	{"rtsp.rtp_port", "rtsp: {rtp_port: 8001}",
		`rave.yaml:1: rtsp.rtp_port: "8001" is not a port for RTP; use auto, or an even number from 1024 to 65534 ` +
			`(RTCP is on the next port)`},
	{"http.listen", "http: {listen: 'http://localhost:80'}",
		`rave.yaml:1: http.listen: "http://localhost:80" is not a listen address; use HOST:PORT, such as ` +
			`127.0.0.1:8080, or :8080 for every interface`},
	{"http.listen", "http:\n  listen: :8080",
		`rave.yaml:2: http.listen: ":8080" can be reached from other machines, but nobody needs to log in; add users, ` +
			`or write auth: none if that is meant`},
	{"http.listen", "http: {listen: 127.0.0.1:8554}",
		`rave.yaml:1: http.listen: "127.0.0.1:8554" is rtsp.listen as well; use another port`},
	{"webrtc.listen", "webrtc: {listen: udp}",
		`rave.yaml:1: webrtc.listen: "udp" is not a listen address; use HOST:PORT, such as 127.0.0.1:8189, or :8189 for ` +
			`every interface`},
	{"webrtc.tcp_listen", "webrtc: {tcp_listen: 8189}",
		`rave.yaml:1: webrtc.tcp_listen: "8189" is not a listen address; use HOST:PORT, such as 127.0.0.1:8189, or ` +
			`:8189 for every interface`},
	{"webrtc.ice_servers.*.urls", "webrtc: {ice_servers: [{urls: [http://a]}]}",
		`rave.yaml:1: webrtc.ice_servers[0].urls[0]: "http://a" is not the URL of an ICE server; use stun:HOST:PORT, ` +
			`turn:HOST:PORT?transport=udp or turns:HOST:PORT`},
	{"webrtc.ice_servers.*.urls", "webrtc:\n  ice_servers:\n  - {username: a}",
		`rave.yaml:3: webrtc.ice_servers[0].urls: is missing; name at least one, such as stun:stun.example.com:3478`},
	{"webrtc.ice_servers.*.username", "webrtc: {ice_servers: [{urls: ['stun:a'], username: [b]}]}",
		`rave.yaml:1: webrtc.ice_servers[0].username: is a list where a single value belongs`},
	{"webrtc.ice_servers.*.credential", "webrtc: {ice_servers: [{urls: ['turn:a'], username: b}]}",
		`rave.yaml:1: webrtc.ice_servers[0].credential: is missing; TURN servers want username and credential`},
	{"webrtc.public_addresses", "webrtc: {public_addresses: [example.com]}",
		`rave.yaml:1: webrtc.public_addresses[0]: "example.com" is not an IP address; use one that viewers can reach, ` +
			`such as 203.0.113.7`},
	{"webrtc.max_viewers", "webrtc: {max_viewers: -1}",
		`rave.yaml:1: webrtc.max_viewers: "-1" is not a number of viewers; use 0 for none, or 1 to 10000`},
	{"http.tls.certificate", "http: {tls: {certificate: a.pem}}",
		`rave.yaml:1: http.tls: needs both certificate and key: set both, or none for plain HTTP`},
	{"http.tls.key", "http:\n  tls:\n    key: [a.pem]",
		`rave.yaml:3: http.tls.key: is a list where a single value belongs`},
	{"http.hosts", "http: {hosts: ['rave.example.org:8080']}",
		`rave.yaml:1: http.hosts[0]: "rave.example.org:8080" is not the name of a host; use one such as rave.example.org, without ` +
			`scheme and port`},
	{"http.hosts", "http: {hosts: ['*.example.org']}",
		`rave.yaml:1: http.hosts[0]: "*.example.org" is not the name of a host; use one such as rave.example.org, without scheme and port`},
	{"http.hosts", "http: {hosts: ['https://rave.example.org']}",
		`rave.yaml:1: http.hosts[0]: "https://rave.example.org" is not the name of a host; use one such as rave.example.org, without ` +
			`scheme and port`},
	{"http.origins", "http: {origins: ['https://example.org/']}",
		`rave.yaml:1: http.origins[0]: "https://example.org/" is not an origin; use SCHEME://HOST or SCHEME://HOST:PORT without a ` +
			`slash behind it, such as https://example.org, or "*" for every site`},
	{"http.origins", "http: {origins: [example.org]}",
		`rave.yaml:1: http.origins[0]: "example.org" is not an origin; use SCHEME://HOST or SCHEME://HOST:PORT without a slash ` +
			`behind it, such as https://example.org, or "*" for every site`},
	{"auth", "auth: nobody",
		`rave.yaml:1: auth: "nobody" is not a kind of authentication; use users or none`},
	{"auth", "auth: none\nusers: [{name: a, password: secret}]",
		`rave.yaml:1: auth: "none" leaves users without effect; remove one of the two`},
	{"users.*.name", "users: [{name: 'a:b', password: secret}]",
		`rave.yaml:1: users[0].name: "a:b" is not a user name; it is at least one character, without colons and ` +
			`control characters`},
	{"users.*.name", "users:\n- {password: secret}",
		`rave.yaml:2: users[0].name: is missing`},
	{"users.*.name", "users:\n- {name: a, password: secret}\n- {name: a, password: secret}",
		`rave.yaml:3: users[1].name: "a" is the name of two users`},
	{"users.*.password", "users:\n- name: a\n  password: ''",
		`rave.yaml:3: users[0].password: is empty; leave the key out, or quote a value that begins with a special ` +
			`character`},
	{"users.*.password", "users:\n- name: a\n  password: #secret",
		`rave.yaml:3: users[0].password: has no value; quote a value that begins with #, or leave the key out for the ` +
			`default`},
	{"users.*.password", "users:\n- name: a\n  password: !secret",
		`rave.yaml:3: users[0].password: has a YAML tag; quote a value that begins with !`},
	{"users.*.password", "users:\n- name: a\n  password: *secret",
		`rave.yaml:3: not valid YAML: unknown anchor; quote a value that begins with *`},
	{"users.*.password", "users:\n- name: a\n",
		`rave.yaml:2: users[0].password: is missing; set password, password_hash as rave password prints it, or token_hash as ` +
			`rave token does`},
	{"users.*.token_hash", "users:\n- name: a\n  token_hash: secret",
		`rave.yaml:3: users[0].token_hash: *** is not the hash of a token; make both with rave token`},
	{"users.*.token_hash", "users:\n- name: a\n  token_hash: " + strings.ToUpper(HashToken("secret")),
		`rave.yaml:3: users[0].token_hash: *** is not the hash of a token; make both with rave token`},
	{"users.*.token_hash", "users:\n- {name: a, token_hash: " + HashToken("x") + "}\n- {name: b, token_hash: " + HashToken("x") + "}",
		`rave.yaml:3: users[1].token_hash: is that of another user as well; make one for each with rave token`},
	{"users.*.password_hash", "users: [{name: a, password_hash: secret}]",
		`rave.yaml:1: users[0].password_hash: *** is not a bcrypt hash; make one with rave password`},
	{"users.*.password_hash", "users:\n- name: a\n  password: secret\n" +
		"  password_hash: $2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		`rave.yaml:4: users[0].password_hash: stands beside password; keep one of the two`},
	{"users.*.permissions", "users: [{name: a, password: secret, permissions: [read, write]}]",
		`rave.yaml:1: users[0].permissions[1]: "write" is not a permission; use read, publish, status or admin`},
	{"users.*.permissions", "users: [{name: a, password: secret, permissions: []}]",
		`rave.yaml:1: users[0].permissions: is empty; give at least one of read, publish, status and admin`},
	{"users.*.streams", "users:\n- name: a\n  password: secret\n  streams: [cam1, cam2]\n" +
		"streams: {cam1: {source: publish}}",
		`rave.yaml:4: users[0].streams[1]: "cam2" is not one of streams; did you mean cam1?`},
	{"users.*.streams", "users:\n- name: a\n  password: secret\n  streams: all",
		`rave.yaml:4: users[0].streams: is a single value where a list belongs`},
	{"workers", "workers: maybe",
		`rave.yaml:1: workers: "maybe" is not a way of running streams; use on or off`},
	{"limits.worker_memory", "limits: {worker_memory: 2}",
		`rave.yaml:1: limits.worker_memory: "2" is not a size of memory; use auto, or 256M to 1024G, such as 800M or 4G`},
	{"limits.worker_memory", "limits: {worker_memory: 64M}",
		`rave.yaml:1: limits.worker_memory: "64M" is not a size of memory; use auto, or 256M to 1024G, such as 800M or 4G`},
	{"cpu.threads", "cpu: {threads: -1}",
		`rave.yaml:1: cpu.threads: "-1" is not a number of threads; use 0 for all cores, or 1 to 1024`},
	{"rtsp.max_connections", "rtsp: {max_connections: 1}",
		`rave.yaml:1: rtsp.max_connections: "1" is not a number of connections; use 2 to 65536`},
	{"onnxruntime.library", "onnxruntime: {library: [a.so]}",
		`rave.yaml:1: onnxruntime.library: is a list where a single value belongs`},
	{"models.*", "models: {mine: mine.pt}",
		`rave.yaml:1: models.mine: "mine.pt" is not a model file; use the path of an .onnx file`},
	{"models.*", "models: {lanczos: mine.onnx}",
		`rave.yaml:1: models: "lanczos" is not free as the name of a model: it is the built-in resampler`},
	{"models.*", "models: {a b: mine.onnx}",
		`rave.yaml:1: models: "a b" is not the name of a model; use up to 64 letters, digits, -, _ and ., beginning ` +
			`with a letter or digit`},
	{"streams.*.source", "streams:\n  cam1:\n    source: http://u:secret@host/",
		`rave.yaml:3: streams.cam1.source: "http://***@host/" is not a source; use rtsp://HOST/PATH, ` +
			`rtsps://HOST/PATH or publish`},
	{"streams.*.source", "streams:\n  cam1:\n    source: rtsp://u:sec/ret@host/live",
		`rave.yaml:3: streams.cam1.source: "rtsp://***@host/live" has an @ behind the first /; write a / in the ` +
			`password as %2F (or use the keys username and password), and an @ in the path as %40`},
	{"streams.*.source", "streams:\n  cam1:\n    source: rtsp://u:secret",
		`rave.yaml:3: streams.cam1.source: "rtsp://u:***" has no valid host; use rtsp://HOST/PATH or ` +
			`rtsp://HOST:PORT/PATH (write a / in the password as %2F, or use the keys username and password)`},
	{"streams.*.source", "streams:\n  cam1:\n    source: u:secret@host/live",
		`rave.yaml:3: streams.cam1.source: "***@host/live" is not a source; use rtsp://HOST/PATH, rtsps://HOST/PATH ` +
			`or publish`},
	{"streams.*.source", "streams:\n  cam1: {source: rtsp:///live}",
		`rave.yaml:2: streams.cam1.source: "rtsp:///live" has no valid host; use rtsp://HOST/PATH or ` +
			`rtsp://HOST:PORT/PATH (write a / in the password as %2F, or use the keys username and password)`},
	{"streams.*.source", "streams:\n  cam1:\n    source: rtsp://host/%zz?password=secret",
		`rave.yaml:3: streams.cam1.source: "rtsp://host/%zz?password=***" is not a URL; write special characters in ` +
			`its path as %XX`},
	{"streams.*.source", "streams:\n  cam1:\n    transport: tcp",
		`rave.yaml:3: streams.cam1.source: is missing; use rtsp://HOST/PATH, rtsps://HOST/PATH or publish`},
	{"streams.*.source", "streams:\n  cam1:",
		`rave.yaml:2: streams.cam1.source: is missing; use rtsp://HOST/PATH, rtsps://HOST/PATH or publish`},
	{"streams.*.username", "streams: {cam1: {source: publish, username: a}}",
		`rave.yaml:1: streams.cam1.username: does not belong to a published stream; who may publish is in users`},
	{"streams.*.username", "streams: {cam1: {source: rtsp://host, username: ''}}",
		`rave.yaml:1: streams.cam1.username: is empty; leave the key out, or quote a value that begins with a special ` +
			`character`},
	{"streams.*.password", "streams: {cam1: {source: publish, password: secret}}",
		`rave.yaml:1: streams.cam1.password: does not belong to a published stream; who may publish is in users`},
	{"streams.*.password", "streams: {cam1: {source: rtsp://host, password: {secret: 1}}}",
		`rave.yaml:1: streams.cam1.password: is a mapping (key: value) where a single value belongs`},
	{"options.transport", "transport: quic", `transport: "quic" is not a transport; use auto, udp or tcp`},
	{"options.video_timeout", "video_timeout: 5", `video_timeout: "5" is not a duration; use a number with a unit, ` +
		`such as 500ms, 5s or 1m30s`},
	{"options.video_timeout", "video_timeout: 1h", `video_timeout: "1h" is out of range; use 500ms to 10m`},
	{"options.reconnect.min", "reconnect: {min: 1ms}", `reconnect.min: "1ms" is out of range; use 100ms to 1h`},
	{"options.reconnect.min", "reconnect: {min: 20s}", `reconnect.min: "20s" is more than reconnect.max, "15s"`},
	{"options.reconnect.max", "reconnect: {max: 2h}", `reconnect.max: "2h" is out of range; use 100ms to 1h`},
	{"options.deinterlace", "deinterlace: on", `deinterlace: "on" is not a way to deinterlace; use auto or off`},
	{"options.quality", "quality: []", `quality: is empty; name at least one enhancer, such as lanczos`},
	{"options.quality", "quality: [lanczos, lanczos]", `quality[1]: "lanczos" is in the list twice`},
	{"options.quality", "quality: [a/b]", `quality[0]: "a/b" is not the name of an enhancer; use up to 64 letters, ` +
		`digits, -, _ and ., beginning with a letter or digit`},
	{"options.strict", "strict: 1", `strict: "1" is neither true nor false`},
	{"options.output.scale", "output: {scale: 5x}", `output.scale: "5x" is not a scale; use auto, 1, 1.5, 2, 3 or 4`},
	{"options.output.max", "output: {max: 4k}", `output.max: "4k" is not a size; use WIDTHxHEIGHT in pixels, 16 to ` +
		`16384 each, such as 3840x2160`},
	{"options.hold_last_frame", "hold_last_frame: 2h", `hold_last_frame: "2h" is out of range; use 0s to 1h`},
	{"options.on_demand", "on_demand: always", `on_demand: "always" is neither true nor false`},
	{"options.on_demand_linger", "on_demand_linger: 25h", `on_demand_linger: "25h" is out of range; use 0s to 24h`},
	{"options.max_pixels", "max_pixels: 3840x2160", `max_pixels: "3840x2160" is not a number of pixels; use 76800 (320x240) ` +
		`to 268435456 (16384x16384)`},
	{"options.max_pixels", "max_pixels: 76799", `max_pixels: "76799" is not a number of pixels; use 76800 (320x240) to ` +
		`268435456 (16384x16384)`},
	{"options.max_pixels", "max_pixels: 268435457", `max_pixels: "268435457" is not a number of pixels; use 76800 (320x240) ` +
		`to 268435456 (16384x16384)`},
	{"options.encode.codec", "encode: {codec: av1}", `encode.codec: "av1" is not a codec; use h264`},
	{"options.encode.preset", "encode: {preset: warp}", `encode.preset: "warp" is not a preset; use ultrafast, ` +
		`superfast, veryfast, faster, fast, medium, slow, slower or veryslow`},
	{"options.encode.bitrate", "encode: {bitrate: 4}", `encode.bitrate: "4" is not a bitrate; use auto, or bits per ` +
		`second from 16k to 500M, such as 800k or 4M`},
	{"options.encode.gop", "encode: {gop: 0s}", `encode.gop: "0s" is out of range; use 100ms to 1m`},
}

func TestBadValues(t *testing.T) {
	for _, b := range bad {
		if !strings.HasPrefix(b.key, "options.") {
			checkError(t, b.file, b.want)
			continue
		}
		checkError(t, "stream_defaults:\n  "+b.file, "rave.yaml:2: stream_defaults."+b.want)
		checkError(t, "streams:\n  cam1:\n    source: rtsp://host\n    "+b.file, "rave.yaml:4: streams.cam1."+b.want)
	}
}

func checkError(t *testing.T, file, want string) {
	t.Helper()
	_, err := Parse([]byte(file), "rave.yaml", nil)
	if err == nil {
		t.Errorf("accepted, want %s\n%s", want, file)
	} else if err.Error() != want {
		t.Errorf("file:\n%s\ngot  %s\nwant %s", file, err, want)
	}
	if err != nil && strings.Contains(err.Error(), "secret") {
		t.Errorf("the error tells the secret: %s", err)
	}
}

// TestEveryKeyHasABadValue walks the schema: a new key without a line above fails here.
func TestEveryKeyHasABadValue(t *testing.T) {
	shared := regexp.MustCompile(`^(stream_defaults|streams\.\*)\.`)
	for _, l := range Default().schema().leaves(nil) {
		path := pathString(l.path)
		covered := func(b struct{ key, file, want string }) bool {
			return b.key == path || b.key == shared.ReplaceAllString(path, "options.")
		}
		if !slices.ContainsFunc(bad, covered) {
			t.Errorf("no bad value is tested for %s", path)
		}
	}
}

func TestBadFiles(t *testing.T) {
	for _, b := range []struct{ name, file, want string }{
		{"unknown section", "rstp: {}", `rave.yaml:1: rstp: unknown key; did you mean rtsp?`},
		{"unknown key", "\nrtsp:\n  lisen: a", `rave.yaml:3: rtsp.lisen: unknown key; did you mean listen?`},
		{"key one level up", "stream_defaults: {bitrate: 4M}",
			`rave.yaml:1: stream_defaults.bitrate: unknown key; did you mean encode.bitrate?`},
		{"nothing near", "cpu: {affinity: 1}", `rave.yaml:1: cpu.affinity: unknown key; known here: threads`},
		{"credentials are not defaults", "stream_defaults: {password: secret}",
			`rave.yaml:1: stream_defaults.password: unknown key; known here: transport, video_timeout, reconnect, ` +
				`hold_last_frame, on_demand, on_demand_linger, deinterlace, quality, strict, output, max_pixels, encode`},
		{"key twice", "cpu: {threads: 1}\nlog: {}\ncpu: {threads: 2}", `rave.yaml:3: cpu: given twice, first in line 1`},
		{"stream twice", "streams:\n  a: {source: publish}\n  a: {source: publish}",
			`rave.yaml:3: streams.a: given twice, first in line 2`},
		{"stream name", "streams: {a/b: {source: publish}}", `rave.yaml:1: streams: "a/b" is not the name of a stream; ` +
			`use up to 64 letters, digits, -, _ and ., beginning with a letter or digit`},
		{"reserved stream name", "streams: {original: {source: publish}}", `rave.yaml:1: streams: "original" is not ` +
			`free as the name of a stream: NAME/original is the path of the untouched picture`},
		{"name of a page", "streams: {Metrics: {source: publish}}", `rave.yaml:1: streams: "Metrics" is not free as the name of a ` +
			`stream: /Metrics is a page of the HTTP server; choose another name`},
		{"name of a page's file", "streams: {page.css: {source: publish}}", `rave.yaml:1: streams: "page.css" is not free as the ` +
			`name of a stream: /page.css is a page of the HTTP server; choose another name`},
		{"dots", "streams: {..: {source: publish}}", `rave.yaml:1: streams: ".." is not the name of a stream; ` +
			`use up to 64 letters, digits, -, _ and ., beginning with a letter or digit`},
		{"scalar for a section", "rtsp: rtsp://a:secret@host", `rave.yaml:1: rtsp: is a single value where a mapping ` +
			`(key: value) belongs`},
		{"list for a section", "streams: [{source: publish}]", `rave.yaml:1: streams: is a list where a mapping ` +
			`(key: value) belongs`},
		{"scalar at the top", "rtsp://a:secret@host", `rave.yaml:1: is a single value where a mapping (key: value) ` +
			`belongs`},
		{"mapping for a list", "users: {a: {password: secret}}", `rave.yaml:1: users: is a mapping (key: value) where ` +
			`a list belongs`},
		{"syntax", "log:\n  level: a: b", `rave.yaml:2: not valid YAML: mapping values are not allowed in this ` +
			`context (quote values with special characters)`},
		{"special first character", "users:\n- name: a\n  password: @secret", `rave.yaml:3: not valid YAML: found ` +
			`character that cannot start any token (quote values with special characters)`},
		{"merge", "x: &x {threads: 1}\ncpu: {<<: *x}", "rave.yaml:1: x: unknown key; known here: log, rtsp, http, webrtc, " +
			"auth, users, cpu, workers, limits, onnxruntime, models, stream_defaults, streams\n" +
			"rave.yaml:2: cpu: only plain keys are understood; to share settings use stream_defaults"},
		{"second document", "cpu: {}\n---\ncpu: {}", `rave.yaml:2: a second document begins; keep everything in one`},
		{"control characters", "log: {level: \"a\\0b\"}", `rave.yaml:1: log.level: holds bytes that are not text`},
		{"long value", "log: {level: " + strings.Repeat("x", 100) + "}", `rave.yaml:1: log.level: "` +
			strings.Repeat("x", 60) + `…" is not a log level; use debug, info, warn or error`},
		{"URL at the wrong key", "rtsp: {listen: 'rtsp://a:secret@host'}", `rave.yaml:1: rtsp.listen: ` +
			`"rtsp://***@host" is not a listen address; use HOST:PORT, such as 127.0.0.1:8554, or :8554 for every ` +
			`interface`},
		{"all errors, in the order of the file", "streams:\n  a:\n    source: ftp://a\n    output: {scale: 9}\n" +
			"log: {level: x}", "rave.yaml:3: streams.a.source: \"ftp://a\" is not a source; use rtsp://HOST/PATH, " +
			"rtsps://HOST/PATH or publish\n" +
			"rave.yaml:4: streams.a.output.scale: \"9\" is not a scale; use auto, 1, 1.5, 2, 3 or 4\n" +
			"rave.yaml:5: log.level: \"x\" is not a log level; use debug, info, warn or error"},
		{"no errors that follow from others", "users: 5\nrtsp: {listen: 0.0.0.0:1}",
			`rave.yaml:1: users: is a single value where a list belongs`},
	} {
		t.Run(b.name, func(t *testing.T) { checkError(t, b.file, b.want) })
	}
}
