// Package rtsp serves streams to RTSP readers and takes in RTSP publishers.
//
// A Server owns the port; a Path is one stream on it and a media.Sink. Each access unit is packetised once per path and
// shared by its readers. Every reader has a bounded queue of access units and one goroutine that feeds gortsplib's
// session; so Write never waits and no reader slows another.
//
// Drop policy: a reader whose queue is full skips to a keyframe: whole access units are dropped and counted as
// "slow_reader", never single RTP packets, and its sequence numbers stay contiguous. Order is that of Write. A packet's
// Data is kept, shared and never changed. Who closes: Server.Close ends all paths, Path.Close ends its readers.
//
// What strangers can take is bounded: connections in all and of one host; the time of a connection that neither plays
// nor publishes, since gortsplib has deadlines for writing and for publishers only; and the comparisons with bcrypt
// hashes, which are made one at a time, for few wrong guesses of a host, and once in a while for who has logged in.
package rtsp
