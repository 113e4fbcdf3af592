package linux

// orcEntrySize is sizeof(struct orc_entry), arch/x86/include/asm/orc_types.h.
const orcEntrySize = 6

type orcTables struct{}
