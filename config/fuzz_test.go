package config

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// marker is the part of every password below that no error and no print may show.
const marker = "M4rk3d"

// FuzzParse reads arbitrary files: it never panics, an error names its file, and a Config prints as a file.
func FuzzParse(f *testing.F) {
	f.Add([]byte(fullFile), "RAVE_LOG_LEVEL=debug")
	for _, b := range bad {
		f.Add([]byte(b.file), "RAVE_STREAMS_A_SOURCE=publish")
	}
	f.Add([]byte("a: &a [*a]\nstreams: &s {x: *s}"), "RAVE_STREAMS_X_X_SOURCE=publish")
	f.Add([]byte("users: &u [*u]"), "RAVE_USERS_X_NAME=y")
	f.Fuzz(func(t *testing.T, data []byte, variable string) {
		c, err := Parse(data, "fuzz.yaml", []string{variable})
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, "fuzz.yaml") && !strings.HasPrefix(line, "RAVE_") {
					t.Errorf("an error without a place: %q", line)
				}
			}
			return
		}
		if c.String() == "" {
			t.Error("it does not print")
		}
	})
}

// cut matches where YAML ends a plain value: a comment, or a mapping.
var cut = regexp.MustCompile(`\s#|:(\s|$)`)

// hostlike matches beginnings of a password which make host and port of what follows, or of what comes before.
var hostlike = regexp.MustCompile(`@|^[0-9]+[/?#]`)

// FuzzSecrets puts a password between texts that confuse YAML and URLs, and reads neighbours that are wrong: neither
// the error nor the Config shows it.
func FuzzSecrets(f *testing.F) {
	for _, around := range []string{"", "@", "#", "!", "%", "*", "&", "\"", "'", ": ", "{", "[", "|", ">", "?", "/", "?/",
		":", "%4", "%40", "://", " #", "- ", "`", "@/", "a:b@", "\\", ","} {
		f.Add(around, "", "5x")
		f.Add("", around, "5x")
		f.Add(around, around, "2")
	}
	f.Fuzz(func(t *testing.T, before, after, scale string) {
		if strings.ContainsAny(before+after+scale, "\n\r\u0085\u2028\u2029") || strings.Contains(scale, marker) {
			t.Skip("another line is another key")
		}
		password := before + marker + after
		for _, line := range []string{
			"password: " + password,
			"password: \"" + password,
			"password: [" + password,
			"password_hash: " + password,
			"pasword: " + password,
			"source: rtsp://admin:" + password + "@cam/live",
			"source: http://admin:" + password + "@cam/live",
			"source: rtsp://cam/live?channel=1&password=" + password,
		} {
			if strings.Contains(line, "channel=1") && strings.Contains(before, "&") {
				continue // the password ends there
			}
			if strings.HasPrefix(line, "source") && hostlike.MatchString(before) && cut.MatchString(after) {
				continue // without its end the line is a good URL: what follows the @ is the host, or user and number are
			}
			user := strings.HasPrefix(line, "password_hash")
			file := fmt.Sprintf("streams:\n  cam:\n    source: publish\n    %s\n    output: {scale: %s}\n", line, scale)
			if strings.HasPrefix(line, "source") {
				file = strings.Replace(file, "    source: publish\n", "", 1)
			} else if user {
				file = fmt.Sprintf("users:\n- name: a\n  %s\n  permissions: [%s]\n", line, scale)
			}
			c, err := Parse([]byte(file), "fuzz.yaml", nil)
			if err != nil && strings.Contains(err.Error(), marker) {
				t.Errorf("the error shows the password:\n%s\n%v", file, err)
			}
			if out := fmt.Sprintf("%v %#v", c, c); err == nil && strings.Contains(out, marker) {
				t.Errorf("the configuration shows the password:\n%s\n%s", file, out)
			}
		}
	})
}
