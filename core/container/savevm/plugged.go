package savevm

import (
	"encoding/xml"
	"strconv"
	"strings"

	"coredrop/core/mem"
)

// plugged places memory that was plugged in, of which only libvirt's XML says
// where; lost are the bytes of the rest.
func (m *mapper) plugged(list []*block) (lost uint64) {
	if len(list) == 0 {
		return 0
	}
	if m.st.dimms == nil {
		m.st.dimms = dimms(m.st.wrapping.XML)
	}
	at := m.st.dimms
	for _, b := range list {
		pa, ok := at[b.name]
		if !ok || uint64(pa)%uint64(m.st.ram.pageSize) != 0 || b.bytes > 1<<52 || uint64(pa) > 1<<52-b.bytes {
			lost += b.bytes
			continue
		}
		m.linear([]*block{b}, 0, b.bytes, pa)
	}
	return lost
}

// dimms gives the addresses of memory by the names of its blocks. Source: libvirt
// 11.3 docs/formatdomain.rst (memory devices).
func dimms(text string) map[string]mem.PA {
	var domain struct {
		Memory []struct {
			Model string `xml:"model,attr"`
			Alias struct {
				Name string `xml:"name,attr"`
			} `xml:"alias"`
			Address struct {
				Type string `xml:"type,attr"`
				Slot string `xml:"slot,attr"`
				Base string `xml:"base,attr"`
			} `xml:"address"`
		} `xml:"devices>memory"`
	}
	list := map[string]mem.PA{}
	if xml.Unmarshal([]byte(text), &domain) != nil {
		return list
	}
	for _, d := range domain.Memory {
		base, err := strconv.ParseUint(strings.TrimPrefix(d.Address.Base, "0x"), 16, 64)
		if d.Model != "dimm" || err != nil {
			continue
		}
		list[blockDIMM+d.Address.Slot] = mem.PA(base)
		if d.Alias.Name != "" {
			list["mem"+d.Alias.Name] = mem.PA(base)
		}
	}
	return list
}
