package linux

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"coredrop/core/fault"
)

// The layout of struct printk_ringbuffer and what hangs on it where vmcoreinfo
// has no keys: kernel/printk/printk_ringbuffer.h of 5.10, 6.1 and 6.12, x86-64.
const (
	rbDescRing = 0
	rbTextRing = 48
	rbTextOld  = 40 // before last_finalized_id, in 5.10

	drCountBits = 0
	drDescs     = 8
	drInfos     = 16
	drHeadID    = 24
	drTailID    = 32

	descSize  = 24
	descState = 0
	descLpos  = 8
	lposBegin = 0
	lposNext  = 8

	infoSize   = 88
	infoSeq    = 0
	infoTime   = 8
	infoLen    = 16
	infoFlags  = 2 // behind text_len: facility, then flags:5 level:3 (no keys)
	infoCaller = 20
	infoLeast  = 24

	txSizeBits = 0
	txData     = 8

	blockHeader = 8 // a text block begins with its descriptor's id
)

// A descriptor's state_var: two bits of state over 62 bits of id.
const (
	idBits         = 62
	idMask         = 1<<idBits - 1
	stateCommitted = 1
	stateFinalized = 2
	noDataBit      = 1 // in both positions of a record without a text block
)

// Bounds of the ring: LOG_BUF_SHIFT is at most 25, log_buf_len= at most 2 GiB.
const (
	maxDescBits = 26
	maxTextBits = 31
)

// callerCPU marks a caller_id that is a CPU (printk_caller_id).
const callerCPU = 1 << 31

// Record is one record of the kernel's log.
type Record struct {
	Seq      uint64
	Time     uint64 // nanoseconds since boot
	Level    uint8  // 0 emergency … 7 debug
	Facility uint8
	Caller   uint32 // task ID, or with the top bit a CPU; kept whatever PRINTK_CALLER
	Text     string // one line or several, without line end; "" for an empty line
}

// CallerName is the caller as PRINTK_CALLER prints it, "T42" or "C3".
func (r Record) CallerName() string {
	if r.Caller&callerCPU != 0 {
		return fmt.Sprintf("C%d", r.Caller&^callerCPU)
	}
	return fmt.Sprintf("T%d", r.Caller)
}

var errNoRing = errors.New("the log's ring buffer was not found")

// ring is the printk ring buffer, opened: addresses and sizes read and checked.
type ring struct {
	v              view
	descs, infos   uint64
	descBits       uint64
	head, tail     uint64 // ids
	data           uint64
	textBits       uint64
	sizeDesc       uint64
	sizeInfo       uint64
	state, lpos    uint64
	begin, next    uint64
	seq, time, len uint64
	caller         uint64
	cut            bool // tail and head are further apart than the ring is long
}

// openRing reads the ring at rb. info may be nil: then each of the known layouts
// is tried.
func openRing(v view, rb uint64, info *VMCoreInfo) (*ring, error) {
	if text := info.Offset("printk_ringbuffer.text_data_ring", 0); text != 0 {
		return openRingAt(v, rb, text, info)
	}
	r, err := openRingAt(v, rb, rbTextRing, info)
	if err != nil {
		r, err = openRingAt(v, rb, rbTextOld, info)
	}
	return r, err
}

// openRingAt reads the ring at rb whose text ring is described at offset text.
func openRingAt(v view, rb, text uint64, info *VMCoreInfo) (*ring, error) {
	r := &ring{v: v,
		sizeDesc: info.Size("prb_desc", descSize), sizeInfo: info.Size("printk_info", infoSize),
		state: info.Offset("prb_desc.state_var", descState), lpos: info.Offset("prb_desc.text_blk_lpos", descLpos),
		begin: info.Offset("prb_data_blk_lpos.begin", lposBegin), next: info.Offset("prb_data_blk_lpos.next", lposNext),
		seq: info.Offset("printk_info.seq", infoSeq), time: info.Offset("printk_info.ts_nsec", infoTime),
		len: info.Offset("printk_info.text_len", infoLen), caller: info.Offset("printk_info.caller_id", infoCaller),
	}
	dr := rb + info.Offset("printk_ringbuffer.desc_ring", rbDescRing)
	tx := rb + text
	ok := true
	u32 := func(va uint64) uint64 {
		x, good := v.u32(va)
		ok = ok && good
		return uint64(x)
	}
	u64 := func(va uint64) uint64 {
		x, good := v.u64(va)
		ok = ok && good
		return x
	}
	r.descBits = u32(dr + info.Offset("prb_desc_ring.count_bits", drCountBits))
	r.descs = u64(dr + info.Offset("prb_desc_ring.descs", drDescs))
	r.infos = u64(dr + info.Offset("prb_desc_ring.infos", drInfos))
	r.head = u64(dr+info.Offset("prb_desc_ring.head_id", drHeadID)) & idMask
	r.tail = u64(dr+info.Offset("prb_desc_ring.tail_id", drTailID)) & idMask
	r.textBits = u32(tx + info.Offset("prb_data_ring.size_bits", txSizeBits))
	r.data = u64(tx + info.Offset("prb_data_ring.data", txData))
	if !ok || r.descBits == 0 || r.descBits > maxDescBits || r.textBits < 3 || r.textBits > maxTextBits ||
		r.descs < kernelHalf || r.infos < kernelHalf || r.data < kernelHalf || r.sizeDesc == 0 || r.sizeInfo == 0 {
		return nil, errNoRing
	}
	if count := uint64(1) << r.descBits; (r.head-r.tail)&idMask >= count {
		r.tail = (r.head - count + 1) & idMask
		r.cut = true
	}
	if info.Value("SIZE(printk_info)") == "" {
		r.measureInfo()
	}
	return r, nil
}

// measureInfo finds the size of struct printk_info by what the newest ones hold:
// their numbers follow one another. It depends on the configuration: with
// PRINTK_EXECUTION_CTX a caller's name is in it.
func (r *ring) measureInfo() {
	const most, enough = 512, 8
	last := min((r.head-r.tail)&idMask, enough)
	follow := func(size uint64) (n uint64) {
		for ; n < last; n++ {
			slot := func(id uint64) uint64 { return r.infos + (id&(1<<r.descBits-1))*size + r.seq }
			newer, ok1 := r.v.u64(slot(r.head - n))
			older, ok2 := r.v.u64(slot(r.head - n - 1))
			if !ok1 || !ok2 || newer != older+1 {
				break
			}
		}
		return n
	}
	best := follow(r.sizeInfo)
	for size := uint64(infoLeast); size <= most; size += 8 {
		if n := follow(size); n > best {
			best, r.sizeInfo = n, size
		}
	}
}

// each reads the records from the oldest to the newest until visit answers
// false. Descriptors that are not in use are passed over.
func (r *ring) each(ctx context.Context, visit func(Record) bool) error {
	count := (r.head-r.tail)&idMask + 1
	for i := range count {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if rec, ok := r.record((r.tail + i) & idMask); ok && !visit(rec) {
			return nil
		}
	}
	return nil
}

// record reads the record of an id, when its descriptor still is that id's.
func (r *ring) record(id uint64) (Record, bool) {
	slot := id & (1<<r.descBits - 1)
	desc := r.descs + slot*r.sizeDesc
	state, ok := r.v.u64(desc + r.state)
	if !ok || state&idMask != id || state>>idBits != stateCommitted && state>>idBits != stateFinalized {
		return Record{}, false
	}
	begin, ok1 := r.v.u64(desc + r.lpos + r.begin)
	next, ok2 := r.v.u64(desc + r.lpos + r.next)
	info := r.infos + slot*r.sizeInfo
	seq, ok3 := r.v.u64(info + r.seq)
	time, ok4 := r.v.u64(info + r.time)
	lenFlags, ok5 := r.v.u32(info + r.len)
	caller, ok6 := r.v.u32(info + r.caller)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 {
		return Record{}, false
	}
	rec := Record{Seq: seq, Time: time, Caller: caller,
		Facility: uint8(lenFlags >> (8 * infoFlags)), Level: uint8(lenFlags >> 29)}
	if begin&noDataBit != 0 && next&noDataBit != 0 {
		return rec, true
	}
	rec.Text, ok = r.text(id, begin, next, uint64(lenFlags&0xffff))
	return rec, ok
}

// text reads a record's block. A block that does not fit behind its
// predecessor lies at the ring's start.
func (r *ring) text(id, begin, next, length uint64) (string, bool) {
	size := uint64(1) << r.textBits
	off := begin & (size - 1)
	room := next - begin
	switch {
	case begin>>r.textBits == next>>r.textBits && begin < next:
	case (begin+size)>>r.textBits == next>>r.textBits && next&(size-1) == 0:
		// It ends exactly at the ring's end.
	case (begin+size)>>r.textBits == next>>r.textBits: // the sum wraps as positions do
		off, room = 0, next&(size-1)
	default:
		return "", false
	}
	if room < blockHeader || room > size-off {
		return "", false
	}
	if owner, ok := r.v.u64(r.data + off); !ok || owner&idMask != id {
		return "", false
	}
	p, ok := r.v.bytes(r.data+off+blockHeader, int(min(length, room-blockHeader)))
	return string(p), ok
}

// Log reads the kernel's log from the oldest record to the newest, until visit
// answers false. It fails with log-damaged when there is no readable log.
func (k *Kernel) Log(ctx context.Context, visit func(Record) bool) error {
	if k.log == nil {
		r, err := k.openLog()
		if err != nil {
			return fault.Wrap(err, fault.LogDamaged, "")
		}
		if r.cut {
			k.warn(fault.LogDamaged, "the log says that it holds more than it can: only its newest records are read")
		}
		k.log = r
	}
	if err := k.log.each(ctx, visit); err != nil {
		return fault.Wrap(err, fault.Cancelled, "")
	}
	return nil
}

// openLog finds the ring: prb is a pointer to the one in use, which is the
// static one unless log_buf_len= was given early. Without either name, the code
// that reads the log tells where prb is.
func (k *Kernel) openLog() (*ring, error) {
	if p, ok := k.Address("prb"); ok {
		if r, err := k.ringBehind(p); err == nil {
			return r, nil
		}
	}
	if rb, ok := k.Address("printk_rb_static"); ok {
		if r, err := openRing(k.view, rb, k.Info); err == nil {
			return r, nil
		}
	}
	for _, c := range k.Code(logReaders...) {
		for _, o := range k.Operands(c) {
			if o.Target%8 != 0 {
				continue
			}
			// The newest record must be there: a ring that was never used is
			// not worth a guess.
			if r, err := k.ringBehind(o.Target); err == nil {
				if _, ok := r.record(r.head); ok {
					return r, nil
				}
			}
		}
	}
	return nil, errNoRing
}

// logReaders are functions that load prb, in kernel/printk/printk.c.
var logReaders = []string{"vprintk_store", "devkmsg_read", "devkmsg_open", "syslog_print_all", "kmsg_dump_get_line_nolock",
	"kmsg_dump_get_line", "kmsg_dump_get_buffer", "do_syslog", "log_buf_vmcoreinfo_setup"}

// ringBehind opens the ring that a pointer leads to.
func (k *Kernel) ringBehind(p uint64) (*ring, error) {
	rb, ok := k.view.u64(p)
	if !ok || rb < kernelHalf {
		return nil, errNoRing
	}
	return openRing(k.view, rb, k.Info)
}

// Dmesg is the record as dmesg prints it: "[    1.500000] text", the lines after
// the first indented as far as the text, each ended by a newline.
func (r Record) Dmesg() string {
	stamp := fmt.Sprintf("[%5d.%06d] ", r.Time/1e9, r.Time%1e9/1e3)
	return stamp + strings.ReplaceAll(r.Text, "\n", "\n"+strings.Repeat(" ", len(stamp))) + "\n"
}
