package synth

// lists lays out the loaded modules and the processes.
func (g *Editor) lists() {
	t := g.Truth
	t.ModuleList, t.ProcessHead = g.Sym("PsLoadedModuleList"), g.Sym("PsActiveProcessHead")
	t.PfnDatabase = g.Sym("MmPfnDatabase")
	g.Write64(t.PfnDatabase, 0xffffd80000000000)

	t.Modules = []Named{
		{Name: "ntoskrnl.exe", VA: kernelBase, Size: g.lay.image},
		{Name: "hal.dll", VA: halAt, Size: imageBytes},
		{Name: "driver.sys", VA: driverAt, Size: 0x5000},
		{Name: "dump_disk.sys", VA: dumpDriverAt, Size: 0x5000},
	}
	var entries []uint64
	for _, m := range t.Modules {
		at := g.Alloc(0xa0)
		g.Write64(at+0x30, m.VA)
		g.Write64(at+0x38, m.VA+rvaText)
		g.Write32(at+0x40, m.Size)
		g.unicode(at+0x48, `\SystemRoot\system32\`+m.Name)
		g.unicode(at+0x58, m.Name)
		entries = append(entries, at)
	}
	g.link(t.ModuleList, entries...)

	t.Processes = []Named{
		{Name: "System", PID: 4, DTB: g.system.root},
		{Name: "Registry", PID: 0x6c, DTB: g.system.root},
		{Name: "smss.exe", PID: 0x1a4, DTB: g.process.root},
	}
	entries = nil
	l := g.lay.process
	for i, p := range t.Processes {
		at := g.Alloc(0xb80)
		t.Processes[i].VA = at
		g.Write(at, []byte{3, 0, 0xb6, 0})
		g.Write64(at+0x28, uint64(p.DTB)|uint64(i)) // with a PCID
		g.Write64(at+uint64(l.PID), p.PID)
		g.Write(at+uint64(l.Name), append([]byte(p.Name), 0))
		entries = append(entries, at+uint64(l.Links))
	}
	g.link(t.ProcessHead, entries...)

	if b := g.opts.BugCheck; b != nil {
		t.BugCheck = *b
		at := g.Sym("KiBugCheckData")
		g.Write64(at, b.Code)
		for i, p := range b.Parameters {
			g.Write64(at+8+uint64(8*i), p)
		}
	}
}
