// Package rtsp takes video and sound from RTSP cameras (Pull), and lets those in who publish to our own server by RTSP
// (Publish). What their packets turn into, and what is dropped, is package rtpin's.
//
// Nothing is queued: Output.Packet runs on the goroutine that reads the network and must not block. Who closes:
// cancelling Run's context closes the connection.
//
// Credentials stay with the host that they were given for: a camera may redirect to another port or path of its own
// host, and to another host only if there are none.
package rtsp
