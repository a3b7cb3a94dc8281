package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	web "rave/egress/http"
	"rave/engine/media"
)

func TestOnScreen(t *testing.T) {
	var o onScreen
	var st web.Stream
	if o.tell(&st); len(st.Made) != 0 || st.Captured != nil {
		t.Errorf("before the first picture: %+v", st)
	}
	arrival, shutter := time.Unix(1000, 0), time.Unix(999, 5e8)
	o.add(10, media.Packet{Enhancer: "lanczos", Arrival: arrival})
	o.tell(&st)
	if c := st.Captured; c == nil || c.RTP != 10 || !c.Time.Equal(arrival) || c.Clock != "arrival" {
		t.Errorf("without the camera's clock: %+v", c)
	}
	o.add(20, media.Packet{Enhancer: "live-x2", Arrival: arrival, NTP: shutter})
	o.add(30, media.Packet{Enhancer: "live-x2", Arrival: arrival, NTP: shutter})
	o.add(40, media.Packet{Enhancer: "live-x2"}) // a picture that nothing is known of
	o.tell(&st)
	if c := st.Captured; c.RTP != 30 || !c.Time.Equal(shutter) || c.Clock != "camera" {
		t.Errorf("with the camera's clock: %+v", c)
	}
	if want := []web.Made{{RTP: 10, Enhancer: "lanczos"}, {RTP: 20, Enhancer: "live-x2"}}; !slices.Equal(st.Made, want) {
		t.Errorf("made: %+v", st.Made)
	}
	for i := range uint32(100) {
		o.add(100+i, media.Packet{Enhancer: fmt.Sprint(i)})
	}
	o.tell(&st)
	if n := len(st.Made); n != keptChanges || st.Made[n-1] != (web.Made{RTP: 199, Enhancer: "99"}) || st.Made[0].RTP != 192 {
		t.Errorf("of many changes: %+v", st.Made)
	}
}
