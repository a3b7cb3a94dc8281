package rtsp

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"
)

// handler is what gortsplib calls, from one goroutine per connection or session. What is called for a session must not
// wait; see visitor.
type handler struct{ s *Server }

func (h *handler) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if _, res, err := h.authorize(ctx.Conn, ctx.Request, ctx.Path, toRead); res != nil {
		return res, nil, err
	}
	stream, res := h.find(ctx.Path)
	return res, stream, nil
}

func (h *handler) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if ctx.Session.State() == gortsplib.ServerSessionStatePreRecord { // let in by ANNOUNCE
		if v := visitorOf(ctx.Conn); v.slow {
			v.pause = slowPause
		}
		return ok(), nil, nil
	}
	granted, res, err := h.authorize(ctx.Conn, ctx.Request, ctx.Path, toRead)
	if res != nil {
		return res, nil, err
	}
	if !h.s.keep(ctx.Session, granted) {
		return answer(base.StatusForbidden, errRevoked.Error()), nil, nil
	}
	h.beginSetup(ctx)
	stream, res := h.find(ctx.Path)
	if before := ctx.Session.SetuppedStream(); before != nil && before != stream {
		return answer(base.StatusNotFound, "the format has changed: connect again"), nil, nil
	}
	return res, stream, nil
}

func (h *handler) OnPlay(ctx *gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	if ctx.Session.State() == gortsplib.ServerSessionStatePlay { // again, with whatever path
		return ok(), nil
	}
	p := h.path(ctx.Path)
	// gortsplib makes the session active after this call. What is written before then waits in its queue, so the reader
	// can start here: no keyframe that it asks for is missed.
	if p == nil || !p.attach(ctx.Session) {
		return answer(base.StatusNotFound, "the format has changed: connect again"), nil
	}
	h.s.mu.Lock()
	h.s.readers[ctx.Session] = p
	h.s.mu.Unlock()
	h.busy(ctx.Conn, ctx.Session)
	h.watchReader(ctx.Session, p)
	p.log.Info("reader joined", "path", p.name, "from", ctx.Conn.NetConn().RemoteAddr().String(), "transport", ctx.Session.SetuppedTransport().String())
	return ok(), nil
}

func (h *handler) OnPause(ctx *gortsplib.ServerHandlerOnPauseCtx) (*base.Response, error) {
	if ctx.Session.State() == gortsplib.ServerSessionStateRecord {
		return answer(base.StatusNotImplemented, "a publisher cannot pause: stop and publish again"), nil
	}
	if p := h.leave(ctx.Session); p != nil {
		h.watch(ctx.Session, p, false)
	}
	return ok(), nil
}

func (h *handler) OnAnnounce(ctx *gortsplib.ServerHandlerOnAnnounceCtx) (*base.Response, error) {
	granted, res, err := h.authorize(ctx.Conn, ctx.Request, ctx.Path, toPublish)
	if res != nil {
		return res, err
	}
	name := strings.Trim(ctx.Path, "/")
	h.s.mu.Lock()
	publisher, path := h.s.publishers[name], h.s.paths[name]
	h.s.mu.Unlock()
	switch {
	case publisher == nil && path != nil:
		return answer(base.StatusForbidden, fmt.Sprintf("%s has a source of its own: to publish to it configure \"source: publish\"", name)), nil
	case publisher == nil:
		return answer(base.StatusNotFound, fmt.Sprintf("no stream %s: to publish to it configure it with \"source: publish\"", name)), nil
	}
	if err := publisher.Announce(ctx.Session, ctx.Description); err != nil {
		h.s.log.Warn("publisher refused", "stream", name, "error", err)
		return answer(base.StatusNotAcceptable, err.Error()), nil // clients show no reasons beside 400
	}
	if !h.s.record(ctx.Session, name, publisher) || !h.s.keep(ctx.Session, granted) {
		publisher.Leave(ctx.Session, errRevoked)
		return answer(base.StatusForbidden, errRevoked.Error()), nil
	}
	return ok(), nil
}

func (h *handler) OnRecord(ctx *gortsplib.ServerHandlerOnRecordCtx) (*base.Response, error) {
	h.s.mu.Lock()
	publisher := h.s.recorders[ctx.Session]
	h.s.mu.Unlock()
	if publisher == nil {
		return answer(base.StatusBadRequest, "announce first"), nil
	}
	if err := publisher.Record(ctx.Session); err != nil {
		return answer(base.StatusBadRequest, err.Error()), nil
	}
	h.busy(ctx.Conn, ctx.Session)
	h.s.log.Info("publisher joined", "stream", strings.Trim(ctx.Path, "/"), "from", ctx.Conn.NetConn().RemoteAddr().String(), "transport", ctx.Session.SetuppedTransport().String())
	return ok(), nil
}

func (h *handler) OnSessionClose(ctx *gortsplib.ServerHandlerOnSessionCloseCtx) {
	h.leave(ctx.Session)
	h.unwatch(ctx.Session)
	c, ok := ctx.Session.UserData().(*gortsplib.ServerConn)
	if ok && errors.As(ctx.Error, &liberrors.ErrServerSessionTornDown{}) {
		visitorOf(c).idle.Reset(h.s.cfg.IdleTimeout)
	}
	h.s.mu.Lock()
	publisher := h.s.recorders[ctx.Session]
	delete(h.s.recorders, ctx.Session)
	delete(h.s.grants, ctx.Session)
	delete(h.s.ids, ctx.Session)
	h.s.mu.Unlock()
	if publisher != nil {
		publisher.Leave(ctx.Session, ctx.Error)
	}
}

// leave ends a session's reader and returns its path; nil if it had none.
func (h *handler) leave(ss *gortsplib.ServerSession) *Path {
	h.s.mu.Lock()
	p := h.s.readers[ss]
	delete(h.s.readers, ss)
	h.s.mu.Unlock()
	if p != nil {
		p.detach(ss)
	}
	return p
}

// The following keep gortsplib from logging by itself. Lost and malformed packets of a publisher are counted where they
// are depacketised.

func (h *handler) OnPacketsLost(*gortsplib.ServerHandlerOnPacketsLostCtx)           {}
func (h *handler) OnDecodeError(*gortsplib.ServerHandlerOnDecodeErrorCtx)           {}
func (h *handler) OnStreamWriteError(*gortsplib.ServerHandlerOnStreamWriteErrorCtx) {}

func (h *handler) path(name string) *Path {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	return h.s.paths[strings.Trim(name, "/")]
}

// find returns the stream to read, or the answer that says why there is none.
func (h *handler) find(name string) (*gortsplib.ServerStream, *base.Response) {
	p := h.path(name)
	if p == nil {
		return nil, answer(base.StatusNotFound, fmt.Sprintf("no stream %q", strings.Trim(name, "/")))
	}
	stream, reason := p.describe()
	if stream == nil {
		return nil, answer(base.StatusNotFound, reason)
	}
	return stream, ok()
}

func ok() *base.Response { return &base.Response{StatusCode: base.StatusOK} }

// answer is a refusal with its reason where clients show it (the status line) and in full as text.
func answer(code base.StatusCode, reason string) *base.Response {
	res := &base.Response{StatusCode: code, Header: base.Header{}}
	if reason != "" {
		res.StatusMessage = statusText(reason)
		res.Header["Content-Type"] = base.HeaderValue{"text/plain; charset=utf-8"}
		res.Body = []byte(reason + "\n")
	}
	return res
}

// statusText fits a reason into a status line (RFC 2326 section 7.1): one line of printable ASCII, not too long.
func statusText(reason string) string {
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, strings.Join(strings.Fields(reason), " "))
	return text[:min(len(text), 250)]
}
