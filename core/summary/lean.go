//go:build lean

package summary

// OfLinux is empty: Linux guests and logs are the whole program's.
type OfLinux struct{}

func (s *Summary) linuxGuest(Facts) {}
