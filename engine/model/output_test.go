package model_test

import (
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	ort "github.com/yalue/onnxruntime_go"

	"rave/engine/model"
)

// Each shipped network makes of a fixed frame what it made when it was exported: a wrong file, a changed graph and an
// ONNX Runtime that computes something else all show. Processors round differently: single pixels may differ by 2 levels.
func TestOutputs(t *testing.T) {
	library := filepath.Join("..", "..", ".build", "lib", "libonnxruntime.so")
	if _, err := os.Stat(library); err != nil {
		if os.Getenv("RAVE_REQUIRE_PEERS") != "" {
			t.Fatalf("no ONNX Runtime (make setup fetches it): %v", err)
		}
		t.Skipf("no ONNX Runtime (make setup fetches it): %v", err)
	}
	t.Setenv("ORT_DISABLE_TELEMETRY", "1")
	ort.SetSharedLibraryPath(library)
	if err := ort.InitializeEnvironment(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ort.DestroyEnvironment(); err != nil {
			t.Error(err)
		}
	})
	frame := gray(t, "frame")
	for _, name := range model.Names() {
		t.Run(name, func(t *testing.T) {
			n, _ := model.Embedded(name)
			want := gray(t, name)
			got := output(t, n, frame)
			if got.Rect != want.Rect {
				t.Fatalf("%v, want %v", got.Rect, want.Rect)
			}
			largest, sum := 0, 0
			for i := range want.Pix {
				d := int(got.Pix[i]) - int(want.Pix[i])
				largest, sum = max(largest, d, -d), sum+max(d, -d)
			}
			if mean := float64(sum) / float64(len(want.Pix)); largest > 2 || mean > 0.05 {
				t.Errorf("differs from testdata/%s.png by up to %d levels, %.3f on average", name, largest, mean)
			}
		})
	}
}

// output runs a luma network on a picture.
func output(t *testing.T, n model.Network, in *image.Gray) *image.Gray {
	t.Helper()
	inputs, outputs, err := ort.GetInputOutputInfoWithONNXData(n.Data)
	if err != nil {
		t.Fatal(err)
	}
	session, err := ort.NewDynamicAdvancedSessionWithONNXData(n.Data, []string{inputs[0].Name}, []string{outputs[0].Name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := session.Destroy(); err != nil {
			t.Error(err)
		}
	}()
	w, h := in.Rect.Dx(), in.Rect.Dy()
	feed, err := ort.NewTensor(ort.NewShape(1, 1, int64(h), int64(w)), in.Pix)
	if err != nil {
		t.Fatal(err)
	}
	made := []ort.Value{nil}
	if err := session.Run([]ort.Value{feed}, made); err != nil {
		t.Fatal(err)
	}
	result, ok := made[0].(*ort.Tensor[uint8])
	if !ok {
		t.Fatalf("the output is a %T", made[0])
	}
	shape := result.GetShape()
	out := image.NewGray(image.Rect(0, 0, int(shape[3]), int(shape[2])))
	copy(out.Pix, result.GetData())
	for _, v := range []ort.Value{feed, result} {
		if err := v.Destroy(); err != nil {
			t.Error(err)
		}
	}
	return out
}

// gray reads testdata/name.png.
func gray(t *testing.T, name string) *image.Gray {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".png"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	g, ok := picture.(*image.Gray)
	if !ok {
		t.Fatalf("testdata/%s.png is a %T, not grey", name, picture)
	}
	return g
}
