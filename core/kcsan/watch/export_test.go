//go:build kcsan

package watch

import "coredrop/core/kcsan"

// Counter returns one of the kernel's counters since Configure.
func Counter(id kcsan.Counter) int64 { return current.Load().reporter.Counters().Load(id) }
