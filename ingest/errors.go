package ingest

import "errors"

// ErrPermanent marks failures that another attempt will not cure, such as a malformed URL, refused credentials or a
// codec that nobody here decodes. Keep tries again all the same, slowly, because cameras get repaired.
var ErrPermanent = errors.New("needs a change of configuration")

// ErrEnded marks the orderly end of a source that waits for its peer by itself, such as a publisher that left. Keep
// calls such a source again at once.
var ErrEnded = errors.New("ended by its sender")
