package config

import (
	"testing"
)

func TestEnvironmentWinsOverTheFile(t *testing.T) {
	file := `
log: {level: warn}
models: {my-x2: a.onnx}
users: [{name: alice.b, password: old}]
streams:
  front-door: {source: rtsp://u:old@cam, output: {max: 1280x720}}
  Front_door2: {source: publish}
`
	c := parse(t, file,
		"HOME=/root", "RAVE_CACHE=/var/cache", "RAVE_SERVICE_HOST=10.0.0.1", "RAVE_PORT_8554_TCP=tcp://10.0.0.1:8554",
		"RAVE_LOG_LEVEL=error", "RAVE_RTSP_RTP_PORT=9000", "RAVE_MODELS_MY_X2=b.onnx", "RAVE_MODELS_NEW=c.onnx",
		"RAVE_USERS_ALICE_B_PASSWORD=new", "RAVE_USERS_ALICE_B_PERMISSIONS=read, status",
		"RAVE_STREAMS_FRONT_DOOR_PASSWORD=p=1,2", "RAVE_STREAMS_FRONT_DOOR_OUTPUT_SCALE=3",
		"RAVE_STREAMS_FRONT_DOOR_QUALITY=lanczos", "RAVE_STREAMS_FRONT_DOOR2_ENCODE_BITRATE=4M",
		"RAVE_STREAM_DEFAULTS_QUALITY=my-x2,lanczos", "RAVE_STREAMS_BACK_DOOR_SOURCE=rtsp://cam2",
		"RAVE_STREAMS_BACK_DOOR_RECONNECT_MAX=1m", "RAVE_ONNXRUNTIME_LIBRARY=")
	front, second, back := c.Streams[0], c.Streams[1], c.Streams[2]
	for _, v := range []struct {
		what string
		got  any
		want any
	}{
		{"level", c.Log.Level.String(), "ERROR"},
		{"rtp_port", c.RTSP.RTPPort, Port(9000)},
		{"model replaced", c.Models["my-x2"], "b.onnx"},
		{"model added", c.Models["new"], "c.onnx"},
		{"user's password", string(c.Users[0].Password), "new"},
		{"user's permissions", c.Users[0].May(PermStatus, ""), true},
		{"camera's user", front.Username, "u"},
		{"camera's password", string(front.Password), "p=1,2"},
		{"scale", front.Output, Output{3, Size{1280, 720}}},
		{"quality", front.Quality[0], "lanczos"},
		{"bitrate", second.Encode.Bitrate, Bitrate(4e6)},
		{"default quality", second.Quality[0], "my-x2"},
		{"stream added", back.Name + " " + back.Source.URL(), "back_door rtsp://cam2"},
		{"its reconnect", back.Reconnect.Max.String(), "1m0s"},
	} {
		if v.got != v.want {
			t.Errorf("%s: %v, want %v", v.what, v.got, v.want)
		}
	}
}

func TestBadVariables(t *testing.T) {
	file := "users: [{name: a, password: secret}]\n" +
		"streams:\n  cam-1: {source: publish}\n  cam.1: {source: publish}\n  cam2: {source: rtsp://host}"
	for _, c := range []struct{ variable, want string }{
		{"RAVE_LOG_LEVEL=loud", `RAVE_LOG_LEVEL: log.level: "loud" is not a log level; use debug, info, warn or error`},
		{"RAVE_LOG_LEVEL=", `RAVE_LOG_LEVEL: log.level: "" is not a log level; use debug, info, warn or error`},
		{"RAVE_RTSP_LISTN=:1", `RAVE_RTSP_LISTN: unknown variable; did you mean RAVE_RTSP_LISTEN?`},
		{"RAVE_STREAMS_CAM2_OUTPUT_SCALES=2", `RAVE_STREAMS_CAM2_OUTPUT_SCALES: unknown variable; did you mean ` +
			`RAVE_STREAMS_CAM2_OUTPUT_SCALE?`},
		{"RAVE_STREAMS_GARDEN_PASSWORD=secret", `RAVE_STREAMS_GARDEN_PASSWORD: unknown variable; set the stream's ` +
			`source in the file or by RAVE_STREAMS_NAME_SOURCE`},
		{"RAVE_STREAMS_CAM_1_STRICT=true", `RAVE_STREAMS_CAM_1_STRICT: may mean streams.cam-1.strict or ` +
			`streams.cam.1.strict; set it in the file`},
		{"RAVE_STREAMS_CAM2_SOURCE=rtsp://a:secret", `RAVE_STREAMS_CAM2_SOURCE: streams.cam2.source: "rtsp://a:***" ` +
			`has no valid host; use rtsp://HOST/PATH or rtsp://HOST:PORT/PATH (write a / in the password as %2F, or ` +
			`use the keys username and password)`},
		{"RAVE_STREAMS_CAM2_PASSWORD=", `RAVE_STREAMS_CAM2_PASSWORD: streams.cam2.password: is empty; leave the key ` +
			`out, or quote a value that begins with a special character`},
		{"RAVE_STREAMS_ORIGINAL_SOURCE=publish", `RAVE_STREAMS_ORIGINAL_SOURCE: streams: "original" is not free as ` +
			`the name of a stream: NAME/original is the path of the untouched picture`},
		{"RAVE_STREAMS_CAM2_QUALITY=a,b c", `RAVE_STREAMS_CAM2_QUALITY: streams.cam2.quality[1]: "b c" is not the name ` +
			`of an enhancer; use up to 64 letters, digits, -, _ and ., beginning with a letter or digit`},
		{"RAVE_STREAMS_CAM2_QUALITY=", `RAVE_STREAMS_CAM2_QUALITY: streams.cam2.quality: is empty; name at least one ` +
			`enhancer, such as lanczos`},
		{"RAVE_USERS_A_PASSWORD=\xff", `RAVE_USERS_A_PASSWORD: users[0].password: holds bytes that are not text`},
		{"RAVE_USERS_B_PASSWORD=secret", `RAVE_USERS_B_PASSWORD: unknown variable; did you mean RAVE_USERS_A_PASSWORD?`},
		{"RAVE_MODELS_X=x.pt", `RAVE_MODELS_X: models.x: "x.pt" is not a model file; use the path of an .onnx file`},
		{"RAVE_VERBOSE=1", `RAVE_VERBOSE: unknown variable; the name is RAVE_ and the key's path, such as ` +
			`RAVE_RTSP_LISTEN`},
	} {
		_, err := Parse([]byte(file), "rave.yaml", []string{c.variable})
		if err == nil || err.Error() != c.want {
			t.Errorf("%s:\ngot  %v\nwant %s", c.variable, err, c.want)
		}
	}
	if _, err := Parse(nil, "", []string{"RAVE_VERBOSE=1"}, "RAVE_VERBOSE"); err != nil {
		t.Errorf("a reserved variable: %v", err)
	}
}

// TestEveryKeyHasAVariable sets each key of the schema through the environment to what it is already.
func TestEveryKeyHasAVariable(t *testing.T) {
	c := parse(t, "users: [{name: '*', password: p}]\nmodels: {m: m.onnx}\nstreams: {s: {source: publish}}")
	index := map[string]bool{}
	for _, l := range c.schema().leaves(nil) {
		if index[l.env] {
			t.Errorf("two keys are called RAVE_%s", l.env)
		}
		index[l.env] = true
	}
}
