package ingest

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
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
	if strings.Contains(host, "#") {
		return nil, "", "", urlError("has a # in its host; a path begins with /")
	}
	u, perr := url.Parse(scheme + "://" + host + strings.ReplaceAll(path, "#", "%23"))
	switch {
	case perr != nil && strings.Contains(path, "@"), perr != nil && strings.Contains(authority, ":"):
		return nil, "", "", urlError("has no valid host and port; a '/' in the password must be written %2F, or use the password key")
	case perr != nil:
		return nil, "", "", urlError("is malformed: check the host and the escapes in the path")
	case strings.HasSuffix(u.Host, ":"):
		return nil, "", "", urlError("has a colon and no port behind its host; a '/' in the password must be written %2F, or use the password key")
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

// RedactURL returns a URL that is fit to be shown: user information, every value of the query and passwords in the path
// (where some cameras want them) are replaced by "***"; everything is, if an '@' may belong to user information or to a
// parameter. It also serves for URLs that do not parse.
func RedactURL(raw string) string {
	scheme, rest, ok := strings.Cut(raw, "://")
	if ok {
		scheme += "://"
	} else {
		scheme, rest = "", raw
	}
	// Whatever precedes the last '@' may be a piece of a password with a raw '/' in it.
	switch i := strings.LastIndexByte(rest, '@'); {
	case i >= 0 && inParam(rest[:i]):
		return scheme + "***"
	case i >= 0:
		return scheme + "***" + hideParams(rest[i:])
	}
	return scheme + hideParams(rest)
}

// inParam reports that what follows the beginning of a URL, without its scheme, may be a parameter's value.
func inParam(before string) bool {
	_, path, _ := strings.Cut(before, "/")
	return strings.ContainsRune(before, '?') || strings.ContainsRune(path, '=')
}

// secretParam matches parameters outside a query that may be credentials.
var secretParam = regexp.MustCompile(`(?is)((?:user|login|pass|pwd|token|secret|auth|key)[a-z0-9_-]*=)[^&]*`)

// hideParams replaces what a URL's parameters say: in the query all values, since every maker has a name of its own for
// credentials, and before it the values of names that are known. Package config, which may import nobody, has the same
// function; testdata/redact.txt is for both.
func hideParams(text string) string {
	path, query, ok := strings.Cut(text, "?")
	path = secretParam.ReplaceAllString(path, "${1}***")
	if !ok {
		return path
	}
	items := strings.Split(query, "&")
	for i, item := range items {
		name, _, named := strings.Cut(item, "=")
		switch {
		case named:
			items[i] = name + "=***"
		case item != "":
			items[i] = "***"
		}
	}
	return path + "?" + strings.Join(items, "&")
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

// String returns text without secrets, and without the user information and the values in the queries of URLs in it.
func (s Secrets) String(text string) string {
	for _, r := range s.replace {
		text = strings.ReplaceAll(text, r, "***")
	}
	return word.ReplaceAllStringFunc(text, redactWord)
}

// word matches what a URL in a text may consist of.
var word = regexp.MustCompile("[^ \t\r\n\"'<>]+")

func redactWord(w string) string {
	switch query := strings.IndexByte(w, '?'); {
	case strings.Contains(w, "://"):
		return RedactURL(w)
	case query >= 0 && strings.Contains(w[query:], "="): // a path with its query
		return hideParams(w)
	default:
		return secretParam.ReplaceAllString(w, "${1}***")
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
