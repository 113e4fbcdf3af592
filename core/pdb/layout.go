package pdb

// Offsets and values of MSF 7.00 and of the PDB streams in it. Sources:
// Microsoft's microsoft-pdb (msf.cpp, dbi.h), LLVM's "The PDB File Format"; all
// fields are little-endian.
const (
	// Magic begins every PDB, CabMagic a cabinet, in which symbol servers may
	// hand one out ([MS-CAB]).
	Magic    = "Microsoft C/C++ MSF 7.00\r\n\x1aDS\x00\x00\x00"
	CabMagic = "MSCF"

	msfBlockSize  = 0x20 // u32
	msfNumBlocks  = 0x28 // u32
	msfDirBytes   = 0x2c // u32: size of the stream directory
	msfBlockMap   = 0x34 // u32, more of them up to the block's end when needed: blocks that list the directory's blocks
	msfSuperBytes = 0x38

	oldMagic   = "Microsoft C/C++ program database 2.00" // before MSF 7.00
	msfzMagic  = "Microsoft MSFZ Container"              // compressed, since 2024
	magicBytes = 64

	absentStream = 0xffffffff // a size: no such stream, it has no blocks
	noStream     = 0xffff     // a stream number: none

	infoStream  = 1
	infoVersion = 0x00 // u32
	infoAge     = 0x08 // u32
	infoGUID    = 0x0c
	infoBytes   = 0x1c
	infoVC70    = 20000404 // the first version with a GUID

	dbiStream        = 3
	dbiSignature     = 0x00 // i32, -1
	dbiAge           = 0x08 // u32
	dbiSymbols       = 0x14 // u16: stream of the symbol records
	dbiModules       = 0x18 // six i32 sizes of the substreams before the debug header, EC's is not among the neighbours
	dbiContributions = 0x1c
	dbiSectionMap    = 0x20
	dbiSources       = 0x24
	dbiTypeServers   = 0x28
	dbiDebugHeader   = 0x30 // i32 size
	dbiEC            = 0x34
	dbiMachine       = 0x3a // u16
	dbiBytes         = 0x40

	// Indexes in the debug header, an array of u16 stream numbers.
	debugOmapFromSource   = 4
	debugSections         = 5
	debugOriginalSections = 10
	debugEntries          = 11

	sectionBytes          = 40
	sectionVirtualAddress = 0x0c
	maxSections           = 0xffff // a segment number has 16 bits

	omapBytes = 8 // from u32, to u32

	// A symbol record: length u16 (of what follows it), kind u16.
	recordKind    = 0x02
	recordMin     = 4
	kindPublic    = 0x110e // S_PUB32
	publicOffset  = 0x08   // u32
	publicSegment = 0x0c   // u16
	publicName    = 0x0e
	maxRecord     = 2 + 0xffff

	machineI386 = 0x014c
)
