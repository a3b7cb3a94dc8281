package worker

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"rave/engine"
	"rave/engine/media"
)

// soundWaits is how many packets of sound may wait for the worker.
const soundWaits = 64

// set is a set of renditions: bit i stands for engine.Renditions()[i].
type set byte

func setOf(rendition string) set { return 1 << max(0, slices.Index(engine.Renditions(), rendition)) }

func (s set) has(rendition string) bool { return s&setOf(rendition) != 0 }

// renditions are those of a Client.
type renditions struct {
	outputs map[string]*output
	wanted  atomic.Uint32 // a set
	sound   *engine.Queue[media.Packet]
}

func newRenditions(c *Client) *renditions {
	r := &renditions{outputs: map[string]*output{}}
	count := func(name string) func(reason string) {
		return func(reason string) { c.obs.Dropped(name, reason, 1) }
	}
	for name, out := range c.cfg.Session.Renditions {
		r.outputs[name] = &output{out: out, log: c.log.With("rendition", name), dropped: count(name), keyframe: func() { c.Refresh(name) }}
	}
	busy := count(engine.RenditionOpus)
	r.sound = engine.NewQueue(soundWaits, func(media.Packet) { busy(DropBusy) })
	return r
}

// renew is called before each worker.
func (r *renditions) renew() {
	for _, o := range r.outputs {
		o.renew()
	}
}

// want changes what is wanted.
func (r *renditions) want(rendition string, on bool) {
	if on {
		r.wanted.Or(uint32(setOf(rendition)))
	} else {
		r.wanted.And(^uint32(setOf(rendition)))
	}
}

// Want is that of engine.Session.
func (c *Client) Want(rendition string, on bool) {
	if c.renditions.outputs[rendition] == nil {
		return
	}
	c.order(func(o *orders) {
		c.renditions.want(rendition, on)
		o.want = true
	})
}

// Refresh is that of engine.Session.
func (c *Client) Refresh(rendition string) {
	if c.renditions.outputs[rendition] != nil {
		c.order(func(o *orders) { o.refresh |= setOf(rendition) })
	}
}

// hear takes a packet of sound. It never waits.
func (c *Client) hear(p media.Packet) {
	if set(c.renditions.wanted.Load()).has(engine.RenditionOpus) && len(p.Data) <= maxData {
		c.renditions.sound.Put(context.Background(), p) // it evicts, so it does not wait
		c.signal()
	}
}

// sound sends the worker what waits.
func (l *life) sound(head []byte) (_ []byte, err error) {
	l.c.renditions.sound.Drain(func(p media.Packet) {
		if err == nil {
			head = appendPacket(head[:0], p, time.Now())
			err = l.p.conn.write(kindPacket, head, p.Data)
		}
	})
	return head, err
}

// rendition passes on what the worker sends of one.
func (l *life) rendition(k kind, message []byte) error {
	f := fields{b: message}
	o := l.c.renditions.outputs[f.rendition()]
	if f.err != nil {
		return f.err
	}
	if k == kindRenditionTracks {
		tracks, err := decodeTracks(f.b)
		if err == nil && o != nil {
			o.describe(tracks)
		}
		return err
	}
	p, err := decodePacket(f.b, time.Now())
	if err != nil || o == nil || o.tracks == nil { // what was not asked for is of no interest
		return err
	}
	if p.Enhancer != "" {
		p.Enhancer = l.c.names.rungName(p.Enhancer)
	}
	o.packet(p)
	return nil
}

func (f *fields) rendition() string {
	known := engine.Renditions()
	if i := int(f.byte()); i < len(known) {
		return known[i]
	}
	f.fail("rendition")
	return ""
}

// set reads a set of renditions.
func (f *fields) set() set {
	s := set(f.byte())
	if s >= 1<<len(engine.Renditions()) {
		f.fail("renditions")
	}
	return s
}

// decodeWant reads what is wanted, and of what a keyframe.
func decodeWant(message []byte) (wanted, refresh set, err error) {
	f := fields{b: message}
	wanted, refresh = f.set(), f.set()
	return wanted, refresh, f.end()
}

// apply tells a session.
func (s set) apply(session *engine.Session) {
	for _, name := range engine.Renditions() {
		session.Want(name, s.has(name))
	}
}

// refresh asks a session for keyframes.
func (s set) refresh(session *engine.Session) {
	for _, name := range engine.Renditions() {
		if s.has(name) {
			session.Refresh(name)
		}
	}
}

// renditionOutput is where a worker's session gives a rendition: to the main process.
type renditionOutput struct {
	c     *child
	index byte
}

func (c *child) renditions() map[string]media.Output {
	outputs := map[string]media.Output{}
	for i, name := range engine.Renditions() {
		outputs[name] = renditionOutput{c, byte(i)}
	}
	return outputs
}

// Tracks implements media.Output.
func (o renditionOutput) Tracks(tracks []media.Track) error {
	return o.c.send(kindRenditionTracks, []byte{o.index}, encodeTracks(tracks))
}

// Packet implements media.Output.
func (o renditionOutput) Packet(p media.Packet) error {
	return o.c.send(kindRendition, appendPacket([]byte{o.index}, p, time.Now()), p.Data)
}
