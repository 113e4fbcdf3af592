package pe

// Offsets and values of the PE/COFF format (Microsoft's "PE Format" document);
// all fields are little-endian.
const (
	dosMagic  = "MZ"
	dosBytes  = 0x40
	dosLfanew = 0x3c // u32: offset of the NT headers

	// From the NT headers on.
	ntMagic        = "PE\x00\x00"
	ntMachine      = 0x04 // u16
	ntSections     = 0x06 // u16
	ntTimestamp    = 0x08 // u32
	ntOptionalSize = 0x14 // u16
	ntOptional     = 0x18 // the optional header
	ntMagicField   = 0x18 // u16
	ntImageBase64  = 0x30 // u64 (PE32+)
	ntImageBase32  = 0x34 // u32 (PE32)
	ntSizeOfImage  = 0x50 // u32, both
	ntCheckSum     = 0x58 // u32, both
	ntDirCount32   = 0x74 // u32 (PE32)
	ntDirCount64   = 0x84 // u32 (PE32+)
	ntDirs32       = 0x78 // 8 bytes each: RVA u32, size u32
	ntDirs64       = 0x88
	ntBytes        = ntDirs64 + maxDirs*dirBytes

	magic32 = 0x10b
	magic64 = 0x20b

	dirBytes     = 8
	maxDirs      = 16
	dirExport    = 0
	dirException = 3
	dirDebug     = 6

	// A section header.
	sectionBytes           = 40
	sectionNameBytes       = 8
	sectionVirtualSize     = 0x08
	sectionVirtualAddress  = 0x0c
	sectionCharacteristics = 0x24
	sectionExecute         = 0x20000000 // IMAGE_SCN_MEM_EXECUTE
	sectionWrite           = 0x80000000 // IMAGE_SCN_MEM_WRITE

	// The export directory.
	exportName      = 0x0c // RVA of the module's name
	exportMinBytes  = 0x10
	exportBase      = 0x10 // ordinal of the first function
	exportFunctions = 0x14 // u32: how many functions, and how many names
	exportNames     = 0x18
	exportAddresses = 0x1c // RVAs of three arrays: functions, names, ordinals of the names
	exportNameList  = 0x20
	exportOrdinals  = 0x24
	exportBytes     = 0x28

	// An entry of the exception directory of x86-64, RUNTIME_FUNCTION.
	functionBegin  = 0x00
	functionEnd    = 0x04
	functionUnwind = 0x08
	functionBytes  = 12

	// An entry of the debug directory.
	debugBytes    = 28
	debugType     = 0x0c
	debugSize     = 0x10
	debugRVA      = 0x14 // AddressOfRawData: 0 when the record is not mapped
	debugPointer  = 0x18 // PointerToRawData: in the file, of no use in memory
	debugCodeView = 2

	// A CodeView record of PDB 7.0.
	rsdsMagic = "RSDS"
	rsdsGUID  = 0x04
	rsdsAge   = 0x14
	rsdsName  = 0x18
	nb10Magic = "NB10" // PDB 2.0
)

// Limits: real kernels stay far below them, and nothing an image claims makes
// the reader do more.
const (
	maxHeaderOffset = 4 * pageBytes // the NT headers begin in the first pages
	maxSections     = 96            // the limit the PE document gives
	maxDebugEntries = 32            // linkers write up to about eight
	maxNameBytes    = 1024          // of a PDB's path
	maxExportName   = 128           // of the module
	maxSymbolName   = 512           // of an export; a longer one is cut
	maxExports      = 1 << 16       // ordinals have 16 bits
	maxHoleProbes   = 64            // pages looked at on each side of a hole in a table
	minCodeView     = rsdsName + 2  // a record with a name of one letter
	pageBytes       = 4096
)
