package linuxtest

import "encoding/binary"

// CredForm is how a release lays out struct cred and the pointers to it.
type CredForm struct {
	Reference int    // bytes of the reference count: 4 to 6.6, 8 from 6.7 on
	Debug     bool   // DEBUG_CREDENTIALS, with 4
	Keys      bool   // CONFIG_KEYS: another pointer stands behind cred
	User      uint32 // effective
}

// CredForms are those that kernels have, of user 1000.
func CredForms() []CredForm {
	return []CredForm{{4, false, false, 1000}, {4, true, true, 1000}, {8, false, false, 1000}, {8, false, true, 1000}}
}

// Creds gives the idle task init_cred, and the others credentials with the form's
// effective user. Tasks must have been called.
func (g *Guest) Creds(form CredForm, tasks []uint64) {
	ids := form.Reference
	if form.Debug {
		ids += 16
	}
	caps := (ids + 32 + 4 + 7) &^ 7 // securebits, then cap_inheritable
	back := uint64(16)
	if form.Keys {
		back = 24
	}
	make := func(at uint64, user uint32) {
		g.Poke(at, []byte{9})
		if form.Debug {
			g.Poke(at+16, []byte{0x64, 0x65, 0x73, 0x43}) // CRED_MAGIC
		}
		g.Poke(at+uint64(ids)+16, binary.LittleEndian.AppendUint32(nil, user))
		g.Poke64(at+uint64(caps)+8, 1<<41-1)
	}
	init := g.Data("init_cred", 192)
	make(init, 0)
	for _, t := range append([]uint64{g.idle}, tasks...) {
		cred := init
		if t != g.idle {
			cred = g.Heap(192)
			make(cred, form.User)
		}
		g.Poke64(t+TaskComm-back, cred)
		g.Poke64(t+TaskComm-back+8, cred)
	}
}
