package main

import (
	"context"
	"slices"
	"time"

	"rave/engine/media"
	"rave/ingest"
)

// A stream with on_demand has a session only while somebody reads or watches what the session makes, and for a while after.
// The camera stays connected: the original is there, its state is known, and a new session begins with the camera's last
// group of pictures, so that the first viewer has a picture at once.

// mind does what is due although no packet comes, until ctx ends.
func (s *stream) mind(ctx context.Context) {
	tick := time.NewTicker(holdEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.asked:
		case <-tick.C:
			s.holdLast(time.Now())
		}
		s.attend(time.Now())
	}
}

// ask has attend look at who watches. It never waits.
func (s *stream) ask() {
	select {
	case s.asked <- struct{}{}:
	default:
	}
}

// attend starts a session for whoever has come, and ends it some time after the last one has gone.
func (s *stream) attend(now time.Time) {
	s.input.Lock()
	defer s.input.Unlock()
	wanted := s.isWanted(now)
	switch {
	case s.tracks == nil || wanted == (s.running != nil):
	case wanted:
		s.wake(now)
	default:
		s.sleep()
	}
}

// isWanted needs input.
func (s *stream) isWanted(now time.Time) bool {
	cfg := s.configured().cfg
	if !cfg.OnDemand || s.enhanced.watched() || s.demand.some() {
		s.wanted = now
		return true
	}
	return now.Sub(s.wanted) < cfg.OnDemandLinger
}

// wakeRest is how long a stream that could not be woken is left alone.
const wakeRest = 5 * time.Second

// wake needs input.
func (s *stream) wake(now time.Time) {
	if now.Before(s.rest) {
		return
	}
	if err := s.startSession(s.video); err != nil {
		s.rest = now.Add(wakeRest)
		s.log.Error("no session for who watches", "err", err, "again_in", wakeRest)
		return
	}
	s.log.Info("the stream wakes up: somebody watches")
	for _, p := range s.recent.begin(now) {
		s.running.session.Send(s.ctx, p)
	}
}

// sleep needs input.
func (s *stream) sleep() {
	s.log.Info("the stream falls asleep: nobody watches")
	s.demand.leave()
	s.turn.Lock()
	s.current = nil
	s.turn.Unlock()
	s.running.cancel()
	s.setRunning(nil)
	if err := s.invite(); err != nil {
		s.log.Error("the enhanced stream cannot be served", "err", err)
	}
}

// invite makes the enhanced path one that can be read, if no session has done so: nobody else would wake the stream. It
// needs input.
func (s *stream) invite() error {
	s.mu.Lock()
	open := s.heard != nil
	s.mu.Unlock()
	if open {
		return nil
	}
	return s.openEnhanced([]media.Track{{ID: s.video.ID, Kind: media.Video, Codec: media.H264, ClockRate: media.VideoClockRate}})
}

// asleep reports that the camera delivers and nothing is made of it, since nobody watches.
func (s *stream) asleep() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.cfg.OnDemand && s.state.Phase == ingest.Online && s.running == nil
}

// recent is the camera's pictures since its last keyframe, for a session that starts between two.
type recent struct {
	packets []media.Packet
	bytes   int
}

// The bounds of what is kept, as for readers of the original.
const (
	maxRecentBytes = 16 << 20
	maxRecentTime  = 12 * time.Second
	maxRecentAge   = 5 * time.Second // what is older is no picture of now
)

// add keeps a picture. A group that grows too large is given up: the session begins at the next keyframe.
func (r *recent) add(p media.Packet) {
	if p.Keyframe {
		*r = recent{}
	} else if len(r.packets) == 0 {
		return
	}
	if r.bytes += len(p.Data); r.bytes > maxRecentBytes || len(r.packets) > 0 && p.PTS-r.packets[0].PTS > maxRecentTime {
		*r = recent{}
		return
	}
	r.packets = append(r.packets, p)
}

// begin returns what a session has to decode first. Only of the newest a picture is wanted: the others are past.
func (r *recent) begin(now time.Time) []media.Packet {
	if len(r.packets) == 0 || now.Sub(r.packets[len(r.packets)-1].Arrival) > maxRecentAge {
		return nil
	}
	packets := slices.Clone(r.packets)
	newest := packets[0].PTS
	for _, p := range packets {
		newest = max(newest, p.PTS)
	}
	for i := range packets {
		packets[i].Discontinuity = i == 0
		packets[i].DecodeOnly = packets[i].PTS < newest
	}
	return packets
}
