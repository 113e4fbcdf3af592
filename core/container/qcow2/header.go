package qcow2

import (
	"context"
	"encoding/binary"
	"fmt"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/source"
)

// be is the byte order of every table in the file.
var be = binary.BigEndian

// The header. Source: QEMU docs/interop/qcow2.txt, "Header". All offsets in bytes.
const (
	signature = "QFI\xfb"

	versionAt      = 4
	backingAt      = 8  // u64, of the backing file's name; 0: none
	backingLenAt   = 16 // u32, of that name
	clusterBitsAt  = 20
	diskSizeAt     = 24 // u64
	cryptAt        = 32 // u32, method; 0: none
	snapshotsAt    = 60 // u32, how many
	snapshotsOffAt = 64 // u64, of their table
	header2        = 72 // bytes of version 2

	incompatibleAt = 72  // u64
	headerLenAt    = 100 // u32
	compressionAt  = 104 // u8, where the header is longer
	header3        = 104
	headerBytes    = 105 // of what is read
)

// Incompatible features of version 3.
const (
	featureDirty       = 1 << 0 // reference counts: of no concern to a reader
	featureCorrupt     = 1 << 1
	featureDataFile    = 1 << 2
	featureCompression = 1 << 3
	featureExtendedL2  = 1 << 4
	featuresKnown      = featureDirty | featureCorrupt | featureDataFile | featureCompression | featureExtendedL2
)

// Compression types.
const (
	compressionDeflate = 0
	compressionZstd    = 1
)

// The types of header extensions that are looked at.
const (
	extensionEnd      = 0
	extensionDataFile = 0x44415441 // the external data file's name
)

// Bounds, those of QEMU (block/qcow2.h) where it has one.
const (
	minClusterBits, maxClusterBits = 9, 21
	maxFileName                    = 1023 // bytes of a backing or data file's name
	maxExtensions                  = 64
	// metaCache is the cache of headers, snapshot table, L1 and L2 tables.
	metaCache = 2 << 20
)

// image is an opened file.
type image struct {
	file source.Source
	meta *mem.File // the file, through a cache

	version      uint32
	cluster      int64 // bytes
	clusterBits  uint
	entry        int64 // bytes of an L2 entry: 16 with subclusters
	disk         uint64
	zstd         bool // compressed clusters are; else deflate
	corrupt      bool // QEMU marked it so
	snapshots    uint32
	snapshotsOff uint64

	// refused says why the snapshots' memory is not read, though they can be listed.
	refused error
}

// read fills p from off on, through the cache; what is behind the end of the file
// is a *fault.Error, truncated.
func (im *image) read(p []byte, off uint64, what string) error {
	if off > uint64(im.file.Size) || uint64(len(p)) > uint64(im.file.Size)-off {
		return fault.New(fault.Truncated, "the disk image ends inside %s, at %#x", what, im.file.Size)
	}
	return im.meta.ReadAt(p, mem.PA(off))
}

// damaged is what is wrong with a table.
func damaged(format string, args ...any) error {
	return fault.New(fault.DamagedHeader, "the disk image is damaged: "+format, args...)
}

// parse reads the header, and refuses what is no image that is known.
func parse(ctx context.Context, s source.Source) (*image, error) {
	meta, err := mem.NewFile(s, []mem.Extent{{Bytes: uint64(s.Size)}}, metaCache)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "")
	}
	im := &image{file: s, meta: meta, entry: 8}
	h := make([]byte, headerBytes)
	if err := im.read(h[:header2], 0, "its header"); err != nil {
		return nil, err
	}
	im.version = be.Uint32(h[versionAt:])
	im.disk = be.Uint64(h[diskSizeAt:])
	im.snapshots, im.snapshotsOff = be.Uint32(h[snapshotsAt:]), be.Uint64(h[snapshotsOffAt:])
	bits := be.Uint32(h[clusterBitsAt:])
	switch {
	case im.version == 1:
		return nil, fault.New(fault.OtherFormat, "this is a qcow disk image (version 1), which can hold no snapshot with memory")
	case im.version != 2 && im.version != 3:
		return nil, fault.New(fault.DiskUnsupported, "this is a qcow2 disk image of version %d; 2 and 3 are known", im.version)
	case bits < minClusterBits || bits > maxClusterBits:
		return nil, damaged("clusters of 2^%d bytes; %d to %d can be", bits, minClusterBits, maxClusterBits)
	}
	im.clusterBits, im.cluster = uint(bits), 1<<bits
	length, features := uint32(header2), uint64(0)
	if im.version == 3 {
		if err := im.read(h[:header3], 0, "its header"); err != nil {
			return nil, err
		}
		length, features = be.Uint32(h[headerLenAt:]), be.Uint64(h[incompatibleAt:])
		if length < header3 || int64(length) > im.cluster {
			return nil, damaged("a header of %d bytes", length)
		}
		if length > compressionAt {
			if err := im.read(h, 0, "its header"); err != nil {
				return nil, err
			}
		}
	}
	if err := im.features(features, h[compressionAt]); err != nil {
		return nil, err
	}
	switch {
	case features&featureDataFile != 0:
		name, err := im.dataFile(ctx, length)
		if err != nil {
			return nil, err
		}
		im.refused = fault.New(fault.DiskUnsupported, "the clusters of this qcow2 disk image lie in another file%s", name)
	case be.Uint32(h[cryptAt:]) != 0:
		im.refused = fault.New(fault.DiskUnsupported, "this qcow2 disk image is encrypted (%s), and its snapshots are with it", cryptName(be.Uint32(h[cryptAt:])))
	case be.Uint64(h[backingAt:]) != 0:
		im.refused = im.backed(be.Uint64(h[backingAt:]), be.Uint32(h[backingLenAt:]))
	}
	return im, nil
}

// features takes the incompatible features.
func (im *image) features(f uint64, compression byte) error {
	if unknown := f &^ uint64(featuresKnown); unknown != 0 {
		return fault.New(fault.DiskUnsupported, "this qcow2 disk image needs features that are not known (%#x)", unknown)
	}
	im.corrupt = f&featureCorrupt != 0
	if f&featureExtendedL2 != 0 {
		im.entry = 16
		if im.cluster/subclusters < 512 {
			return damaged("subclusters of %d bytes", im.cluster/subclusters)
		}
	}
	if f&featureCompression == 0 {
		return nil // whatever the byte says: deflate
	}
	switch compression {
	case compressionDeflate:
	case compressionZstd:
		im.zstd = true
	default:
		return fault.New(fault.DiskUnsupported, "this qcow2 disk image is compressed in a way that is not known (%d)", compression)
	}
	return nil
}

func cryptName(method uint32) string {
	switch method {
	case 1:
		return "AES"
	case 2:
		return "LUKS"
	}
	return fmt.Sprintf("method %d", method)
}

// backed refuses an image over another one, by that one's name.
func (im *image) backed(at uint64, length uint32) error {
	named := ""
	if length > 0 && length <= maxFileName {
		name := make([]byte, length)
		if im.read(name, at, "") == nil { // the name is a courtesy
			named = fmt.Sprintf(", %q", name)
		}
	}
	// QEMU writes all of a snapshot's memory into the image itself.
	return fault.New(fault.DiskUnsupported, "this qcow2 disk image lies over another one, its backing file%s", named).Add(
		fault.Step{Text: "the memory of a snapshot is in this file alone: a copy that forgets the backing file can be read; use the copy for nothing else", Command: "cp {file} {file}.copy && qemu-img rebase -u -b '' {file}.copy"})
}

// dataFile gives the name of the external data file, as the end of a sentence.
func (im *image) dataFile(ctx context.Context, at uint32) (string, error) {
	pos := uint64(at+7) &^ 7
	for range maxExtensions {
		if err := ctx.Err(); err != nil {
			return "", fault.Wrap(err, fault.Cancelled, "")
		}
		var head [8]byte
		if int64(pos)+8 > im.cluster || im.read(head[:], pos, "") != nil {
			break // the name is a courtesy
		}
		kind, length := be.Uint32(head[:]), be.Uint32(head[4:])
		pos += 8
		switch {
		case kind == extensionEnd:
			return "", nil
		case kind == extensionDataFile && length > 0 && length <= maxFileName:
			name := make([]byte, length)
			if im.read(name, pos, "") == nil {
				return fmt.Sprintf(", %q", name), nil
			}
		}
		pos += (uint64(length) + 7) &^ 7
	}
	return "", nil
}
