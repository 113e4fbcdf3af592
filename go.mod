module coredrop

go 1.26
