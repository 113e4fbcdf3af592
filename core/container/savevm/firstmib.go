package savevm

import (
	"strings"

	"coredrop/core/mem"
)

// The host bridge's registers that say what is read from 768 KiB to 1 MiB: of
// each piece, bit 0 of its half byte is set where that is memory. Source: Intel
// 82441FX datasheet 3.2.19, 3 Series Express Chipset datasheet 5.1.11 (PAM).
const (
	pamI440FX = 0x59
	pamQ35    = 0x90
	pamBytes  = 7

	// A PCI device begins with its version, 4 bytes, and its configuration space.
	pciConfig = 4

	pamLow, pamHigh = 0x01, 0x10
)

// pam gives the registers; nil: the bridge's state is not there.
func (st *state) pam() []byte {
	bridges := []struct {
		name string
		at   int64
	}{{"/I440FX", pamI440FX}, {"/mch", pamQ35}}
	for _, b := range bridges {
		d := st.device(func(name string) bool { return strings.HasSuffix(name, b.name) })
		if d == nil {
			continue
		}
		if p, err := d.read(st.source, pciConfig+b.at+pamBytes); err == nil && int64(len(p)) == pciConfig+b.at+pamBytes {
			return p[pciConfig+b.at:]
		}
	}
	return nil
}

// legacyROMs places what is read from 768 KiB to 1 MiB: memory, or the firmware's
// ROMs below it. low places memory.
func (m *mapper) legacyROMs(low func(lo, hi uint64)) {
	pam := m.st.pam()
	const piece = 16 << 10
	for at := uint64(roms); at < highMem; at += piece {
		isMemory := true
		if pam != nil {
			if at >= 0xf0000 {
				isMemory = pam[0]&pamHigh != 0
			} else {
				n := (at - roms) / piece
				bit := byte(pamLow)
				if n%2 == 1 {
					bit = pamHigh
				}
				isMemory = pam[1+n/2]&bit != 0
			}
		}
		if isMemory {
			low(at, at+piece)
			continue
		}
		m.rom(at, piece)
	}
}

// rom places a piece of the ROMs: pc.rom from 768 KiB, the end of pc.bios up to
// 1 MiB.
func (m *mapper) rom(at, bytes uint64) {
	name, from := blockROM, at-roms
	if at >= biosLow {
		name = blockBIOS
	}
	i, ok := m.st.ram.byName[name]
	if !ok {
		return
	}
	b := &m.st.ram.blocks[i]
	if name == blockBIOS {
		if b.bytes < highMem-at {
			return
		}
		from = b.bytes - (highMem - at)
	}
	if from+bytes <= b.bytes {
		m.linear([]*block{b}, from, from+bytes, mem.PA(at))
	}
}
