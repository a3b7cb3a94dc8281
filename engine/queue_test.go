package engine

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestQueueEvictsTheOldest(t *testing.T) {
	var evicted []int
	q := NewQueue(2, func(v int) { evicted = append(evicted, v) })
	for i := range 5 {
		if !q.Put(t.Context(), i) {
			t.Fatalf("Put(%d) refused", i)
		}
	}
	q.Close()
	var got []int
	if err := q.Each(t.Context(), func(v int) error { got = append(got, v); return nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, []int{3, 4}) || !slices.Equal(evicted, []int{0, 1, 2}) {
		t.Errorf("got %v, evicted %v", got, evicted)
	}
}

func TestQueueWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue[int](1, nil)
		q.Put(t.Context(), 1)
		var put time.Time
		go func() {
			q.Put(t.Context(), 2)
			put = time.Now()
			q.Close()
		}()
		start := time.Now()
		var got []int
		err := q.Each(t.Context(), func(v int) error {
			time.Sleep(time.Second) // the fake clock: a slow stage
			got = append(got, v)
			return nil
		})
		if err != nil || !slices.Equal(got, []int{1, 2}) {
			t.Fatalf("got %v, %v", got, err)
		}
		synctest.Wait()
		if wait := put.Sub(start); wait != 0 {
			t.Errorf("Put waited %v although the first item had been taken", wait)
		}
	})
}

func TestQueuePutGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue[int](1, nil)
		q.Put(t.Context(), 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if q.Put(ctx, 2) {
			t.Error("Put took a second item into a queue of one")
		}
		q.Close()
		if q.Put(t.Context(), 3) {
			t.Error("Put into a closed queue")
		}
	})
}

func TestQueueEachEndsWithErrorAndContext(t *testing.T) {
	boom := errors.New("boom")
	q := NewQueue[int](4, nil)
	q.Put(t.Context(), 1)
	q.Put(t.Context(), 2)
	if err := q.Each(t.Context(), func(int) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.Each(ctx, func(int) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
