module coredrop

go 1.26

require (
	github.com/hack-pad/hackpadfs v0.2.4 // indirect
	github.com/rogpeppe/go-internal v1.14.1 // indirect
)
