set -e
# a state of n bytes from a seed: xorshift64, high byte; noise in every sixteenth KiB
cat > state.py <<'P'
import sys
n, x, m = int(sys.argv[1]), int(sys.argv[2]), (1 << 64) - 1
out = bytearray(b"QEVM")
while len(out) < n:
    x ^= x << 13 & m; x ^= x >> 7; x ^= x << 17 & m
    out.append(x >> 56 if len(out) >> 10 & 15 == 0 else 0x20 | len(out) >> 10 & 15)
sys.stdout.buffer.write(out)
P
# sizes FILE [disk=BYTES] STATE...: writes the state sizes that qemu-img leaves at 0,
# and another disk size
cat > sizes.py <<'P'
import struct, sys
f = open(sys.argv[1], "r+b")
h = f.read(72)
at = struct.unpack(">Q", h[64:72])[0]
disk = None
for arg in sys.argv[2:]:
    if arg.startswith("disk="):
        disk = int(arg[5:])
        continue
    size = int(arg)
    f.seek(at)
    e = f.read(40)
    idl, namel, extra = *struct.unpack(">HH", e[12:16]), struct.unpack(">I", e[36:40])[0]
    f.seek(at + 32); f.write(struct.pack(">I", size & 0xffffffff))
    if extra >= 8:
        f.seek(at + 40); f.write(struct.pack(">Q", size))
    if disk is not None:
        f.seek(at + 48); f.write(struct.pack(">Q", disk))
    at = at + 40 + extra + idl + namel + 7 & ~7
P
image() { # NAME OPTIONS SIZE
  python3 state.py 90112 1 > first; python3 state.py 120320 2 > second
  qemu-img create -q -f qcow2 -o "$2" $1 $3
  qemu-io -f qcow2 -c "write -q -P 7 64k 64k" $1 >/dev/null
  qemu-io -f qcow2 -c "write -q -b -s first 0 90112" $1 >/dev/null
  qemu-img snapshot -c before $1
  qemu-io -f qcow2 -c "write -q -b -s second 0 120320" $1 >/dev/null
  qemu-img snapshot -c second $1
  qemu-img snapshot -c disk-only $1
  python3 sizes.py $1 90000 120001
}
image c512.qcow2 cluster_size=512 4M
image c64k.qcow2 cluster_size=64k 4M
image c2m.qcow2 cluster_size=2M 4M
image ext.qcow2 cluster_size=16k,extended_l2=on 4M
image v2.qcow2 compat=0.10,cluster_size=4k 4M
image resized.qcow2 cluster_size=4k 4M && qemu-img resize -q resized.qcow2 16M
# Clusters that QEMU compressed: the disk is the state, behind a disk of size 0.
packed() { # NAME OPTIONS
  python3 state.py 120320 2 > second
  qemu-img convert -q -f raw -O qcow2 -c -o "$2" second $1
  qemu-img snapshot -c packed $1
  python3 sizes.py $1 disk=0 120001
}
packed deflate.qcow2 cluster_size=4k
packed zstd.qcow2 cluster_size=64k,compression_type=zstd
