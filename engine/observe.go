package engine

import "time"

// Names of stages, as they appear in metrics.
const (
	StageDecode  = "decode"
	StageEnhance = "enhance"
	StageEncode  = "encode"
	StageTotal   = "total" // arrival of the packet to the writing of the enhanced one
)

// Observer is told what happens in a Session. Calls come from several goroutines and must not block. Everything here
// could be a message to another process.
type Observer interface {
	// StageDone reports one input of a stage: how long it waited for the stage, and how long the stage worked on it.
	StageDone(stage string, waited, worked time.Duration)
	// Dropped reports n packets or pictures given up.
	Dropped(stage, reason string, n int)
	// Decoded reports one picture of the camera.
	Decoded()
	// Made reports one enhanced picture that was encoded, by whom, in how many bytes.
	Made(enhancer string, bytes int)
	// Planned reports a new generation: the plan in words.
	Planned(plan string, in, out string)
	// RungLoaded reports that an enhancer has been opened, or why not.
	RungLoaded(rung string, err error)
	// RungChanged reports that another enhancer makes the pictures from now on, and why: one of the Change constants.
	// from is empty for the first. ChangeLeftOut tells of one that turned out to be too slow before it has served.
	RungChanged(from, to, reason string)
	// Waiting reports how many items wait for a stage.
	Waiting(stage string, n int)
}
