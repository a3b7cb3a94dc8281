package limit

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/netip"
	"sync"
	"time"
)

// Guard compares passwords for all connections of a server, as seldom as it can. Slow comparisons, those with hashes,
// are made one at a time, so that guessing takes no more than one core; never again for credentials that were right or
// wrong a while ago, so that those who have logged in wait for nobody and a client that repeats its mistake guesses
// nothing. A host that has guessed a user's password wrong often is not listened to for that user: other hosts are, and
// so are that host's other users.
type Guard struct {
	// Patience is the longest wait for a turn. It is changed before the first check, if at all.
	Patience time.Duration

	turn chan struct{}
	key  [32]byte // of this process: the memory holds no passwords and no plain hashes of them

	mu       sync.Mutex
	right    memory
	wrong    memory
	failures map[account]int
	// newcomers is what those have failed together for whom failures has no room.
	newcomers int
	since     time.Time // when counting them began
}

// Credentials are a guess at a password.
type Credentials struct {
	Host     netip.Prefix // where it comes from, as of Host
	User     string       // one that exists; empty for all that do not, which count as one
	Hash     string       // what the password is compared with, if known: another one makes it another guess
	Password string
}

// account is what is guessed at, and from where.
type account struct {
	host netip.Prefix
	user string
}

// memory says until when credentials are remembered, by id.
type memory map[[32]byte]time.Time

// Bounds of a Guard.
const (
	patience    = 5 * time.Second
	remember    = 5 * time.Minute // who was right
	mostKnown   = 1024
	mostWrong   = 10 // guesses of one host at one user's password in wrongWindow
	wrongWindow = time.Minute
	mostHosts   = 4096
)

// ErrBusy says that too many wait for a check of their password; ErrGuessing that this host has guessed too often.
var (
	ErrBusy     = errors.New("too many log in at once: try again in some seconds")
	ErrGuessing = errors.New("too many wrong passwords for this user from your address: try again in a minute")
)

// NewGuard makes a Guard.
func NewGuard() *Guard {
	g := &Guard{
		Patience: patience, turn: make(chan struct{}, 1), right: memory{}, wrong: memory{}, failures: map[account]int{},
	}
	_, _ = rand.Read(g.key[:]) // never fails
	return g
}

// Check reports whether credentials are right, which compare tells, slowly. Its error is ErrBusy or ErrGuessing. It
// returns early when stop is closed.
func (g *Guard) Check(c Credentials, stop <-chan struct{}, compare func() bool) (bool, error) {
	id := g.id(c)
	if ok, known, err := g.recall(c, id); known || err != nil {
		return ok, err
	}
	wait := time.NewTimer(g.Patience)
	defer wait.Stop()
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-wait.C:
		return false, ErrBusy
	case <-stop:
		return false, ErrBusy
	}
	// Others of the same host, or with the same credentials, have had their turn meanwhile.
	if ok, known, err := g.recall(c, id); known || err != nil {
		return ok, err
	}
	ok := compare()
	g.mu.Lock()
	defer g.mu.Unlock()
	if ok {
		g.right.keep(id, remember)
	} else {
		g.wrong.keep(id, wrongWindow)
		g.failed(account{c.Host, c.User})
	}
	return ok, nil
}

// CheckQuick is Check for a comparison that costs nothing. It waits for nobody and remembers wrong credentials only, if
// they have a Password: an answer to a challenge, such as a digest, is another one each time.
func (g *Guard) CheckQuick(c Credentials, compare func() bool) (bool, error) {
	id := g.id(c)
	g.mu.Lock()
	defer g.mu.Unlock()
	a := account{c.Host, c.User}
	switch {
	case g.barred(a):
		return false, ErrGuessing
	case c.Password != "" && g.wrong.has(id):
		return false, nil
	case compare():
		return true, nil
	}
	if c.Password != "" {
		g.wrong.keep(id, wrongWindow)
	}
	g.failed(a)
	return false, nil
}

// recall says what needs no comparison.
func (g *Guard) recall(c Credentials, id [32]byte) (ok, known bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.right.has(id):
		return true, true, nil
	case g.barred(account{c.Host, c.User}):
		return false, false, ErrGuessing
	default:
		return false, g.wrong.has(id), nil
	}
}

func (g *Guard) id(c Credentials) [32]byte {
	mac := hmac.New(sha256.New, g.key[:])
	for _, s := range []string{c.User, c.Hash, c.Password} {
		sum := sha256.Sum256([]byte(s))
		_, _ = mac.Write(sum[:])
	}
	return [32]byte(mac.Sum(nil))
}

// barred needs mu.
func (g *Guard) barred(a account) bool {
	if time.Since(g.since) > wrongWindow {
		clear(g.failures)
		g.newcomers, g.since = 0, time.Now()
	}
	n, known := g.failures[a]
	if !known {
		n = g.newcomers
	}
	return n >= mostWrong
}

// failed needs mu. It never forgets who is barred: whoever could bring that about, by failing under many names or from
// many places, could guess on.
func (g *Guard) failed(a account) {
	if _, known := g.failures[a]; !known && !g.makeRoom() {
		g.newcomers++
		return
	}
	g.failures[a]++
}

// makeRoom forgets who has failed least, if need be. False: all are barred. It needs mu.
func (g *Guard) makeRoom() bool {
	if len(g.failures) < mostHosts {
		return true
	}
	var least account
	fewest := mostWrong
	for a, n := range g.failures {
		if n < fewest {
			least, fewest = a, n
		}
		if n == 1 {
			break
		}
	}
	delete(g.failures, least)
	return fewest < mostWrong
}

func (m memory) has(id [32]byte) bool { return time.Now().Before(m[id]) }

func (m memory) keep(id [32]byte, while time.Duration) {
	if len(m) >= mostKnown {
		clear(m)
	}
	m[id] = time.Now().Add(while)
}
