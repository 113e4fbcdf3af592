package elfcore

// class is where the fields of the ELF header, of program headers and of section
// headers are, by the file's class. Source: System V ABI, chapters 4 and 5;
// QEMU's dump/dump.c writes them. QEMU writes a core of class 32 for a guest of
// less than 4 GiB whose CPU 0 was not in long mode, if nothing lies at the end
// of the first 4 GiB (firmware in flash).
type class struct {
	name                                       string
	word                                       int // bytes of an address, an offset, a size
	ehdr, phoff, shoff                         int
	phSize, phCount, shSize, shCount, shNames  int // e_ehsize before them is 8 from QEMU and never looked at
	phdr, phOffset, phPaddr, phFileSz, phMemSz int
	shdr, shOffset, shBytes, shInfo            int
	outside                                    uint64 // p_offset of memory that is not in the file
}

var (
	class64 = class{name: "ELF64", word: 8, ehdr: 0x40, phoff: 0x20, shoff: 0x28, phSize: 0x36, phCount: 0x38, shSize: 0x3a, shCount: 0x3c, shNames: 0x3e,
		phdr: 0x38, phOffset: 0x08, phPaddr: 0x18, phFileSz: 0x20, phMemSz: 0x28, shdr: 0x40, shOffset: 0x18, shBytes: 0x20, shInfo: 0x2c, outside: 1<<64 - 1}
	class32 = class{name: "ELF32", word: 4, ehdr: 0x34, phoff: 0x1c, shoff: 0x20, phSize: 0x2a, phCount: 0x2c, shSize: 0x2e, shCount: 0x30, shNames: 0x32,
		phdr: 0x20, phOffset: 0x04, phPaddr: 0x0c, phFileSz: 0x10, phMemSz: 0x14, shdr: 0x28, shOffset: 0x10, shBytes: 0x14, shInfo: 0x1c, outside: 1<<32 - 1}
)

// at reads an address, an offset or a size.
func (c *class) at(p []byte, off int) uint64 {
	if c.word == 4 {
		return uint64(le.Uint32(p[off:]))
	}
	return le.Uint64(p[off:])
}

const (
	identClass  = 0x04
	ehdrMachine = 0x12
	phdrType    = 0x00 // of both classes

	typeLoad = 1
	typeNote = 4
	extended = 0xffff // PN_XNUM: the count is in section header 0

	// addressEnd is the end of the physical addresses that x86-64 and ARM64 can
	// have.
	addressEnd = 1 << 52
)

// A note record: three 32-bit words, then name and descriptor, each padded to
// four bytes.
const (
	noteNameSize = 0
	noteDescSize = 4
	noteType     = 8
	noteHeader   = 12
	noteAlign    = 4

	noteStatus = 1 // NT_PRSTATUS
)

// Bounds on what a file can make us do; real cores stay far below them.
const (
	maxHeaders     = 1 << 24   // program headers; 70,572 in the largest real table seen
	tableChunk     = 512 << 10 // bytes of the table per read
	maxNotes       = 64 << 20  // bytes of note segments walked
	noteWindow     = 256 << 10 // bytes of notes per read
	maxCPUs        = 4096      // QEMU's own limit is 4096 (x86 q35)
	maxGuestNotes  = 64
	maxGuestNote   = 64 << 10 // the largest known (Windows dump header) has 8216
	maxNameCompare = 32
)
