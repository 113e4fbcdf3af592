// The inputs of the suite: the demo core of the repository, and the corpus
// where it is, unpacked once into a temporary folder.
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { createReadStream, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';

export const root = resolve(import.meta.dirname, '../../..');
export const binary = join(root, 'build/coredrop');
export const corpus = process.env.COREDROP_CORPUS || resolve(root, '../shared/corpus');
export const hasCorpus = existsSync(join(corpus, 'windows'));
export const symbolStore = join(corpus, 'symbols');

export const work = mkdtempSync(join(tmpdir(), 'coredrop-browser-'));
process.on('exit', () => rmSync(work, { recursive: true, force: true }));

// demo gives the built-in core and its PDB as files.
export function demo() {
  const core = join(work, 'demo.elf'), pdb = join(work, 'ntkrnlmp.pdb');
  if (!existsSync(core)) {
    writeFileSync(core, gunzipSync(readFileSync(join(root, 'core/demo/core.elf.gz'))));
    writeFileSync(pdb, gunzipSync(readFileSync(join(root, 'core/demo/ntkrnlmp.pdb.gz'))));
  }
  return { core, pdb };
}

// unpack gives a case of the corpus as a file, sparse.
export function unpack(name) {
  const to = join(work, `${name.replace('/', '-')}.elf`);
  if (!existsSync(to)) execFileSync('zstd', ['-q', '-d', '--sparse', join(corpus, name.includes('/') ? '' : 'windows', name, 'core.elf.zst'), '-o', to]);
  return to;
}

// unpackFile gives a file that is packed by zstd.
export function unpackFile(path) {
  const to = join(work, basename(path, '.zst'));
  if (!existsSync(to)) execFileSync('zstd', ['-q', '-d', path, '-o', to]);
  return to;
}

// truth is what the corpus says of a case.
export function truth(name) {
  return JSON.parse(readFileSync(join(corpus, name.includes('/') ? '' : 'windows', name, 'truth.json'), 'utf8'));
}

export function sha256(file) {
  return new Promise((resolve, reject) => {
    const hash = createHash('sha256');
    createReadStream(file, { highWaterMark: 1 << 20 }).on('data', (b) => hash.update(b)).on('end', () => resolve(hash.digest('hex'))).on('error', reject);
  });
}

// byCommandLine converts with the command line and gives the dump's SHA-256.
const known = new Map();
export async function byCommandLine(core, ...flags) {
  const id = [core, ...flags].join('\n');
  if (!known.has(id)) {
    const out = join(work, `cli-${known.size}.dmp`);
    execFileSync(binary, ['convert', ...flags, core, out], { stdio: ['ignore', 'pipe', 'pipe'] });
    known.set(id, await sha256(out));
    rmSync(out);
  }
  return known.get(id);
}

export function folder(name) {
  const dir = join(work, name);
  mkdirSync(dir, { recursive: true });
  return dir;
}
