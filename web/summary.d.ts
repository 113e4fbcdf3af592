// Generated from core/summary/summary.schema.json by npm run types.

/**
 * Summary says what a file is and what came of it.
 */
export interface Summary {
  schema: number;
  file: File;
  guest: Guest;
  convert: Convert;
  symbols: Symbols;
  memory: Memory;
  cpus: CPU[];
  threads: Thread[];
  windows?: Windows;
  linux?: Linux;
  reports: Report[];
  fragments: Fragment[];
  dump?: Dump;
  warnings: Warning[];
  error?: Error;
}
/**
 * File is the input file.
 */
export interface File {
  name: string;
  size: number;
  format: string;
  /**
   * the tool that wrote it, as far as the file says: "QEMU"
   */
  writer: string;
  names_percent: number | null;
  machine: string;
  capabilities: string[];
  packed?: Packed;
  /**
   * those with memory, of a disk image
   */
  snapshots?: Snapshot[];
}
/**
 * what it was unpacked from; absent: it was not
 */
export interface Packed {
  name: string;
  bytes: number;
  forms: string[];
}
/**
 * Snapshot is a snapshot with memory in a disk image.
 */
export interface Snapshot {
  id: string;
  name: string;
  taken: string;
  bytes: number;
  opened: boolean;
}
/**
 * Guest is the frozen machine's system.
 */
export interface Guest {
  os: string;
  arch: string;
  build: number;
  version: string;
  product: string;
  system_time: string;
  uptime_seconds: number;
}
/**
 * Convert says whether a crash dump can be made, and if not, the codes of what stands in the way.
 */
export interface Convert {
  possible: boolean;
  needs: string[];
  types: DumpSize[];
}
/**
 * DumpSize is how large a type of dump becomes, before anything is written; with AtMost, that is a bound.
 */
export interface DumpSize {
  type: string;
  bytes: number;
  at_most: boolean;
}
/**
 * Symbols is the state of the kernel's PDB.
 */
export interface Symbols {
  /**
   * none-needed, needed, found, missing; "" no kernel
   */
  status: string;
  key: string;
  url: string;
  from: Origin | null;
}
/**
 * null: nowhere from
 */
export interface Origin {
  /**
   * file, store, server, cache
   */
  kind: string;
  name: string;
}
/**
 * Memory is the physical memory that the core holds: sorted, merged, disjoint runs of whole pages.
 */
export interface Memory {
  bytes: number;
  missing_bytes: number;
  runs: Run[];
  marks: Mark[];
}
/**
 * Run is one run.
 */
export interface Run {
  start: string;
  bytes: number;
  file_offset: number | null;
}
/**
 * Mark is a range of physical memory that is something known: the kernel's image, its page tables' root, its debugger block, a context record.
 */
export interface Mark {
  what: string;
  pa: string;
  bytes: number;
}
/**
 * CPU is one virtual CPU.
 */
export interface CPU {
  index: number;
  processor: number | null;
  /**
   * kernel, user; not Windows': hypervisor, vtl1, firmware, smm, reset; unknown
   */
  mode: string;
  pc: string;
  sp: string;
  root: string;
  registers: Register[];
  process: Process | null;
  kpcr: string;
  /**
   * address of its context record, "" where it has none
   */
  context: string;
  /**
   * live, record, none: what the dump shows for it
   */
  registers_from: string;
  /**
   * the dump opens on it
   */
  opens: boolean;
  /**
   * in words: why registers_from is what it is
   */
  why: string;
  stack: Frame[];
  /**
   * why it ends early, or why there is none; "" where it ends by itself
   */
  stack_end: string;
  live_stack: Frame[];
  live_stack_end: string;
}
/**
 * Register is a register's value.
 */
export interface Register {
  name: string;
  value: string;
}
/**
 * what it runs; null: not known
 */
export interface Process {
  pid: number;
  name: string;
  dtb: string;
}
/**
 * Frame is a place in code, the innermost of a stack first.
 */
export interface Frame {
  address: string;
  /**
   * the stack pointer there; "" not known
   */
  sp: string;
  module: string;
  symbol: string;
  offset: number;
  size: number;
  file: string;
  line: number;
  inline: boolean;
  /**
   * pdb, export, kallsyms, dwarf, text; "" no name
   */
  from: string;
  /**
   * live, record, machine-frame: the instruction itself; return: behind a call
   */
  kind: string;
  /**
   * not proven by unwinding data
   */
  guessed: boolean;
  /**
   * what else is to be said: the stack that begins here, the trap frame
   */
  note: string;
}
/**
 * Thread is a thread and where it stood.
 */
export interface Thread {
  process: Process1 | null;
  tid: number;
  address: string;
  state: string;
  processor: number | null;
  stack: Frame[];
  /**
   * as of a CPU's
   */
  stack_end: string;
}
/**
 * Process is a process of either system; DTB is "" where it is not known.
 */
export interface Process1 {
  pid: number;
  name: string;
  dtb: string;
}
/**
 * Windows is what was found of a Windows kernel.
 */
export interface Windows {
  kernel_base: string;
  dtb: string;
  dtb_from: DTBFrom;
  pdb: PDB | null;
  kdbg: KDBG | null;
  bugcheck: BugCheck | null;
  opens: Opens | null;
  modules: Module[];
  processes: Process1[];
  /**
   * TransitionPages counts pages that were read although the processor would
   * not: Windows had taken them from their working sets, not yet from memory.
   */
  transition_pages: number;
  /**
   * what the stacks prove, a line each: where it went wrong, what each processor did
   */
  first_aid: string[];
}
/**
 * DTBFrom says how the page-table base was found: a way, and the CPU at which it begins, null where it begins at none.
 */
export interface DTBFrom {
  way: string;
  cpu: number | null;
}
/**
 * PDB is the identity of the kernel's PDB, from its CodeView record.
 */
export interface PDB {
  name: string;
  guid: string;
  age: number;
  key: string;
}
/**
 * KDBG is the kernel's debugger block.
 */
export interface KDBG {
  va: string;
  size: number;
  encoded: boolean;
  /**
   * pdb, plain, known-plaintext, fwcfg
   */
  found_by: string;
}
/**
 * null: the guest was alive
 */
export interface BugCheck {
  code: string;
  /**
   * "" unknown
   */
  name: string;
  /**
   * documentation of the codes; "" where nothing was looked up
   */
  url: string;
  parameters: Parameter[];
  /**
   * of the exception, where a parameter leads to its registers
   */
  stack: Frame[];
  /**
   * as of a CPU's
   */
  stack_end: string;
}
/**
 * Parameter is a parameter of a bug check: its meaning, "" where the code gives it none, and for an address the place it points to.
 */
export interface Parameter {
  value: string;
  meaning: string;
  at: string;
}
/**
 * null: not decided, as with compat
 */
export interface Opens {
  processor: number | null;
  cpu: number | null;
  by: string;
  text: string;
}
/**
 * Module is a loaded module of either system.
 */
export interface Module {
  name: string;
  base: string;
  size: number;
}
/**
 * Linux is what was found of a Linux kernel.
 */
export interface Linux {
  release: string;
  banner: string;
  kaslr_offset: string;
  phys_base: string;
  /**
   * why it stopped, "" where it did not panic or that is not known
   */
  panic: string;
  troubles: Trouble[];
  /**
   * in use for source lines
   */
  debug: DebugFile[];
  kcsan?: KCSAN;
  detail?: LinuxDetail;
}
/**
 * Trouble is one thing that went wrong, as the log tells it: panic, oops, lockup, stall, hung-task or warning; the first ones are the causes.
 */
export interface Trouble {
  kind: string;
  /**
   * the log's line
   */
  text: string;
  /**
   * the function that it names, "" none
   */
  where: string;
  /**
   * since boot
   */
  seconds: number;
  /**
   * "T42" a task, "C3" a CPU
   */
  caller: string;
}
/**
 * DebugFile is debugging information that belongs to the core: of the kernel, or of one of its modules.
 */
export interface DebugFile {
  name: string;
  build_id: string;
  module: string;
  bytes_read: number;
}
/**
 * KCSAN counts the race reports by their state, equal ones as often as they occur.
 */
export interface KCSAN {
  printed: number;
  in_flight: number;
  pending: number;
  suppressed: number;
  residue: number;
}
/**
 * null: the kernel was not looked into
 */
export interface LinuxDetail {
  /**
   * where it was found: "note", "memory", "" nowhere
   */
  vmcoreinfo: string;
  /**
   * in hexadecimal, "" unknown
   */
  build_id: string;
  /**
   * in the kernel's own table
   */
  symbols: number;
  /**
   * "keys" of vmcoreinfo, "scan" of memory, "" none
   */
  symbols_from: string;
  log_records: number;
  modules: Module[];
  tasks: Process1[];
  /**
   * false: the list is broken, and both its ends are shown
   */
  tasks_whole: boolean;
  /**
   * Commands work on this core: crash, and drgn where it can.
   */
  commands: string[];
  kcsan: KCSANDetail | null;
}
/**
 * null: built without it
 */
export interface KCSANDetail {
  /**
   * first release of this generation of report.c
   */
  version: string;
  enabled: boolean;
  verbose: boolean;
  value_change_only: boolean;
  /**
   * object: "symbol" or "code"
   */
  found_by: {
    [k: string]: string;
  };
  slots: number;
  rate_limit_slots: number;
  rate_limit_used: number;
  counters: KCSANCounter[];
  /**
   * those that are not free
   */
  watchpoints: KCSANWatchpoint[];
}
/**
 * KCSANCounter is one of kcsan_counters.
 */
export interface KCSANCounter {
  name: string;
  value: number;
}
/**
 * KCSANWatchpoint is a watchpoint in use; a consumed one has no address any more.
 */
export interface KCSANWatchpoint {
  index: number;
  /**
   * "armed" or "consumed"
   */
  state: string;
  address: string;
  size: number;
  write: boolean;
}
/**
 * Report is one distinct race report.
 */
export interface Report {
  /**
   * printed, in-flight, pending, suppressed, residue
   */
  state: string;
  /**
   * Grade is whole (the kernel's own text) or retyped (one real report whose
   * text differs from the kernel's: Differences says in what).
   */
  grade: string;
  differences: string[];
  title: string;
  syzkaller_title: string;
  /**
   * state, time and source in one line
   */
  label: string;
  text: string;
  count: number;
  /**
   * seconds since boot, as far as the log has them
   */
  times: number[];
  /**
   * as printed: the watcher's last
   */
  accesses: Access[];
  value: Value | null;
  /**
   * log, cpu 1, other_infos[46], report_times[3]
   */
  sources: string[];
  /**
   * why a suppressed one is
   */
  rule: string;
  /**
   * what of the text is not known
   */
  unknown: string[];
}
/**
 * Access is one side of a race.
 */
export interface Access {
  /**
   * read, write, read-write; no writes, no accesses of an assertion
   */
  kind: string;
  marked: boolean;
  scoped: boolean;
  assert: boolean;
  reordered: boolean;
  address: string;
  /**
   * in bytes
   */
  size: number;
  /**
   * task, interrupt
   */
  by: string;
  pid: number | null;
  cpu: number;
  stack: Frame[];
  object: Object | null;
}
/**
 * null: a log's, or not known
 */
export interface Object {
  kind: string;
  name: string;
  base: string;
  offset: number;
  size: number;
  type: string;
  member: string;
  module: string;
  cpu: number | null;
  pid: number | null;
  comm: string;
  /**
   * caches that share the slab cache
   */
  users: number;
  certain: boolean;
  now: boolean;
  /**
   * all of it in words
   */
  text: string;
}
/**
 * null: not known, or not printed
 */
export interface Value {
  old: string;
  new: string;
  mask: string;
}
/**
 * Fragment is a piece of a report whose rest is missing, with the reason.
 */
export interface Fragment {
  title: string;
  reason: string;
  text: string;
  count: number;
}
/**
 * Dump is the dump that was described: its kind, its length, of how many parts it is made, how many bytes of memory its type leaves out, what was changed in guest memory, and whether reading it back as a debugger does gave the same as the core.
 */
export interface Dump {
  type: string;
  bytes: number;
  parts: number;
  left_out_bytes: number;
  patches: Patch[];
  verified: boolean;
}
/**
 * Patch is a change of guest memory.
 */
export interface Patch {
  what: string;
  pa: string;
  bytes: number;
}
/**
 * Warning is something the user should know about a result that was produced all the same.
 */
export interface Warning {
  code: string;
  text: string;
}
/**
 * Error is a failure as the catalogue words it, with the next steps.
 */
export interface Error {
  code: string;
  text: string;
  remedy: Step[];
}
/**
 * Step is one next step: words, a command to copy, or a command that words lead to.
 */
export interface Step {
  text?: string;
  command?: string;
  /**
   * none: all
   */
  for: string[];
}
