// Package problem writes what is wrong with an HTTP request as application/problem+json (RFC 9457). It is for every
// package that answers requests, and knows none of them.
package problem

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// ContentType is that of every body written here.
const ContentType = "application/problem+json"

// Problem is the body (RFC 9457 section 3). Texts are for people and free of credentials.
type Problem struct {
	// Type tells kinds of one status apart, as a URI: "" is about:blank, whose title is that of the status.
	Type   string `json:"type,omitempty"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"` // what is wrong with this request, and the fix
	Key    string `json:"key,omitempty"`    // the setting that changes it, such as "http.hosts" (RFC 9457 section 3.2); "": none
}

// Write answers a request with a problem. Other headers, such as Retry-After, are set before.
func (p Problem) Write(w http.ResponseWriter) {
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	body, err := json.Marshal(p)
	if err != nil { // texts and a number always can be written
		http.Error(w, p.Detail, p.Status)
		return
	}
	w.Header().Del("Content-Length") // of the answer that was meant to be given
	w.Header().Set("Content-Type", ContentType)
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n'))
}

// Write answers a request with a status and what is wrong.
func Write(w http.ResponseWriter, status int, format string, args ...any) {
	Problem{Status: status, Detail: fmt.Sprintf(format, args...)}.Write(w)
}

// WriteKey is Write, for what a setting changes.
func WriteKey(w http.ResponseWriter, status int, key, format string, args ...any) {
	Problem{Status: status, Detail: fmt.Sprintf(format, args...), Key: key}.Write(w)
}
