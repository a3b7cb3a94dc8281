// Package ffmpeg is a thin layer over go-astiav: decode, deinterlace, scale, encode. It knows FFmpeg's traps and no
// policy: what to drop, when to rebuild and what to tell the user is decided by its callers.
//
// Every type here belongs to one goroutine at a time and must be closed by its owner. Frames are media.Frames whose
// Native is the *astiav.Frame that holds the memory.
//
// go-astiav's SetLogCallback is never used: it formats into a fixed buffer, which a long log line of a hostile stream
// overflows. SetLogger installs a callback that formats by av_log_format_line2 instead.
package ffmpeg
