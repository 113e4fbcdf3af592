// Generated from core/words by go test ./core/words -update. What people read
// for the fixed words of the summary; braces are filled in by of().
/** @type {Record<string, Record<string, string>>} */
export const words = {
  "formats": {
    "elf": "ELF core",
    "log": "kernel log",
    "qcow2": "snapshot in a qcow2 disk image",
    "savevm": "saved VM state"
  },
  "dtb_from": {
    "cr3": "CR3 of CPU {cpu}",
    "cr3-sibling": "the page beside CR3 of CPU {cpu}",
    "fwcfg-note": "the note that the guest left in the core",
    "kdbg-scan": "a search for page tables that map the kernel",
    "kernel-gs": "memory at the kernel GS base of CPU {cpu} + 0x7000",
    "kpcr": "the control region of CPU {cpu}",
    "low-stub": "the start-up stub in low memory",
    "self-map-scan": "a search for page tables that map themselves",
    "system-task": "CR3 of CPU {cpu} (system task)"
  },
  "found_by": {
    "fwcfg": "by the note that the guest left in the core",
    "known-plaintext": "by values that it must hold",
    "pdb": "with the PDB",
    "plain": "by its tag in memory"
  },
  "symbols": {
    "found": "from {from}",
    "missing": "asked for, not to be had",
    "needed": "needed, and nobody was asked",
    "none-needed": "not needed"
  },
  "from": {
    "cache": "the cache of this browser",
    "file": "the file {name}",
    "server": "the server {name}",
    "store": "the symbol store {name}"
  },
  "registers": {
    "live": "as the CPU had them when the core was taken",
    "none": "not known",
    "record": "as Windows recorded them"
  },
  "modes": {
    "firmware": "in firmware",
    "hypervisor": "in the hypervisor",
    "kernel": "in kernel mode",
    "reset": "in reset",
    "smm": "in SMM",
    "unknown": "elsewhere",
    "user": "in user mode",
    "vtl1": "in VTL1, beside Windows"
  }
};

/**
 * of gives the words of a value, the value itself where it has none.
 * @param {string} table
 * @param {string} value
 * @param {Record<string, any>} [names]
 */
export function of(table, value, names = {}) {
  const text = words[table][value];
  if (text === undefined) return value;
  return text.replace(/\{(\w+)\}/g, (all, name) => name in names ? String(names[name]) : all);
}
