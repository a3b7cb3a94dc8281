// Package rtsp takes video and sound from RTSP cameras (Pull) and from RTSP clients that publish to our own server
// (Publish), and turns RTP packets into access units.
//
// Ownership: a packet's Data belongs to whoever receives it and is never changed. Ordering: packets come in the order
// of arrival (decoding order), one call at a time. Drop policy: an access unit with lost, malformed or too many bytes
// is dropped whole and counted by reason through OnDrop; the units after it are passed on, since decoders recover by
// themselves. Nothing is queued: Output.Packet runs on the goroutine that reads the network and must not block. Who
// closes: cancelling Run's context closes the connection.
//
// Credentials stay with the host that they were given for: a camera may redirect to another port or path of its own
// host, and to another host only if there are none.
package rtsp
