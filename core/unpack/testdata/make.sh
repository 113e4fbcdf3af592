set -e
# 600,000 bytes: of each 64 KiB the first 512 are noise (xorshift64), the rest one byte
cat > state.py <<'P'
import sys
n, x, m = 600000, 1, (1 << 64) - 1
out = bytearray(b"QEVM")
while len(out) < n:
    x ^= x << 13 & m; x ^= x >> 7; x ^= x << 17 & m
    out.append(x >> 56 if len(out) & 0xffff < 512 else 0x20 | len(out) >> 16)
sys.stdout.buffer.write(out)
P
python3 state.py > state
gzip -nc state > state.gz
zstd -qc --stream-size=600000 state > state.zst
xz -c state > state.xz
xz -c --format=lzma state > state.lzma
bzip2 -c state > state.bz2
lz4 -qc state > state.lz4
lz4 -lqc state > state.legacy.lz4
lzop -c --crc32 state > state.lzo
rm state state.py
