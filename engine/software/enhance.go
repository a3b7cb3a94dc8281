package software

import (
	"context"
	"fmt"
	"time"

	ort "github.com/yalue/onnxruntime_go"

	"rave/engine"
	"rave/engine/ffmpeg"
	"rave/engine/media"
	"rave/engine/model"
)

func newOutputPool(p engine.EnhancerParams) (*engine.Pool, error) {
	return engine.NewPool(p.Frames, p.Ledger, engine.PoolHooks{
		Init:    func(f *media.Frame) error { return ffmpeg.InitWith(f, p.Out) },
		Destroy: ffmpeg.Destroy,
	})
}

// output returns a frame for the picture made of in, with in's times.
func output(ctx context.Context, pool *engine.Pool, in *media.Frame) (*media.Frame, error) {
	out, err := pool.Get(ctx)
	if err != nil {
		return nil, err
	}
	out.Meta = in.Meta
	return out, nil
}

// tryOn has e make a picture of a black one, and returns how long that took.
func tryOn(ctx context.Context, e engine.Enhancer, format media.Format) (time.Duration, error) {
	var own engine.Ledger // the picture is no part of the stream
	pool, err := engine.NewPool(1, &own, engine.PoolHooks{
		Init:    func(f *media.Frame) error { return ffmpeg.InitWith(f, format) },
		Destroy: ffmpeg.Destroy,
	})
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	in, err := pool.Get(ctx)
	if err != nil {
		return 0, err
	}
	if err := ffmpeg.Native(in).ImageFillBlack(); err != nil {
		in.Release()
		return 0, fmt.Errorf("try enhancer: %w", err)
	}
	start := time.Now()
	err = e.Send(in, func(out *media.Frame) error {
		out.Release()
		return nil
	})
	return time.Since(start), err
}

// lanczos is swscale's Lanczos over the whole picture.
type lanczos struct {
	ctx    context.Context //nolint:containedctx // bounds waiting in Send, see engine.Device
	scaler *ffmpeg.Scaler
	pool   *engine.Pool
	in     media.Format
	what   string
}

// assumedFPS is for sizing work whose frame rate is not known.
const assumedFPS = 30

func newLanczos(ctx context.Context, p engine.EnhancerParams) (*lanczos, error) {
	scaler, err := ffmpeg.NewScaler(ffmpeg.PictureOf(p.In), ffmpeg.PictureOf(p.Out), ffmpeg.Lanczos,
		threadsFor(p.Out, assumedFPS, p.Threads))
	if err != nil {
		return nil, fmt.Errorf("lanczos: %w", err)
	}
	pool, err := newOutputPool(p)
	if err != nil {
		scaler.Close()
		return nil, fmt.Errorf("lanczos: %w", err)
	}
	what := fmt.Sprintf("lanczos %s → %s on the CPU", p.In.Size(), p.Out.Size())
	return &lanczos{ctx: ctx, scaler: scaler, pool: pool, what: what, in: p.In}, nil
}

// Send implements engine.Stage.
func (l *lanczos) Send(in *media.Frame, emit func(*media.Frame) error) error {
	defer in.Release()
	out, err := output(l.ctx, l.pool, in)
	if err != nil {
		return err
	}
	if err := l.scaler.Frames(ffmpeg.Native(out), ffmpeg.Native(in)); err != nil {
		out.Release()
		return fmt.Errorf("lanczos: %w", err)
	}
	return emit(out)
}

// Try implements engine.Enhancer.
func (l *lanczos) Try() (time.Duration, error) { return tryOn(l.ctx, l, l.in) }

// Flush implements engine.Stage; nothing is held back.
func (l *lanczos) Flush(func(*media.Frame) error) error { return nil }

// Describe implements engine.Enhancer.
func (l *lanczos) Describe() string { return l.what }

// Close implements engine.Stage.
func (l *lanczos) Close() {
	l.scaler.Close()
	l.pool.Close()
}

// modelEnhancer runs a network on each picture. What differs between layouts is behind picture.
type modelEnhancer struct {
	ctx     context.Context //nolint:containedctx // bounds waiting in Send, see engine.Device
	net     *network
	pool    *engine.Pool
	picture picture
	in      media.Format
	what    string
}

// picture feeds a network with one layout: in's samples into the input tensor, run, the output tensor into out.
type picture interface {
	enhance(out, in *media.Frame) error
	close()
}

func newModelEnhancer(ctx context.Context, n *network, p engine.EnhancerParams) (*modelEnhancer, error) {
	if w, h := n.spec.Width, n.spec.Height; w > 0 && (w != p.In.Width || h != p.In.Height) {
		return nil, fmt.Errorf("%w: it takes pictures of %dx%d only and the camera sends %s; export it with dynamic height and width",
			model.ErrUnsupported, w, h, p.In.Size())
	}
	err := n.memory.holds(n.spec.Layout, p.In.Width, p.In.Height, n.spec.scale)
	if err != nil {
		return nil, err
	}
	e := &modelEnhancer{ctx: ctx, net: n, in: p.In}
	if n.spec.Layout == model.RGB {
		e.picture, err = newRGBPicture(n, p)
	} else {
		e.picture, err = newLumaPicture(n, p)
	}
	if err != nil {
		return nil, err
	}
	if e.pool, err = newOutputPool(p); err != nil {
		e.picture.close()
		return nil, err
	}
	e.what = fmt.Sprintf("%s ×%d on %s, %s → %s, ONNX Runtime %s on %d CPU threads", p.Rung, n.spec.scale, n.spec.Layout,
		p.In.Size(), p.Out.Size(), ort.GetVersion(), p.Threads)
	done := n.within(firstRun)
	_, err = e.Try() // so that the first picture of the camera does not pay for memory planning
	if err = done(err); err != nil {
		e.picture.close()
		e.pool.Close()
		return nil, err
	}
	return e, nil
}

// Try implements engine.Enhancer.
func (e *modelEnhancer) Try() (time.Duration, error) { return tryOn(e.ctx, e, e.in) }

// Send implements engine.Stage.
func (e *modelEnhancer) Send(in *media.Frame, emit func(*media.Frame) error) error {
	defer in.Release()
	out, err := output(e.ctx, e.pool, in)
	if err != nil {
		return err
	}
	if err := e.picture.enhance(out, in); err != nil {
		out.Release()
		return fmt.Errorf("model %s: %w", e.net.name, e.net.memory.explain(err))
	}
	return emit(out)
}

// Flush implements engine.Stage; nothing is held back.
func (e *modelEnhancer) Flush(func(*media.Frame) error) error { return nil }

// Describe implements engine.Enhancer.
func (e *modelEnhancer) Describe() string { return e.what }

// Close implements engine.Stage.
func (e *modelEnhancer) Close() {
	e.picture.close()
	e.pool.Close()
	e.net.close()
}
