// Package engine turns the compressed packets of one camera into compressed packets of an enhanced picture.
//
// A Session owns everything between the two: decoder, enhancers, encoder, the queues between them and every raw frame.
// Raw frames never leave it. It is driven by Send and gives its packets to a media.Output; nothing in its interface is
// more than a message, so that it can run in another process.
//
// Ordering: packets go out in presentation order, one for each picture that was encoded, times ascending.
// Ownership: a *media.Frame has one owner; passing it on passes ownership even if the call errs.
// Drop policy: all of it is in drop.go.
// Errors: a bad access unit costs that access unit, a broken stage is rebuilt, a broken session starts again; none of
// it ends another stream.
package engine
