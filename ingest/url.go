package ingest

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// SplitURL parses a camera's URL and takes the credentials out of it. People paste passwords as they are, so they are
// accepted percent-encoded or raw: the host begins after the last '@' before the first '/'. Only a raw '/' (and a raw
// '%' that happens to begin a valid escape) must be encoded or given in the password key. Its errors hold neither
// credentials nor pieces of them and wrap ErrPermanent.
func SplitURL(raw string) (u *url.URL, username, password string, err error) {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(raw), "://")
	scheme = strings.ToLower(scheme)
	if !ok || scheme != "rtsp" && scheme != "rtsps" {
		return nil, "", "", urlError("must begin with rtsp:// or rtsps://")
	}
	end := strings.IndexByte(rest, '/')
	if end < 0 {
		end = len(rest)
	}
	authority, path := rest[:end], rest[end:]
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		username, password, _ = strings.Cut(authority[:i], ":")
		username, password = unescape(username), unescape(password)
		authority = authority[i+1:]
	}
	host, query, hasQuery := strings.Cut(authority, "?")
	if hasQuery && path == "" {
		path = "?" + query
	} else if hasQuery {
		path = "?" + query + path
	}
	if strings.HasPrefix(host, "[") && !strings.Contains(host, "%25") {
		host = strings.Replace(host, "%", "%25", 1) // RFC 6874: net/url wants that of the zone in [fe80::1%eth0]
	}
	u, perr := url.Parse(scheme + "://" + host + strings.ReplaceAll(path, "#", "%23"))
	switch {
	case perr != nil && strings.Contains(path, "@"), perr != nil && strings.Contains(authority, ":"):
		return nil, "", "", urlError("has no valid host and port; a '/' in the password must be written %2F, or use the password key")
	case perr != nil:
		return nil, "", "", urlError("is malformed: check the host and the escapes in the path")
	case u.Hostname() == "":
		return nil, "", "", urlError("names no host")
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, "", "", urlError("has a host name with characters that host names do not have")
	}
	return u, username, password, nil
}

func urlError(what string) error { return fmt.Errorf("the camera's URL %s: %w", what, ErrPermanent) }

// unescape decodes percent-encoding; what is not validly encoded was meant raw.
func unescape(s string) string {
	if d, err := url.PathUnescape(s); err == nil {
		return d
	}
	return s
}

// RedactURL returns a URL that is fit to be shown: user information and passwords in the query (or in the path, as
// some cameras want them) are replaced by "***". It also serves for URLs that do not parse.
func RedactURL(raw string) string {
	i := strings.Index(raw, "://")
	if i < 0 {
		if j := strings.LastIndexByte(raw, '@'); j >= 0 {
			raw = "***" + raw[j:]
		}
		return redactParams(raw)
	}
	head, rest := raw[:i+3], raw[i+3:]
	// Whatever precedes the last '@' may be a piece of a password with a raw '/' in it.
	if j := strings.LastIndexByte(rest, '@'); j >= 0 {
		rest = "***" + rest[j:]
	}
	return head + redactParams(rest)
}

// redactParams hides the values of password=…, pwd=… and the like, up to the next separator.
func redactParams(s string) string {
	lower := strings.ToLower(s)
	if len(lower) != len(s) {
		lower = s // letters whose lower case is longer: compare as they are
	}
	var b strings.Builder
	for {
		at, n := findParam(lower)
		if at < 0 {
			return b.String() + s
		}
		end := at + n
		for end < len(s) && !strings.ContainsRune("&?/; \t\n\"'", rune(s[end])) {
			end++
		}
		b.WriteString(s[:at+n])
		b.WriteString("***")
		s, lower = s[end:], lower[end:]
	}
}

// findParam finds the first secret parameter; n is the length of "name=".
func findParam(lower string) (at, n int) {
	at = -1
	for _, name := range []string{"password=", "passwd=", "pass=", "pwd=", "token="} {
		if i := strings.Index(lower, name); i >= 0 && (at < 0 || i < at) {
			at, n = i, len(name)
		}
	}
	return at, n
}

// Secrets are strings that must not be said. They are removed from text whatever wrote it.
type Secrets struct{ replace []string }

// NewSecrets takes passwords, raw; encoded forms are covered too. Strings of fewer than four bytes are not searched
// for, since they occur in ordinary words; URLs lose their user information all the same.
func NewSecrets(secrets ...string) Secrets {
	var s Secrets
	seen := map[string]bool{}
	for _, secret := range secrets {
		for _, form := range []string{secret, url.PathEscape(secret), url.QueryEscape(secret), url.UserPassword("", secret).String()[1:]} {
			if len(secret) >= 4 && !seen[form] {
				seen[form] = true
				s.replace = append(s.replace, form)
			}
		}
	}
	return s
}

// String returns text without secrets and without the user information of URLs in it.
func (s Secrets) String(text string) string {
	for _, r := range s.replace {
		text = strings.ReplaceAll(text, r, "***")
	}
	var b strings.Builder
	for {
		i := strings.Index(text, "://")
		if i < 0 {
			return b.String() + redactParams(text)
		}
		b.WriteString(text[:i+3])
		text = text[i+3:]
		end := strings.IndexAny(text, " \t\n\"'<>")
		if end < 0 {
			end = len(text)
		}
		if j := strings.LastIndexByte(text[:end], '@'); j >= 0 {
			b.WriteString("***")
			text = text[j:]
			end -= j
		}
		b.WriteString(redactParams(text[:end]))
		text = text[end:]
	}
}

// Error returns an error with a redacted text. The original can be recognised with errors.Is but not taken out again,
// since it still knows the secret. A nil error stays nil.
func (s Secrets) Error(err error) error {
	if err == nil {
		return nil
	}
	return &redacted{text: s.String(err.Error()), err: err}
}

type redacted struct {
	text string
	err  error
}

func (r *redacted) Error() string        { return r.text }
func (r *redacted) Is(target error) bool { return errors.Is(r.err, target) }
