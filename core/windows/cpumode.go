package windows

// Mode says what a CPU was executing when the core was taken. Only CPUs in
// kernel or user mode are Windows' processors.
type Mode string

// The modes.
const (
	ModeKernel     Mode = "kernel"     // Windows, ring 0
	ModeUser       Mode = "user"       // Windows, ring 3
	ModeHypervisor Mode = "hypervisor" // ring 0 with page tables and code of its own
	ModeVTL1       Mode = "vtl1"       // the secure kernel beside Windows
	ModeFirmware   Mode = "firmware"   // identity-mapped or without paging: firmware, or SMM in long mode
	ModeSMM        Mode = "smm"        // system management mode, as it is entered
	ModeReset      Mode = "reset"      // at the reset vector: never started, or parked
	ModeUnknown    Mode = "unknown"
)
