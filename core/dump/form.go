package dump

import "encoding/binary"

var le = binary.LittleEndian

// Field is a place in a header. Bytes is its width: 1, 2, 4 or 8 of a number, more
// of a stretch; 0: this form has no such field.
type Field struct{ Off, Bytes int }

// Put stores a number, or as much of it as fits the field; nothing where the form
// does not have it.
func (f Field) Put(h []byte, v uint64) {
	for i := range f.Bytes {
		h[f.Off+i] = byte(v >> (8 * i))
	}
}

// Get reads a number; 0 where the form does not have it.
func (f Field) Get(h []byte) (v uint64) {
	for i := range f.Bytes {
		v |= uint64(h[f.Off+i]) << (8 * i)
	}
	return v
}

// In is the field's bytes in a header.
func (f Field) In(h []byte) []byte { return h[f.Off:][:f.Bytes] }

// End is the first offset behind the field.
func (f Field) End() int { return f.Off + f.Bytes }

// Form is a layout of the dump header. The names are those of DUMP_HEADER64 and
// DUMP_HEADER.
type Form struct {
	Signature string // the first eight bytes
	Bytes     int    // of the header; what follows it is page data or a bitmap
	MaxRuns   int    // whole runs that fit Windows' own buffer of 700 bytes
	RunBytes  int    // of one run: BasePage and PageCount, half each

	MajorVersion, MinorVersion             Field
	DirectoryTableBase, PfnDatabase        Field
	PsLoadedModuleList, PsActiveProcess    Field
	MachineImageType, NumberProcessors     Field
	BugCheckCode                           Field
	BugCheckParameters                     [4]Field
	VersionUser                            Field // 32 bytes of text
	PaeEnabled, KdSecondaryVersion         Field
	KdDebuggerDataBlock                    Field
	NumberOfRuns, NumberOfPages, Run       Field // Run: the first one
	Context, Exception                     Field
	ExceptionCode, ExceptionFlags          Field
	ExceptionAddress, ExceptionInformation Field // Information: the first parameter
	Comment                                Field // 128 bytes of text
	DumpType, RequiredDumpSpace            Field
	SystemTime, SystemUpTime               Field // FILETIME; 100 ns
	MiniDumpFields, SecondaryDataState     Field
	ProductType, SuiteMask, WriterStatus   Field
	Attributes                             Field
}

// Form64 is DUMP_HEADER64 (x64, ARM64). Source: kdmp-parser's structures; QEMU
// 10.2 include/qemu/win_dump_defs.h agrees where it names a field. Between the
// counts and behind them are words of padding.
var Form64 = &Form{
	Signature: "PAGEDU64", Bytes: 0x2000, MaxRuns: 42, RunBytes: 16,
	MajorVersion: Field{0x0008, 4}, MinorVersion: Field{0x000c, 4},
	DirectoryTableBase: Field{0x0010, 8}, PfnDatabase: Field{0x0018, 8},
	PsLoadedModuleList: Field{0x0020, 8}, PsActiveProcess: Field{0x0028, 8},
	MachineImageType: Field{0x0030, 4}, NumberProcessors: Field{0x0034, 4},
	BugCheckCode: Field{0x0038, 4}, BugCheckParameters: [4]Field{{0x0040, 8}, {0x0048, 8}, {0x0050, 8}, {0x0058, 8}},
	VersionUser: Field{0x0060, 32}, KdDebuggerDataBlock: Field{0x0080, 8},
	NumberOfRuns: Field{0x0088, 4}, NumberOfPages: Field{0x0090, 8}, Run: Field{0x0098, 16},
	Context: Field{0x0348, 3000}, Exception: Field{0x0f00, 0x98},
	ExceptionCode: Field{0x0f00, 4}, ExceptionFlags: Field{0x0f04, 4},
	ExceptionAddress: Field{0x0f10, 8}, ExceptionInformation: Field{0x0f20, 8},
	DumpType: Field{0x0f98, 4}, RequiredDumpSpace: Field{0x0fa0, 8},
	SystemTime: Field{0x0fa8, 8}, Comment: Field{0x0fb0, 128}, SystemUpTime: Field{0x1030, 8},
	MiniDumpFields: Field{0x1038, 4}, SecondaryDataState: Field{0x103c, 4},
	ProductType: Field{0x1040, 4}, SuiteMask: Field{0x1044, 4}, WriterStatus: Field{0x1048, 4},
	KdSecondaryVersion: Field{0x104d, 1}, Attributes: Field{0x1050, 4},
}

// Form32 is DUMP_HEADER (x86). Source: QEMU 10.2 include/qemu/win_dump_defs.h,
// checked on a dump that QEMU wrote; the end as Rekall and volatility read it.
var Form32 = &Form{
	Signature: "PAGEDUMP", Bytes: 0x1000, MaxRuns: 86, RunBytes: 8,
	MajorVersion: Field{0x008, 4}, MinorVersion: Field{0x00c, 4},
	DirectoryTableBase: Field{0x010, 4}, PfnDatabase: Field{0x014, 4},
	PsLoadedModuleList: Field{0x018, 4}, PsActiveProcess: Field{0x01c, 4},
	MachineImageType: Field{0x020, 4}, NumberProcessors: Field{0x024, 4},
	BugCheckCode: Field{0x028, 4}, BugCheckParameters: [4]Field{{0x02c, 4}, {0x030, 4}, {0x034, 4}, {0x038, 4}},
	VersionUser: Field{0x03c, 32}, PaeEnabled: Field{0x05c, 1}, KdSecondaryVersion: Field{0x05d, 1},
	KdDebuggerDataBlock: Field{0x060, 4},
	NumberOfRuns:        Field{0x064, 4}, NumberOfPages: Field{0x068, 4}, Run: Field{0x06c, 8},
	Context: Field{0x320, 1200}, Exception: Field{0x7d0, 0x50},
	ExceptionCode: Field{0x7d0, 4}, ExceptionFlags: Field{0x7d4, 4},
	ExceptionAddress: Field{0x7dc, 4}, ExceptionInformation: Field{0x7e4, 4},
	Comment: Field{0x820, 128}, DumpType: Field{0xf88, 4},
	MiniDumpFields: Field{0xf8c, 4}, SecondaryDataState: Field{0xf90, 4},
	ProductType: Field{0xf94, 4}, SuiteMask: Field{0xf98, 4}, WriterStatus: Field{0xf9c, 4},
	RequiredDumpSpace: Field{0xfa0, 8}, SystemUpTime: Field{0xfb8, 8}, SystemTime: Field{0xfc0, 8},
}

// FormOf tells a header's form by its signature; nil: it is none, or not whole.
func FormOf(h []byte) *Form {
	for _, f := range []*Form{Form64, Form32} {
		if len(h) >= f.Bytes && string(h[:len(f.Signature)]) == f.Signature {
			return f
		}
	}
	return nil
}

// Blank is a header in which nothing is set but its signature; fill is what the
// unset bytes hold again and again. "": zeros.
func (f *Form) Blank(fill string) []byte {
	h := make([]byte, f.Bytes)
	if fill != "" {
		for i := range h {
			h[i] = fill[i%len(fill)]
		}
	}
	copy(h, f.Signature)
	return h
}

// Fill is what Windows leaves in fields that it does not set.
const Fill = "PAGE"

// The values of DumpType, by who writes them.
const (
	TypeFull         = 1
	TypeTriage       = 4
	TypeBitmap       = 5 // "active", "automatic", and kernel-only ones
	TypeBitmapKernel = 6 // live kernel reports
)
