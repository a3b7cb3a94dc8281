package worker_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"rave/engine/worker"
)

// TestWorkerHasNoSettings: a worker that runs has nothing of RAVE's settings in its environment, so no camera's password,
// and everything else.
func TestWorkerHasNoSettings(t *testing.T) {
	const secret = "pass-in-the-environment"
	t.Setenv("RAVE_STREAMS_CAM_PASSWORD", secret)
	t.Setenv("RAVE_STREAMS_CAM_SOURCE", "rtsp://admin:"+secret+"@192.0.2.10/")
	t.Setenv("NOT_RAVES", "kept")
	track, packets := footage(t, 10, 10, 1)
	r := inWorker(t, track, spec{}, func(c *worker.Config) { c.Env = append(c.Env, "RAVE_ADDED=on purpose") })
	r.step(packets[0])
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", r.client.PID()))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), secret) {
		t.Error("the worker has a camera's password")
	}
	list := strings.Split(string(data), "\x00")
	for _, v := range list {
		if strings.HasPrefix(v, "RAVE_") && v != "RAVE_ADDED=on purpose" {
			t.Errorf("the worker has %s", v)
		}
	}
	for _, v := range []string{"NOT_RAVES=kept", "RAVE_ADDED=on purpose", "PATH=" + os.Getenv("PATH")} {
		if !slices.Contains(list, v) {
			t.Errorf("the worker lacks %s", v)
		}
	}
}
