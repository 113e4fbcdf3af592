// Package kcsan is the reporting half of the kernel concurrency sanitizer,
// kernel/kcsan/report.c, in Go: the model of a race, every rule by which the
// kernel decides whether and how to print it, the live system of producers and
// consumers, and the way back from text to model. It knows no core files and
// imports nothing of this module; logs ([coredrop/core/kcsan/logtext]), recovery
// from cores ([coredrop/core/races]) and a sampler for Go code
// ([coredrop/core/kcsan/watch]) are built on it.
//
// # Overview
//
// A task or interrupt sets up a watchpoint for an access it is about to make,
// delays, and looks whether another access hit it or the value changed. That is
// core.c and not here. What follows is:
//
//	access that hits watchpoint i          owner of watchpoint i
//	(producer, ReportConsumed)             (consumer, ReportSignal)
//
//	SetInfo: other_infos[i] = access,      KnownOrigin: wait for other_infos[i],
//	  stack saved without 2 callers          check that the accesses overlap (R9),
//	  (R10); verbose: stay until             save its own stack without 1 (R7),
//	  consumed, or T + 2 steps               trim, filter (R5, R6), limit (R8),
//	                                         print (R1-R4, R13-R15), release slot
//
// A value that changed without an access being seen is UnknownOrigin: no slot,
// one thread. [Reporter.Report] is the single entry of the reference revision
// (5.8, 5.9) from which the other three are derived.
//
// The same steps without a live system are open to whoever has the pieces of a
// report, say from a core: [Version.DecodeType] and [Version.KindName] (R1),
// [BugKind] (R2), [Report.TitleLine] (R3), [Report.Lines] (R4, R13, R14),
// [SkipRules.Skip] (R5), [RuntimeFrame] and [Version.Sanitize] (R6, R7, R15),
// [RateLimit] (R8), [Access.Overlaps] and [Version.MatchesWatchpoint] (R9).
//
// # Versions
//
// report.c changed in steps. A [Version] names a generation and its [Features]
// are data: what a generation prints or checks is a field in one table, asked
// for at the one place where the rule is. [VersionOf] reads a release; but
// vendors backport, so the text of a report, where there is one, is the better
// evidence, and [Parse] goes by it.
//
// Access types come in two numberings: 5.10 inserted COMPOUND and moved the
// flags behind it. An [AccessType] is always in the newer one; a value read from
// a kernel goes through [Version.DecodeType].
//
// # Slots
//
// There is one slot a watchpoint, other_infos[i] for watchpoints[i], N + 2 of
// them because an access may use the two slots after its own. A slot's owner is
// the owner of the watchpoint, which reuses it only after the report. So no two
// producers meet in a slot; if they do the kernel WARNs, and goes on, and so do
// we. A slot is free when its access has size 0: zero-sized accesses do not
// exist. Releasing it sets only that; stack, pointer and task stay until the
// next producer, which is why a core shows what was reported last.
//
// # Locking order
//
// One lock, report_lock: it guards all slots and the rate limit and is held
// while a report is made and printed, so that a report is never interrupted by
// another (R16; a console may still show other output in between). It is the
// innermost lock: [Config]'s functions, [Caller.Stack] and [Task.Describe] are
// called with it held and must not call the reporter; the calling context's
// sampling is off meanwhile (R11), so that watched accesses made by them are no
// new reports. It is dropped only to wait: by a consumer until its slot is
// filled, and by a verbose producer in each step of its stall. Verbose
// producers wait for consumers and consumers for producers, but a producer
// fills its slot before it waits and a consumer holds nothing while it waits;
// the producer's time-out covers the one that never comes, an interrupt that
// waits for the task below it.
//
// Counters and outcome counts are atomic and outside of the lock. The nine
// [Counters] are the kernel's; the reporter itself moves only
// encoding_false_positives, the rest belongs to the sampler. The counts by
// [Outcome] are ours: every race ends printed, rate limited, filtered or
// discarded, and the sum is the number of races.
//
// # What differs from the kernel, and why
//
//   - A consumer sleeps until a producer wakes it; the kernel's spins. All
//     waiting ends with the caller's context, where the kernel's could not: the
//     call then has the outcome Cancelled.
//   - A stack of runtime frames only leaves the kernel's index past its end: the
//     own stack shows entry 0 there, the other's a stale one. We show no trace,
//     and 0x0 in the title, for both.
//   - An access type without a name is a BUG() in the kernel, a warning and the
//     outcome Discarded here.
//   - From 5.14 on the kernel trusts its callers with the index. We answer
//     Rejected; before 5.14 with the kernel's WARN.
//   - panic does not return; a Panic function may, or may panic in Go's way.
//     The slot is released in any case, but still live while it runs.
//   - Names are shown with control characters as \xNN. The kernel prints what is
//     there, also a process name with a newline in it.
//   - RCU, lockdep_off and saved interrupt flags have no counterpart: what
//     [Task.Describe] returns is what is printed.
//
// # Reading
//
// [ReadLines] says what the lines of one report are. It is whole ([GradeWhole])
// only if the model alone prints as the very lines that it was read from, between
// separators. It is retyped ([GradeRetyped]) if it is one real report in other
// words or blanks than the kernel's: the model is filled as far as the text goes,
// and every difference has a name; what differs without one, a title of other
// functions, lost or mixed lines, makes a fragment, with the reason: nothing of a
// damaged report is guessed. How logs carry reports is the matter of
// [coredrop/core/kcsan/logtext], which also bounds what is read.
//
// # Sources
//
// kernel/kcsan/report.c, encoding.h, kcsan.h of 5.9.1, 5.10.223, 6.1.192 and
// 6.12.117; lib/dump_stack.c for the footer; kernel/locking/lockdep.c for the
// verbose block; pkg/report of google/syzkaller for titles.
package kcsan
