// Package web is RAVE's HTTP side: the page, the API, metrics, health checks, and the ways in and out for browsers.
//
//	/                              the page of all streams
//	/NAME                          the page of one; what both load is below /ui/
//	/NAME/whep, /NAME/original/whep, /NAME/whip   handed to Config.WHEP and Config.WHIP
//	/api/v1/status                 all of it as JSON (type Status)
//	/api/v1/streams[/NAME]         the streams as JSON (type Stream)
//	/api/v1/streams/NAME/snapshot.jpg   the latest picture
//	/api/v1/events                 the streams each second, as server-sent events
//	/api/v1/openapi.json           the description of the API
//	POST /api/v1/probe, /api/v1/streams   look at a camera and add it, by Config.Cameras
//	/metrics                       Prometheus
//	/healthz                       200 while the process lives
//	/readyz                        200 once it serves, else 503; with the reasons as JSON (type Readiness)
//
// All paths are in one table (routes), with what each takes: enter checks, in this order, the header Host, the
// method, the origin, who it is and may do it, and the size of the body; preflights (CORS) are answered behind the first. Errors are problems (RFC 9457). With an Auth, all but the health
// checks ask for a user. The health checks tell strangers no names and no camera's errors.
//
// A Server is made by New, which opens the port, serves in Run, and ends within two seconds whatever its visitors do:
// with Run's context, or by Close. What comes from outside, such as a
// camera's error text, is sent as JSON and shown as text.
package web
