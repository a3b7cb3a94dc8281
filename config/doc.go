// Package config reads rave.yaml into a typed Config and says precisely what is wrong with a file it refuses.
//
// A value comes from the defaults, is replaced by the file, and that by the environment (RAVE_RTSP_LISTEN for
// rtsp.listen). Unknown keys, keys given twice and unknown RAVE_ variables fail. All errors of a file are reported
// together, one a line, each with its place, key, value and fix:
//
//	rave.yaml:12: streams.cam1.output.scale: "5x" is not a scale; use auto, 1, 1.5, 2, 3 or 4
//
// Every section lists its keys once, in its method schema; reading, writing, the environment and the check that
// rave.example.yaml documents every key all walk that list. Passwords are of type Secret and never printed; neither
// they nor credentials in URLs occur in errors.
//
// A Config is not changed after it was loaded and may be shared between goroutines. The package knows nothing of the
// rest of RAVE.
package config
