// Package words holds what people read for the fixed words of the summary: one
// table for the command line and the page. web/words.js is generated from it:
// go test ./core/words -update writes it.
package words

import (
	"fmt"
	"strconv"
	"strings"
)

// Table is everything that has fixed words, by its name in the summary.
type Table struct {
	Formats  map[string]string `json:"formats"`   // file.format
	DTBFrom  map[string]string `json:"dtb_from"`  // windows.dtb_from.way; {cpu} is its CPU
	FoundBy  map[string]string `json:"found_by"`  // windows.kdbg.found_by
	Symbols  map[string]string `json:"symbols"`   // symbols.status; {from} is where they came from
	From     map[string]string `json:"from"`      // symbols.from.kind; {name} is its name
	Register map[string]string `json:"registers"` // cpus[].registers_from
	Modes    map[string]string `json:"modes"`     // cpus[].mode
}

// All is the table.
var All = Table{
	Formats: map[string]string{"elf": "ELF core", "savevm": "saved VM state", "qcow2": "snapshot in a qcow2 disk image", "log": "kernel log"},
	DTBFrom: map[string]string{
		"cr3":           "CR3 of CPU {cpu}",
		"system-task":   "CR3 of CPU {cpu} (system task)",
		"kernel-gs":     "memory at the kernel GS base of CPU {cpu} + 0x7000",
		"cr3-sibling":   "the page beside CR3 of CPU {cpu}",
		"kpcr":          "the control region of CPU {cpu}",
		"fwcfg-note":    "the note that the guest left in the core",
		"low-stub":      "the start-up stub in low memory",
		"self-map-scan": "a search for page tables that map themselves",
		"kdbg-scan":     "a search for page tables that map the kernel",
	},
	FoundBy: map[string]string{
		"pdb":             "with the PDB",
		"plain":           "by its tag in memory",
		"known-plaintext": "by values that it must hold",
		"fwcfg":           "by the note that the guest left in the core",
	},
	Symbols: map[string]string{
		"none-needed": "not needed",
		"needed":      "needed, and nobody was asked",
		"found":       "from {from}",
		"missing":     "asked for, not to be had",
	},
	From: map[string]string{
		"file": "the file {name}", "store": "the symbol store {name}", "server": "the server {name}", "cache": "the cache of this browser",
	},
	Modes: map[string]string{
		"kernel": "in kernel mode", "user": "in user mode", "hypervisor": "in the hypervisor", "vtl1": "in VTL1, beside Windows",
		"firmware": "in firmware", "smm": "in SMM", "reset": "in reset", "unknown": "elsewhere",
	},
	Register: map[string]string{
		"live": "as the CPU had them when the core was taken", "record": "as Windows recorded them", "none": "not known",
	},
}

// Of gives the words of a value, the value itself where it has none; names fill
// in what stands in braces: "cpu", "1".
func Of(table map[string]string, value string, names ...string) string {
	text, ok := table[value]
	if !ok {
		return value
	}
	for i := 0; i+1 < len(names); i += 2 {
		text = strings.ReplaceAll(text, "{"+names[i]+"}", names[i+1])
	}
	return text
}

// DTBFrom words the way to a page-table base; cpu is nil where it begins at none.
func DTBFrom(way string, cpu *int) string {
	number := ""
	if cpu != nil {
		number = strconv.Itoa(*cpu)
	}
	return Of(All.DTBFrom, way, "cpu", number)
}

// Bytes words a number of bytes in units of 1000: "4.8 GB".
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d bytes", n)
	}
	f, unit := float64(n), ""
	for _, unit = range []string{"kB", "MB", "GB", "TB", "PB"} {
		if f /= 1000; f < 1000 {
			break
		}
	}
	if f < 10 {
		return fmt.Sprintf("%.1f %s", f, unit)
	}
	return fmt.Sprintf("%.0f %s", f, unit)
}

// Count words a number of things.
func Count(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "s") || strings.HasSuffix(noun, "ch"):
		return fmt.Sprintf("%d %ses", n, noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Machine words the type of a virtual machine as QEMU calls it, with the version
// from which on QEMU has it.
func Machine(name string) string {
	i := strings.LastIndexByte(name, '-')
	version, _, _ := strings.Cut(name[i+1:], "+") // Proxmox VE adds its own
	major, minor, ok := strings.Cut(version, ".")
	_, err := strconv.ParseUint(major, 10, 8)
	_, err2 := strconv.ParseUint(minor, 10, 8)
	if i < 0 || !ok || err != nil || err2 != nil {
		return name
	}
	return name + ", of QEMU " + version + " or later"
}
