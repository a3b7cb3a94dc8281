package rtpin

import (
	"os"
	"testing"

	"rave/bench/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }
