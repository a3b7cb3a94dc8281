package camera

import (
	"slices"
	"testing"
	"time"
)

func TestClockSteps(t *testing.T) {
	var s Steps
	if err := s.Set("2:3h,4:stop,6:-3h"); err != nil || s.String() != "2:3h0m0s,4:stop,6:-3h0m0s" {
		t.Fatalf("%v, %v", s, err)
	}
	var got []time.Duration
	var shown time.Duration
	for n := range int64(8) {
		got = append(got, s.at(n, time.Duration(n)*time.Second, &shown))
	}
	const h = 3 * time.Hour
	want := []time.Duration{0, 1e9, h + 2e9, h + 3e9, h + 3e9, h + 3e9, 6e9, 7e9}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, bad := range []string{"", "x:stop", "1:soon", "1"} {
		if s.Set(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
