// Package soak lets RAVE serve for an hour and more while things go wrong around it, and judges what that leaves
// behind. Everything it says comes from outside: from pictures with numbers in them, from /proc and from RAVE's metrics.
//
// Run is the soak: four cameras of which one always misbehaves, readers that stay and readers that come and go. Slow
// is one camera with a model that takes four times as long as there is time for a picture. Both give a report with a
// table, a figure, the data behind it and a verdict: what bounds were broken.
//
// Cameras, readers and RAVE are processes of their own, ended with the run; each is restarted or counted when it ends
// before that. What happens when is decided by a seed.
package soak
