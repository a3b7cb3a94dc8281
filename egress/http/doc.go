// Package web is RAVE's HTTP side: a status page, the same as JSON, metrics and health checks. It only shows; nothing
// here changes a stream.
//
//	/                status page; refreshes itself, with or without a script
//	/api/v1/status   the same as JSON (type Status)
//	/metrics         Prometheus
//	/healthz         200 while the process lives
//	/readyz          200 once it serves, else 503; with the reasons as JSON (type Readiness)
//
// With an Auth, all but the health checks ask for a user with the permission "status". The health checks tell
// strangers no names and no camera's errors.
//
// A Server is made by New, which opens the port, serves in Run, and ends within two seconds whatever its visitors do:
// with Run's context, or by Close. Everything that comes from outside, such as a camera's error text, is escaped.
package web
