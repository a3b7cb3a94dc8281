// Package measure compares ways to get a camera's picture enhanced and republished: RAVE with one enhancer or another,
// the FFmpeg pipeline that one would otherwise write, and no way at all (the reader at the camera itself, which is what
// latency is added to).
//
// Camera, system and reader are processes of their own. A row is one system with one clip. Rows that compete are cut
// into slices and take turns, A B C A B C, so that a machine whose speed wanders treats them alike; each slice starts
// its system afresh, waits until pictures flow and then measures for its time. Numbers come from outside: latency, loss
// and order from the pictures, CPU and memory from /proc. Only the times of stages are RAVE's own word, from its status
// API.
package measure
