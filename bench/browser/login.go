package browser

import (
	"context"
	"encoding/json"
)

// login answers the browser's questions for a user and a password.
type login struct {
	user, password string
	asked          int
}

// LogIn answers the browser's next question for a user and a password, which it puts to people in a dialog, and cancels all
// later ones, as somebody does who has no other. Without it the browser cancels all.
func (p *Page) LogIn(ctx context.Context, user, password string) error {
	p.mu.Lock()
	p.login = &login{user: user, password: password}
	p.mu.Unlock()
	return p.call(ctx, "Fetch.enable", object{"handleAuthRequests": true}, nil)
}

// Asked returns how often the browser has asked for a user and a password since LogIn.
func (p *Page) Asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.login == nil {
		return 0
	}
	return p.login.asked
}

// fetch answers the events of the domain Fetch; false: it is none. Answers go out by themselves, since events come one by
// one and an answer is acknowledged behind them. They end with the browser at the latest.
func (p *Page) fetch(method string, params json.RawMessage) bool {
	var event struct {
		RequestID string `json:"requestId"`
	}
	if method != "Fetch.requestPaused" && method != "Fetch.authRequired" || json.Unmarshal(params, &event) != nil {
		return false
	}
	command, answer := "Fetch.continueRequest", object{"requestId": event.RequestID}
	if method == "Fetch.authRequired" {
		command, answer["authChallengeResponse"] = "Fetch.continueWithAuth", p.authenticate()
	}
	go func() {
		_ = p.call(context.Background(), command, answer, nil) // the request may have ended by itself
	}()
	return true
}

func (p *Page) authenticate() object {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.login.asked++
	if p.login.asked > 1 {
		return object{"response": "CancelAuth"}
	}
	return object{"response": "ProvideCredentials", "username": p.login.user, "password": p.login.password}
}
