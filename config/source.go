package config

import (
	"errors"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Source is where a stream comes from: the URL of a camera, or a publisher that connects to us. It holds no user name
// and password, though a camera may want some in the path or query.
type Source struct{ url string }

// publish is the source of a stream that is sent to our RTSP server.
const publish = "publish"

// Publish reports whether the stream is sent to our RTSP server under its name.
func (s Source) Publish() bool { return s.url == publish }

// URL returns the camera's URL without user name and password, for the client; empty for a publisher. It may hold
// secrets: print String instead.
func (s Source) URL() string {
	if s.Publish() {
		return ""
	}
	return s.url
}

// String returns "publish", or the URL without the values of its query and what looks like a secret in its path.
func (s Source) String() string { return hideParams(s.url) }

// GoString is String: %#v must not print more.
func (s Source) GoString() string { return s.String() }

// MarshalText is String, for JSON.
func (s Source) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// errAt is for URLs in which two readings of @ are possible.
var errAt = errors.New("has an @ behind the first /; write a / in the password as %2F (or use the keys username and " +
	"password), and an @ in the path as %40")

// parseSource takes a source apart. User name and password may hold @ # ! % as they are: they end at the last @ before
// the first slash, and %XX is only decoded if every % is the beginning of one.
func parseSource(text string) (src Source, user string, pass Secret, err error) {
	if text == publish {
		return Source{publish}, "", "", nil
	}
	scheme, rest, ok := strings.Cut(text, "://")
	scheme = strings.ToLower(scheme)
	if !ok || scheme != "rtsp" && scheme != "rtsps" {
		return Source{}, "", "", errors.New("is not a source; use rtsp://HOST/PATH, rtsps://HOST/PATH or publish")
	}
	authority, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	if strings.ContainsRune(path, '@') {
		return Source{}, "", "", errAt
	}
	host := authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		var given string
		user, given, _ = strings.Cut(authority[:i], ":")
		user, pass, host = unescape(user), Secret(unescape(given)), authority[i+1:]
	}
	if err := checkHost(host); err != nil {
		return Source{}, "", "", err
	}
	u := scheme + "://" + host + path
	if _, err := url.Parse(u); err != nil {
		return Source{}, "", "", errors.New("is not a URL; write special characters in its path as %XX")
	}
	return Source{u}, user, pass, nil
}

// checkHost accepts what may stand between user and path: a name or address, and a port.
func checkHost(hostport string) error {
	bad := errors.New("has no valid host; use rtsp://HOST/PATH or rtsp://HOST:PORT/PATH (write a / in the password " +
		"as %2F, or use the keys username and password)")
	u, err := url.Parse("rtsp://" + hostport)
	// A colon with no port behind it is the piece of a password that begins with a slash.
	if err != nil || u.Host != hostport || u.Hostname() == "" || strings.HasSuffix(hostport, ":") || strings.ContainsAny(u.Hostname(), " \t\"'<>") {
		return bad
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || n == 0) {
		return bad
	}
	return nil
}

func unescape(text string) string {
	if plainText, err := url.PathUnescape(text); err == nil {
		return plainText
	}
	return text
}

// secretParam matches parameters outside a query that may be credentials.
var secretParam = regexp.MustCompile(`(?is)((?:user|login|pass|pwd|token|secret|auth|key)[a-z0-9_-]*=)[^&]*`)

// hideParams replaces what a URL's parameters say: in the query all values, since every maker has a name of its own for
// credentials, and before it the values of names that are known. Package ingest has the same function;
// ../ingest/testdata/redact.txt is for both.
func hideParams(text string) string {
	path, query, ok := strings.Cut(text, "?")
	path = secretParam.ReplaceAllString(path, "${1}"+hidden)
	if !ok {
		return path
	}
	items := strings.Split(query, "&")
	for i, item := range items {
		name, _, named := strings.Cut(item, "=")
		switch {
		case named:
			items[i] = name + "=" + hidden
		case item != "":
			items[i] = hidden
		}
	}
	return path + "?" + strings.Join(items, "&")
}

// showURL quotes a refused source.
func showURL(text string) string { return strconv.Quote(clip(hideCredentials(text))) }

// schemeOnly matches what may stand before ://.
var schemeOnly = regexp.MustCompile(`^[A-Za-z0-9+.-]*$`)

// hideCredentials replaces everything in a refused URL that is or may be a secret: what stands before the last @, or,
// without one, what stands where the port should be and is none; and of the rest what hideParams does. Where the @ may
// belong to a parameter's value as well, nothing is left.
func hideCredentials(text string) string {
	prefix := ""
	if scheme, rest, ok := strings.Cut(text, "://"); ok && schemeOnly.MatchString(scheme) {
		prefix, text = scheme+"://", rest
	}
	if i := strings.LastIndexByte(text, '@'); i >= 0 && inParam(text[:i]) {
		return prefix + hidden
	} else if i >= 0 {
		return prefix + hidden + hideParams(text[i:])
	}
	host, rest, colon := strings.Cut(text, ":")
	port, _, _ := strings.Cut(rest, "/")
	if _, err := strconv.ParseUint(port, 10, 64); colon && !strings.ContainsAny(host, "/?") && err != nil {
		return prefix + hideParams(host) + ":" + hidden
	}
	return prefix + hideParams(text)
}

// inParam reports that what follows the beginning of a URL, without its scheme, may be a parameter's value.
func inParam(before string) bool {
	_, path, _ := strings.Cut(before, "/")
	return strings.ContainsRune(before, '?') || strings.ContainsRune(path, '=')
}
