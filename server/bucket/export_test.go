package bucket

import (
	"testing"
	"time"
)

// Hurry leaves little time for what follows the end of a context.
func Hurry(t *testing.T) {
	before := afterwards
	afterwards = 10 * time.Millisecond
	t.Cleanup(func() { afterwards = before })
}
