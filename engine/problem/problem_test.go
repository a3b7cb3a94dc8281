package problem

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestWrite(t *testing.T) {
	for _, c := range []struct {
		write func(w http.ResponseWriter)
		want  Problem
		text  string
	}{
		{func(w http.ResponseWriter) { Write(w, 404, "no stream %q", `a"<b>`) },
			Problem{"", "Not Found", 404, `no stream "a\"<b>"`, ""},
			`{"title":"Not Found","status":404,"detail":"no stream \"a\\\"\u003cb\u003e\""}` + "\n"},
		{func(w http.ResponseWriter) { Problem{Type: "urn:x", Title: "T", Status: 406}.Write(w) },
			Problem{"urn:x", "T", 406, "", ""}, `{"type":"urn:x","title":"T","status":406}` + "\n"},
		{func(w http.ResponseWriter) { WriteKey(w, 421, "http.hosts", "not %s", "us") },
			Problem{"", "Misdirected Request", 421, "not us", "http.hosts"},
			`{"title":"Misdirected Request","status":421,"detail":"not us","key":"http.hosts"}` + "\n"},
	} {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Length", "1")
		c.write(w)
		var got Problem
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got != c.want || w.Body.String() != c.text || w.Code != c.want.Status {
			t.Errorf("%d %s, %v; want %+v", w.Code, w.Body, err, c.want)
		}
		if h := w.Header(); h.Get("Content-Type") != ContentType || h.Get("Content-Length") != "" {
			t.Errorf("headers %v", h)
		}
	}
}
