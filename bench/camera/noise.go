package camera

import (
	"bytes"
	"math/rand/v2"
)

// noise returns data with noise behind its first start code and header. The data themselves stay: the clip's next loop
// needs them.
func noise(seed int64, data []byte) []byte {
	data = bytes.Clone(data)
	random := rand.New(rand.NewPCG(uint64(seed), 1))
	const kept = 5
	for i := kept; i < len(data); i++ {
		data[i] = byte(4 + random.IntN(252)) // nothing may look like another start code
	}
	return data
}
