package rtsp

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/pion/rtcp"
)

// busy says that a connection has a session that plays or records. What ends such a session closes the connection, but
// for TEARDOWN: then its time begins anew.
func (h *handler) busy(c *gortsplib.ServerConn, ss *gortsplib.ServerSession) {
	visitorOf(c).idle.Stop()
	ss.SetUserData(c)
}

// watchReader begins to watch a session that is to play. Over TCP it is the writing that misses a reader; over UDP
// nothing does but this. It is called before gortsplib reads the session's packets.
func (h *handler) watchReader(ss *gortsplib.ServerSession, p *Path) {
	if t := ss.SetuppedTransport(); t == nil || *t != gortsplib.TransportUDP {
		h.unwatch(ss)
		return
	}
	h.watch(ss, p, true)
	ss.OnPacketRTCPAny(func(*description.Media, rtcp.Packet) { h.alive(ss) })
}

// watch ends a session that gives no sign of life any more: one that plays over UDP, or that has paused. A request is a
// sign, and so is a report of what was received (RFC 2326 section 12.37). One that plays is excused while there is nothing
// to play.
func (h *handler) watch(ss *gortsplib.ServerSession, p *Path, excused bool) {
	silence := h.s.cfg.SessionTimeout
	timer := time.AfterFunc(silence, func() {
		if excused && p.excuses() {
			if err := h.s.pulse(ss); err != nil {
				p.log.Debug("a silent reader may be dropped", "path", p.name, "error", err)
			}
			h.alive(ss)
			return
		}
		p.log.Info("a reader has given no sign of life and is dropped", "path", p.name, "for", silence)
		ss.Close()
	})
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if old := h.s.watched[ss]; old != nil {
		old.Stop()
	}
	h.s.watched[ss] = timer
}

func (h *handler) unwatch(ss *gortsplib.ServerSession) {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if timer := h.s.watched[ss]; timer != nil {
		timer.Stop()
		delete(h.s.watched, ss)
	}
}

func (h *handler) alive(ss *gortsplib.ServerSession) {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if timer := h.s.watched[ss]; timer != nil {
		timer.Reset(h.s.cfg.SessionTimeout)
	}
}

// beginSetup makes other SETUPs wait until OnResponse has been called for this one. gortsplib v4.16 looks for ports in
// use through the other sessions of a stream without a lock, while their SETUPs may change them: a concurrent map
// iteration and write, which ends the process. Nothing waits in between.
func (h *handler) beginSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) {
	h.s.setup.Lock()
	h.s.setter.Store(ctx.Conn)
}

// endSetup lets the next SETUP go on, if c's is the one.
func (h *handler) endSetup(c *gortsplib.ServerConn) {
	if h.s.setter.CompareAndSwap(c, nil) {
		h.s.setup.Unlock()
	}
}

// OnResponse sees the answer to every request, holds it back where that is due, and corrects what gortsplib has fixed. It tells clients how often to give a
// sign of life: well within the time that they have. And it offers no digest authentication where a password is known by
// its hash alone, since users may change.
func (h *handler) OnResponse(c *gortsplib.ServerConn, res *base.Response) {
	h.endSetup(c)
	h.rest(visitorOf(c).pause)
	if ss := c.Session(); ss != nil {
		h.alive(ss)
	}
	offered, asked := res.Header["WWW-Authenticate"]
	if asked && !h.s.authenticator().digest {
		res.Header["WWW-Authenticate"] = slices.DeleteFunc(offered, func(o string) bool { return strings.HasPrefix(o, "Digest ") })
	}
	for i, v := range res.Header["Session"] {
		if id, _, found := strings.Cut(v, ";timeout="); found {
			seconds := max(1, int(h.s.cfg.SessionTimeout*2/3/time.Second))
			res.Header["Session"][i] = id + ";timeout=" + strconv.Itoa(seconds)
			h.s.setID(c.Session(), id)
		}
	}
}
