package e2e

import (
	"context"
	"fmt"
	"testing"

	"rave/bench/browser"
	"rave/bench/camera"
)

// openAs opens a page as a user, in a browser of its own, which keeps what it was logged in with.
func openAs(ctx context.Context, t *testing.T, p *program, user, path string, look browser.Look, scripts ...string) webPage {
	t.Helper()
	page, err := startBrowser(t).Open(ctx, "about:blank#login", look, scripts...)
	if err != nil {
		t.Fatal(err)
	}
	w := webPage{page, t, ctx}
	w.must(w.LogIn(ctx, user, "secret"))
	w.must(w.Go(ctx, "http://"+p.http+path))
	return w
}

// askedOnce checks that the browser has shown the visitor one dialog to log in, and how often the page has asked for what.
func (w webPage) askedOnce(what string, most map[string]int) {
	w.t.Helper()
	if n := w.Asked(); n != 1 {
		w.t.Errorf("%s: the browser has asked for a user and a password %d times", what, n)
	}
	for path, want := range most {
		var n int
		if w.run(fmt.Sprintf(`performance.getEntriesByType("resource").filter((e) => new URL(e.name).pathname === %q).length`, path), &n); n != want {
			w.t.Errorf("%s: the page has asked for %s %d times, %d are wanted", what, path, n, want)
		}
	}
}

// Users who may only watch, or only see the status, log in once: what the pages ask for beyond that is refused in silence,
// and not asked for again. A viewer's page knows RAVE's time.
func TestPagesOfUsersWithOnePermission(t *testing.T) {
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{})
	p := serve(ctx, t, settings{
		auth: "admin:secret",
		extra: `users:
- {name: admin, password: secret, permissions: [read, status]}
- {name: viewer, password: secret, permissions: [read], streams: [cam]}
- {name: watcher, password: secret, permissions: [status]}`,
		streams: fmt.Sprintf("  cam: {source: %q, quality: [lanczos]}\n  studio: {source: publish, quality: [lanczos]}", cam.URL),
	})
	p.until(ctx, "cam", "pictures", func(s streamStatus) bool { return s.Enhancer == "lanczos" })
	// The viewer's clock is two days ahead; and what pages do every some seconds they do soon.
	const fast = `{ const now = Date.now; Date.now = () => now() + 2 * 86400e3; const every = setInterval; window.setInterval = (f, ms) => every(f, ms / 10); }`
	const plays = `document.getElementById("message").hidden && document.getElementById("enhanced").videoWidth > 0`
	events := func(w webPage) { // waits until the page has been told three times
		w.run(`new Promise((done) => { let n = 0; const events = new EventSource("/api/v1/events");
			events.addEventListener("streams", () => { if (++n === 3) { events.close(); done(n); } }); })`, nil)
	}

	viewer := openAs(ctx, t, p, "viewer", "/cam", desktop, fast)
	viewer.until("the picture plays", plays)
	viewer.until("it counts by RAVE's clock", `/Live for\s+\d+ s\b/.test(document.getElementById("facts").innerText)`)
	viewer.keep("stream-reader")
	viewer.askedOnce("a viewer's stream", map[string]int{"/api/v1/status": 0})
	viewer.must(viewer.Go(ctx, "http://"+p.http+"/"))
	viewer.until("there is a picture", `document.querySelector(".frame img.there") && document.querySelectorAll("#wall > li").length === 1`)
	events(viewer)
	viewer.keep("wall-reader")
	viewer.askedOnce("a viewer's wall", map[string]int{"/api/v1/status": 1})

	watcher := openAs(ctx, t, p, "watcher", "/", phone, fast)
	watcher.until("the wall says so", `document.querySelectorAll("#wall > li").length === 2 && document.getElementById("wall").innerText.includes("You may not watch this")`)
	watcher.until("and about RAVE", `document.getElementById("about").innerText.includes("up for")`)
	watcher.keep("wall-status-only")
	watcher.askedOnce("a wall to look at", map[string]int{"/api/v1/streams/cam/snapshot.jpg": 1})
	watcher.must(watcher.Go(ctx, "http://"+p.http+"/cam"))
	watcher.until("the stream's page says so", `/You may not do this\s+User watcher lacks the permission read for stream cam/.test(document.getElementById("message").innerText)`)
	events(watcher)
	watcher.keep("stream-status-only")
	watcher.askedOnce("a stream to look at", map[string]int{"/cam/whep": 1, "/cam/original/whep": 1})

	if n := p.metric("rave_refused_total", `server="http"`, `reason="no_permission"`); n != 4 {
		t.Errorf("%v refusals are counted; one of the status, one of a snapshot and two of WHEP are wanted", n)
	}
}
