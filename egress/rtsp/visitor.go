package rtsp

import (
	"errors"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"

	"rave/egress/limit"
)

// slowPause is how long GStreamer publishers need before an answer to SETUP.
const slowPause = time.Second

// visitor is what is known of a connection: its UserData. It belongs to the connection's goroutine and, while that waits
// for a session's answer, to the session's.
//
// All waiting is done on the connection's goroutine, in OnRequest and OnResponse. The callbacks of sessions must not
// wait: gortsplib's only loop, which every new connection needs, stands still while it has a request for a session that
// is busy.
type visitor struct {
	idle *time.Timer // ends the connection

	// Of the request under way.
	user  *User         // who sends it; nil: there are no users
	err   error         // why that is nobody
	pause time.Duration // before the answer
	slow  bool          // the client is GStreamer; see OnRequest
}

func visitorOf(c *gortsplib.ServerConn) *visitor {
	v, _ := c.UserData().(*visitor) // always, since OnConnOpen comes first
	return v
}

// OnConnOpen gives a connection its time to play or publish. gortsplib reads requests without a deadline: connections
// that say nothing, or half a request, would stay for ever.
func (h *handler) OnConnOpen(ctx *gortsplib.ServerHandlerOnConnOpenCtx) {
	ctx.Conn.SetUserData(&visitor{idle: time.AfterFunc(h.s.cfg.IdleTimeout, ctx.Conn.Close)})
}

func (h *handler) OnConnClose(ctx *gortsplib.ServerHandlerOnConnCloseCtx) {
	visitorOf(ctx.Conn).idle.Stop()
}

// noSession is the id of none: gortsplib's have 32 hexadecimal digits.
const noSession = "none"

// OnRequest finds out who sends a request that is to be authorized. That may take a while.
//
// It hides GStreamer from gortsplib, which waits for a second in the session when GStreamer sends SETUP, allowed or not,
// since its publishing client misses answers that come at once. OnSetup asks for that pause where there is need of it.
//
// And it keeps sessions to the connections that made them. A request for a session from another connection would go
// through gortsplib's loop, and that session may be busy all the same: PAUSE waits until a reader that takes nothing is
// given up, RECORD until the publisher's stream listens.
func (h *handler) OnRequest(c *gortsplib.ServerConn, req *base.Request) {
	v := visitorOf(c)
	v.user, v.err, v.pause = nil, errUnauthorized, 0
	v.slow = strings.HasPrefix(strings.Join(req.Header["User-Agent"], ""), "GStreamer")
	delete(req.Header, "User-Agent")
	if c.Session() == nil && req.Header["Session"] != nil && !h.s.isOwn(c) {
		req.Header["Session"] = base.HeaderValue{noSession}
	}
	switch req.Method {
	case base.Describe, base.Setup, base.Announce:
		v.user, v.err = h.s.authenticator().identify(c, req)
	}
}

// authorize returns what is granted to the sender of a request, or else the answer; it does not wait. gortsplib turns
// ErrServerAuth into a request for credentials if there were none, as clients expect, and else closes the connection
// after the answer.
func (h *handler) authorize(c *gortsplib.ServerConn, req *base.Request, name string, what action) (*grant, *base.Response, error) {
	name = strings.Trim(name, "/")
	v := visitorOf(c)
	granted, err := v.user.grant(what, name)
	if v.err != nil {
		err = v.err
	}
	switch {
	case err == nil:
		return granted, nil, nil
	case errors.Is(err, errForbidden):
		return nil, answer(base.StatusForbidden, err.Error()), nil
	case errors.Is(err, limit.ErrBusy):
		h.refused(limit.Busy, c, name, what)
		return nil, answer(base.StatusServiceUnavailable, err.Error()), nil
	case errors.Is(err, limit.ErrGuessing):
		h.refused(limit.Guessing, c, name, what)
		v.pause = h.s.refusePause
		return nil, answer(base.StatusServiceUnavailable, err.Error()), liberrors.ErrServerAuth{}
	}
	if len(req.Header["Authorization"]) > 0 {
		h.refused(limit.WrongPassword, c, name, what)
		v.pause = h.s.refusePause
	}
	return nil, answer(base.StatusUnauthorized, ""), liberrors.ErrServerAuth{}
}

func (h *handler) refused(reason string, c *gortsplib.ServerConn, name string, what action) {
	h.s.refusals.Add(reason, "credentials refused", "path", name, "from", c.NetConn().RemoteAddr().String(), "to", what.String())
}

// rest holds an answer back.
func (h *handler) rest(pause time.Duration) {
	if pause == 0 {
		return
	}
	select {
	case <-time.After(pause):
	case <-h.s.closing:
	}
}
