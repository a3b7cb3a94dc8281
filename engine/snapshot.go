package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rave/engine/media"
)

// Variants of a snapshot.
const (
	VariantEnhanced = "enhanced"
	VariantOriginal = "original" // what the camera sent, decoded
	VariantCompare  = "compare"  // the left half of the original beside the right half of what was made of it
)

// Variants lists them.
func Variants() []string { return []string{VariantEnhanced, VariantOriginal, VariantCompare} }

// ErrNoPicture means that there is nothing to make a snapshot of yet.
var ErrNoPicture = errors.New("no picture yet")

// Snapshot is the latest picture of a session as a JPEG image.
type Snapshot struct {
	JPEG          []byte
	Width, Height int
	PTS           time.Duration
	// At is when the camera's picture arrived: what has passed since is its age.
	At       time.Time
	Enhancer string // that made it; empty for an original
}

// Snapshot makes an image of the latest picture, at most maxWidth wide (0: as wide as the picture). It may be called from
// any goroutine, also while the camera is away: the last picture stays as long as Run goes on.
func (s *Session) Snapshot(ctx context.Context, variant string, maxWidth int) (Snapshot, error) {
	if !slices.Contains(Variants(), variant) {
		return Snapshot{}, fmt.Errorf("snapshot variant %q is not known; known are %v", variant, Variants())
	}
	from := &s.made
	if variant == VariantOriginal {
		from = &s.decoded
	}
	var shot Snapshot
	err := from.use(ctx, func(pictures []*media.Frame) (err error) {
		if len(pictures) == 0 {
			return ErrNoPicture
		}
		last := pictures[len(pictures)-1] // of a pair, what was made
		p := JPEGParams{Left: last, Threads: s.cfg.Threads}
		if variant == VariantCompare {
			p.Left, p.Right = pictures[0], last
		}
		p.Width, p.Height = snapshotSize(last.Format, maxWidth)
		shot = Snapshot{Width: p.Width, Height: p.Height, PTS: last.PTS, At: last.Arrival, Enhancer: last.Enhancer}
		if shot.At.IsZero() { // no packet is known of it
			shot.At = last.Decoded
		}
		shot.JPEG, err = s.cfg.Plan.Encode.JPEG(p)
		return err
	})
	if err != nil {
		return Snapshot{}, fmt.Errorf("snapshot: %w", err)
	}
	return shot, nil
}

// snapshotSize returns the size of an image of a picture. Its pixels are square, so the picture is as wide as it is shown.
func snapshotSize(f media.Format, maxWidth int) (width, height int) {
	const widest = 4 // more is a mistake of the camera's
	w, h := float64(f.Width), float64(f.Height)
	if num, den := f.SAR[0], f.SAR[1]; num > 0 && den > 0 && num <= widest*den && den <= widest*num {
		w *= float64(num) / float64(den)
	}
	if limit := float64(maxWidth); maxWidth > 0 && w > limit {
		w, h = limit, h*limit/w
	}
	return even(w, 0), even(h, 0)
}

// kept holds the latest picture, or pictures that belong together, for snapshots. Who has put something into turn may use
// them.
type kept struct {
	turn     chan struct{} // capacity 1
	pictures []*media.Frame
}

func newKept() kept { return kept{turn: make(chan struct{}, 1)} }

// put keeps pictures, which it owns from now on, instead of those before. It never waits: while a snapshot is being made,
// its pictures stay and the new ones are released.
func (k *kept) put(pictures ...*media.Frame) {
	select {
	case k.turn <- struct{}{}:
		k.pictures, pictures = pictures, k.pictures
		<-k.turn
	default:
	}
	releaseAll(pictures)
}

// use lets fn see what is kept.
func (k *kept) use(ctx context.Context, fn func([]*media.Frame) error) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case k.turn <- struct{}{}:
	}
	defer func() { <-k.turn }()
	return fn(k.pictures)
}

// clear releases what is kept, after the snapshot that is being made.
func (k *kept) clear() {
	_ = k.use(context.Background(), func(pictures []*media.Frame) error {
		releaseAll(pictures)
		k.pictures = nil
		return nil
	})
}
