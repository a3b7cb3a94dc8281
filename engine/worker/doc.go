// Package worker runs an engine.Session in a process of its own, so that a crash in a C library costs a restart of that
// process and no viewer. A Client stands for the session in the main process and looks like one; Main is the other side
// of it, in the worker process.
//
//	Client.Send → window → socket → Main → engine.Session → socket → Client → media.Output, engine.Observer, slog
//
// Snapshots are asked for and answered by messages with a number (snapshot.go). Renditions come beside the enhanced packets, to
// outputs of their own; which are wanted is state that each worker is told at its start (rendition.go).
//
// The two talk over a socket pair, file descriptor 3 of the worker (wire.go, message.go). Packets, control, statistics
// and log records cross it; memory, contexts and devices do not: the worker builds its own plan from an opaque
// specification.
//
// Ordering: packets come out in presentation order, times ascending across restarts; after a restart the first one is a
// keyframe. Calls of the Output come from one goroutine, calls of the Observer from several.
// Ownership: the data of packets is shared and never changed. A Client owns its process and reaps it.
// Drop policy: what the session drops is decided in the worker, by package engine. The Client itself drops only what the
// worker does not take (window.go), always up to a keyframe. Each access unit becomes a picture or a counted drop, once,
// however many workers have had it (account.go). A picture that is shown again while the camera is away is none.
// Restarts: a worker that ends, hangs or talks nonsense is replaced at once (supervise.go), and the new one is given the
// packets from the last keyframe on. Repeated quick deaths are slowed down, and a group of pictures that workers die with
// again and again is skipped.
// Memory: a worker has a limit, and a model that two workers in a row died of is not tried for a while (blame.go).
// Close: Run ends when its context does; no process, goroutine or descriptor is left then. A worker whose main process
// has gone is killed by the kernel.
package worker
