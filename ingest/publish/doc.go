// Package publish gives the publishers of a stream their turns, whatever they speak: one at a time sends to it. Package
// ingest/rtsp lets in those that come by RTSP, package ingest/whip those that come by WebRTC.
//
// Ownership and ordering are those of ingest/rtpin. Who closes: whoever has taken a turn ends it with Leave; the Source asks
// for that by calling hangUp.
package publish
