package summary

import "coredrop/core/dmp"

// Dump is the dump that was described: its kind, its length, of how many parts
// it is made, how many bytes of memory its type leaves out, what was changed in
// guest memory, and whether reading it back as a debugger does gave the same as
// the core.
type Dump struct {
	Type     string  `json:"type"`
	Bytes    int64   `json:"bytes"`
	Parts    int     `json:"parts"`
	LeftOut  int64   `json:"left_out_bytes"`
	Patches  []Patch `json:"patches"`
	Verified bool    `json:"verified"`
}

// Patch is a change of guest memory.
type Patch struct {
	What  string `json:"what"`
	PA    string `json:"pa"`
	Bytes int64  `json:"bytes"`
}

// image notes the dump that was described.
func (s *Summary) image(im *dmp.Image, verified bool) {
	s.warn(im.Warnings...)
	d := &Dump{Type: im.Type, Bytes: im.Size(), Parts: len(im.Parts()), LeftOut: im.LeftOut, Patches: []Patch{}, Verified: verified}
	for _, p := range im.Patches {
		d.Patches = append(d.Patches, Patch{p.What, hex64(uint64(p.PA)), p.Bytes})
	}
	s.Dump = d
	if s.Windows != nil && s.Windows.Opens != nil {
		s.Windows.Opens.Text = im.Opens
	}
	for _, p := range im.Shown {
		if p.CPU >= 0 && p.CPU < len(s.CPUs) {
			s.CPUs[p.CPU].RegistersFrom, s.CPUs[p.CPU].Why, s.CPUs[p.CPU].Opens = string(p.From), p.Why, p.Opens
		}
	}
	for cpu, va := range im.Contexts {
		if cpu < len(s.CPUs) {
			s.CPUs[cpu].Context = hex64(uint64(va))
		}
	}
}
