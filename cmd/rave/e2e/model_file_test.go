package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rave/bench/camera"
)

// A model whose file RAVE may not read costs its stream that entry of quality and nothing else, and the log and the
// status say what to do.
func TestUnreadableModel(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	path := filepath.Join(t.TempDir(), "private.onnx")
	data, err := os.ReadFile(filepath.Join(shared.root, "engine", "model", "testdata", "luma-copy-x2.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0); err != nil {
		t.Fatal(err)
	}
	cam := startCamera(ctx, t, camera.Config{})
	p := serve(ctx, t, settings{
		models:  fmt.Sprintf("  private: %q", path),
		streams: fmt.Sprintf("  cam: {source: %q, quality: [private, lanczos]}", cam.URL),
		shell:   obedient(t),
	})
	p.serves(ctx, "cam")
	wait(ctx, t, watch(t, p.url("cam"), "tcp"), 3)
	p.says(ctx, `ERROR.*a model cannot be read.*model=private.*private\.onnx: permission denied; let the user that RAVE runs as read it`)
	p.says(ctx, `ERROR.*stream=cam.*enhancer=private.*permission denied`)
	s := p.until(ctx, "cam", "the reason", func(s streamStatus) bool { return s.Enhancers[0].Reason != "" })
	if why := s.Enhancers[0].Reason; s.Enhancer != "lanczos" || !strings.Contains(why, path+": permission denied; let the user") {
		t.Errorf("the status is %+v", s)
	}
}

// obedient is a shell command that starts the program without the right of root to read every file.
func obedient(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		return "" // nobody else has it
	}
	if _, err := exec.LookPath("setpriv"); err != nil {
		if os.Getenv("RAVE_REQUIRE_PEERS") == "1" {
			t.Fatalf("find setpriv: %v (it comes with util-linux)", err)
		}
		t.Skipf("root may read every file, and without setpriv the program cannot be kept from it: %v", err)
	}
	return `exec setpriv --inh-caps=-dac_override,-dac_read_search --bounding-set=-dac_override,-dac_read_search "$0" "$@"`
}
