// Package e2e holds the tests in which ingest/rtsp and egress/rtsp work together with FFmpeg as camera and as reader. It
// is the only place below ingest and egress that imports both.
package e2e
