package engine

import (
	"context"
	"errors"
	"testing"

	"rave/engine/media"
)

func TestPoolIsBoundedAndCounts(t *testing.T) {
	made, destroyed, misused := 0, 0, 0
	ledger := Ledger{OnMisuse: func() { misused++ }}
	p, err := NewPool(2, &ledger, PoolHooks{
		Init:    func(*media.Frame) error { made++; return nil },
		Destroy: func(*media.Frame) { destroyed++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := p.Get(t.Context())
	b, _ := p.Get(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Get(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("third frame of two: %v", err)
	}
	a.Release()
	a.Release()
	if ledger.InUse() != 1 || misused != 1 {
		t.Errorf("in use %d, misused %d; want 1 and 1", ledger.InUse(), misused)
	}
	p.Close()
	p.Close()
	if _, err := p.Get(t.Context()); !errors.Is(err, ErrPoolClosed) {
		t.Errorf("Get after Close: %v", err)
	}
	if destroyed != 1 {
		t.Errorf("%d destroyed while one is in use", destroyed)
	}
	b.Release()
	if made != 2 || destroyed != 2 || ledger.InUse() != 0 {
		t.Errorf("made %d, destroyed %d, in use %d", made, destroyed, ledger.InUse())
	}
}

func TestPoolFailsWhole(t *testing.T) {
	n, destroyed := 0, 0
	_, err := NewPool(3, &Ledger{}, PoolHooks{
		Init: func(*media.Frame) error {
			if n++; n == 3 {
				return errors.New("no memory")
			}
			return nil
		},
		Destroy: func(*media.Frame) { destroyed++ },
	})
	if err == nil || destroyed != 3 {
		t.Errorf("error %v, destroyed %d; the one that failed may have begun too", err, destroyed)
	}
}
