package main

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// byteSize is a flag with a number of bytes: 20GiB, 500M, 1000000; none is no
// limit, less than 0.
type byteSize int64

const noLimit = "none"

// sizeUnits are powers of 1,024, as the file system counts; the letter may have B
// or iB behind it.
const sizeUnits = "KMGT"

// String gives the number in the largest unit that it is a multiple of.
func (b *byteSize) String() string {
	n, unit := int64(*b), ""
	if n < 0 {
		return noLimit
	}
	for _, u := range sizeUnits {
		if n == 0 || n%1024 != 0 {
			break
		}
		n, unit = n/1024, string(u)+"iB"
	}
	return strconv.FormatInt(n, 10) + unit
}

// Set reads it.
func (b *byteSize) Set(s string) error {
	if s == noLimit {
		*b = -1
		return nil
	}
	upper := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(s), "B"), "I")
	factor := int64(1)
	if n := len(upper); n > 0 {
		if i := strings.IndexByte(sizeUnits, upper[n-1]); i >= 0 {
			upper, factor = upper[:n-1], 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(upper), 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/factor {
		return errors.New("not a number of bytes, such as 20GiB, and not none")
	}
	*b = byteSize(n * factor)
	return nil
}
