//go:build !unix

package main

// maxConnections is how many clients are served at a time.
func maxConnections() int { return 1024 }
