package soak

import (
	"time"

	"gonum.org/v1/gonum/stat"
)

// growth fits a line to values over time and returns by how much it rises from the first point to the last, and per
// hour. Fewer than three points have none.
func growth(at []time.Duration, values []float64) (over, perHour float64) {
	if len(at) < 3 || at[len(at)-1] <= at[0] {
		return 0, 0
	}
	hours := make([]float64, len(at))
	for i, t := range at {
		hours[i] = t.Hours()
	}
	_, perHour = stat.LinearRegression(hours, values, nil, false)
	return perHour * (hours[len(hours)-1] - hours[0]), perHour
}
