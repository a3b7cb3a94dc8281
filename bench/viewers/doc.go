// Package viewers measures what viewers of WebRTC cost and how soon they see something: RAVE beside a MediaMTX that serves
// the same camera in the same run. Viewers are processes of their own, whose cost is told apart from that of the servers;
// the servers take turns.
package viewers
