// Package cuda is a thin layer over NVIDIA's driver: libcuda for contexts, streams, events, memory and kernels, NVML for
// what the card as a whole uses, nvcuvid and nvidia-encode for what its decoders and encoders can do. It has no policy.
//
// The libraries are opened at run time (dlopen), since a machine without NVIDIA must start as well; nothing of NVIDIA's is
// needed to build. The few types and functions used are declared in shim.h.
//
// Ownership: a Context, Stream, Event, Memory, Pinned or Module belongs to who made it and is closed by that owner, once
// the work that uses it has finished; the Context last, then the Driver. A Context that closes with something of it still
// open says what. All of a Context's methods may be called from any goroutine: every call makes the context current on
// its thread first, since goroutines move between threads. A Stream's work runs in the order of the calls; two
// goroutines that use one Stream order their calls themselves.
//
// Everything that takes a Stream is asynchronous: it returns when the work is queued, and what it reads and writes must
// stay as it is until an Event recorded behind it is done. Upload, Download and Sync wait.
//
// Errors: an *Error tells CUDA's name of it and what was attempted. After some errors (a kernel that wrote where it must
// not, a card that fell off the bus) the context of the whole process is gone and every later call fails likewise:
// errors.Is(err, ErrLost). Only a new process helps.
package cuda
