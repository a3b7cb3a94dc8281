package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Page is one tab.
type Page struct {
	browser *Browser
	session string

	mu     sync.Mutex
	wrongs []string // what the page complained of
	login  *login   // nil: nobody answers when the browser asks for one
}

// Look is what a page is shown on.
type Look struct {
	Width, Height int     // CSS pixels
	Scale         float64 // device pixels for each of them; 0 is 1
	Touch         bool    // a phone: fingers, no hover
	Light         bool    // the system asks for light pages; else for dark ones
}

// Open opens a page in a tab of its own and waits until it has loaded. The scripts run before those of each page in it.
func (b *Browser) Open(ctx context.Context, url string, look Look, scripts ...string) (*Page, error) {
	var target struct {
		TargetID string `json:"targetId"`
	}
	if err := b.call(ctx, "", "Target.createTarget", object{"url": "about:blank", "newWindow": true}, &target); err != nil {
		return nil, err
	}
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	if err := b.call(ctx, "", "Target.attachToTarget", object{"targetId": target.TargetID, "flatten": true}, &attached); err != nil {
		return nil, err
	}
	p := &Page{browser: b, session: attached.SessionID}
	b.mu.Lock()
	b.pages[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Page.enable", "Runtime.enable", "Log.enable"} {
		if err := p.call(ctx, domain, nil, nil); err != nil {
			return nil, err
		}
	}
	for _, script := range scripts {
		if err := p.call(ctx, "Page.addScriptToEvaluateOnNewDocument", object{"source": script}, nil); err != nil {
			return nil, err
		}
	}
	if err := p.Look(ctx, look); err != nil {
		return nil, err
	}
	return p, p.Go(ctx, url)
}

type object = map[string]any

func (p *Page) call(ctx context.Context, method string, params, result any) error {
	return p.browser.call(ctx, p.session, method, params, result)
}

// Go loads a URL in the page's tab.
func (p *Page) Go(ctx context.Context, url string) error {
	var result struct {
		ErrorText string `json:"errorText"`
	}
	if err := p.call(ctx, "Page.navigate", object{"url": url}, &result); err != nil {
		return err
	}
	if result.ErrorText != "" {
		return fmt.Errorf("open %s: %s", url, result.ErrorText)
	}
	return p.Until(ctx, `document.readyState === "complete" && location.href !== "about:blank"`)
}

// Look changes what the page is shown on.
func (p *Page) Look(ctx context.Context, look Look) error {
	scale := look.Scale
	if scale == 0 {
		scale = 1
	}
	scheme := "dark"
	if look.Light {
		scheme = "light"
	}
	for _, c := range []struct {
		method string
		params object
	}{
		{"Emulation.setDeviceMetricsOverride", object{"width": look.Width, "height": look.Height, "deviceScaleFactor": scale, "mobile": look.Touch}},
		{"Emulation.setTouchEmulationEnabled", object{"enabled": look.Touch}},
		{"Emulation.setEmulatedMedia", object{"features": []object{{"name": "prefers-color-scheme", "value": scheme}}}},
	} {
		if err := p.call(ctx, c.method, c.params, nil); err != nil {
			return err
		}
	}
	return nil
}

// Run evaluates a script, waits for the promise if it is one, and puts the value into result unless that is nil.
func (p *Page) Run(ctx context.Context, script string, result any) error {
	var answer struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Exception *struct {
			Text      string `json:"text"`
			Exception struct {
				Description string `json:"description"`
			} `json:"exception"`
		} `json:"exceptionDetails"`
	}
	params := object{"expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true}
	if err := p.call(ctx, "Runtime.evaluate", params, &answer); err != nil {
		return err
	}
	if e := answer.Exception; e != nil {
		return fmt.Errorf("script: %s %s", e.Text, e.Exception.Description)
	}
	if result == nil || len(answer.Result.Value) == 0 {
		return nil
	}
	return json.Unmarshal(answer.Result.Value, result)
}

// Until waits until an expression is true.
func (p *Page) Until(ctx context.Context, expression string) error {
	var last error
	for {
		var is bool
		if last = p.Run(ctx, "Boolean("+expression+")", &is); last == nil && is {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait for %s: %w", expression, ctx.Err()), last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Drag presses at one point, moves to another in steps, and lets go.
func (p *Page) Drag(ctx context.Context, fromX, fromY, toX, toY float64) error {
	mouse := func(kind string, x, y float64) error {
		return p.call(ctx, "Input.dispatchMouseEvent", object{"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1}, nil)
	}
	err := mouse("mousePressed", fromX, fromY)
	const steps = 8
	for i := 1; i <= steps && err == nil; i++ {
		part := float64(i) / steps
		err = mouse("mouseMoved", fromX+part*(toX-fromX), fromY+part*(toY-fromY))
	}
	return errors.Join(err, mouse("mouseReleased", toX, toY))
}

// Touch puts fingers down at their first places, moves them to their last ones, and lifts them. Each is {x, y, toX, toY}.
func (p *Page) Touch(ctx context.Context, fingers ...[4]float64) error {
	touch := func(kind string, part float64) error {
		points := []object{}
		for i, f := range fingers {
			if kind != "touchEnd" {
				points = append(points, object{"x": f[0] + part*(f[2]-f[0]), "y": f[1] + part*(f[3]-f[1]), "id": i})
			}
		}
		return p.call(ctx, "Input.dispatchTouchEvent", object{"type": kind, "touchPoints": points}, nil)
	}
	err := touch("touchStart", 0)
	const steps = 8
	for i := 1; i <= steps && err == nil; i++ {
		err = touch("touchMove", float64(i)/steps)
	}
	return errors.Join(err, touch("touchEnd", 1))
}

// Wheel turns the mouse's wheel at a point; down is positive.
func (p *Page) Wheel(ctx context.Context, x, y, delta float64) error {
	return p.call(ctx, "Input.dispatchMouseEvent", object{"type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": delta}, nil)
}

// Key presses a key by its name, such as "ArrowLeft" or "f".
func (p *Page) Key(ctx context.Context, key string) error {
	press := object{"type": "keyDown", "key": key}
	if len(key) == 1 {
		press["text"] = key
	}
	return errors.Join(p.call(ctx, "Input.dispatchKeyEvent", press, nil), p.call(ctx, "Input.dispatchKeyEvent", object{"type": "keyUp", "key": key}, nil))
}

// Picture returns what the page looks like, as PNG.
func (p *Page) Picture(ctx context.Context) ([]byte, error) {
	var shot struct {
		Data []byte `json:"data"` // base64
	}
	err := p.call(ctx, "Page.captureScreenshot", object{"format": "png"}, &shot)
	return shot.Data, err
}

// Wrongs returns what the page has complained of so far: exceptions, errors on the console, what its own security policy forbade.
func (p *Page) Wrongs() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.wrongs...)
}

// event keeps complaints, and answers what waits for an answer.
func (p *Page) event(method string, params json.RawMessage) {
	if p.fetch(method, params) {
		return
	}
	var said struct {
		Type             string `json:"type"`
		ExceptionDetails struct {
			Text      string `json:"text"`
			Exception struct {
				Description string `json:"description"`
			} `json:"exception"`
		} `json:"exceptionDetails"`
		Args []struct {
			Value       any    `json:"value"`
			Description string `json:"description"`
		} `json:"args"`
		Entry struct {
			Level, Text, URL string
		} `json:"entry"`
	}
	if json.Unmarshal(params, &said) != nil {
		return
	}
	text := ""
	switch {
	case method == "Runtime.exceptionThrown":
		text = said.ExceptionDetails.Text + " " + said.ExceptionDetails.Exception.Description
	case method == "Runtime.consoleAPICalled" && said.Type == "error":
		for _, a := range said.Args {
			text += strings.TrimSpace(fmt.Sprint(a.Value, " ", a.Description)) + " "
		}
	case method == "Log.entryAdded" && said.Entry.Level == "error":
		text = said.Entry.Text + " " + said.Entry.URL
	default:
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrongs = append(p.wrongs, text)
}
