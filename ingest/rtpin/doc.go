// Package rtpin turns the RTP packets of one connection into media packets, whichever protocol has set it up: it puts
// them in order (Reorderer), assembles access units, maps their times to the stream's, and delivers them (Receiver).
//
// Ownership: a packet's Data belongs to whoever receives it and is never changed. Ordering: packets come in the order
// of arrival (decoding order), one call at a time. Drop policy: an access unit with lost, malformed or too many bytes
// is dropped whole and counted by reason; the units after it are passed on, since decoders recover by themselves.
// Nothing is queued but what the Reorderer holds: Output.Packet runs on the goroutine that reads the network and must
// not block. Who closes: whoever has made the Receiver.
package rtpin
