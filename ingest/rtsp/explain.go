package rtsp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"

	"rave/ingest"
)

// explain says what failed, where, and what to do about it. Credentials are taken out.
func (p *Pull) explain(err error) error {
	where := "stream " + p.cfg.Name
	if p.redacted != "" {
		where += " (" + p.redacted + ")"
	}
	err = answered(err)
	if fix := p.fix(err); fix != "" {
		err = fmt.Errorf("%s: %w: %s", where, err, fix)
	} else {
		err = fmt.Errorf("%s: %w", where, err)
	}
	return p.secrets.Error(err)
}

// fix is a hint for the errors that have a usual cause.
func (p *Pull) fix(err error) string {
	var status liberrors.ErrClientBadStatusCode
	var dns *net.DNSError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &explained{}):
		return "" // it says what to look at
	case errors.As(err, &status):
		return p.fixStatus(status.Code)
	case errors.As(err, &dns):
		return "check the host name in the URL"
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("is the camera on, and does it serve RTSP at %s?", p.url.Host)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("can this machine reach %s?", p.url.Host)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return "the camera closed the connection"
	case strings.HasPrefix(err.Error(), "tls:") || strings.Contains(err.Error(), "x509:"):
		return "the camera's certificate is not trusted; use rtsp:// or give the camera a certificate that this machine trusts"
	default:
		return ""
	}
}

func (p *Pull) fixStatus(code base.StatusCode) string {
	switch code {
	case base.StatusUnauthorized:
		if p.url.User == nil {
			return "the camera wants a login: set username and password of stream " + p.cfg.Name
		}
		return "check username and password of stream " + p.cfg.Name
	case base.StatusForbidden:
		return "the user of stream " + p.cfg.Name + " may not read this path"
	case base.StatusNotFound:
		return "check the path in the URL"
	case base.StatusUnsupportedTransport:
		return "the camera refuses this transport: set the transport of stream " + p.cfg.Name + " to tcp or auto"
	default:
		return ""
	}
}

// answered says in plain words that the camera refuses. What another attempt will not cure is marked: refused credentials
// among them, since cameras lock out a client that tries them again and again.
func answered(err error) error {
	var status liberrors.ErrClientBadStatusCode
	if !errors.As(err, &status) {
		return err
	}
	return refusal{status: status, permanent: status.Code == base.StatusUnauthorized || status.Code == base.StatusForbidden}
}

// refusal is an answer other than 200. That it is permanent need not be read: the fix says so.
type refusal struct {
	status    liberrors.ErrClientBadStatusCode
	permanent bool
}

func (r refusal) Error() string {
	return fmt.Sprintf("the camera answers %d (%s)", r.status.Code, r.status.Message)
}

func (r refusal) Unwrap() []error {
	if r.permanent {
		return []error{r.status, ingest.ErrPermanent}
	}
	return []error{r.status}
}
