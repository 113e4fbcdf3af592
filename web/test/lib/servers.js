// The servers of the suite: the built binary, a plain static host, and a symbol
// server that misbehaves on request.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecure } from 'node:https';
import { extname, join, normalize } from 'node:path';
import { binary, folder, root, work } from './files.js';

// coredrop starts the binary and gives {url, stop}; port 0 is any.
export function coredrop(args, env = {}) {
  const child = spawn(binary, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  return new Promise((resolve, reject) => {
    let out = '', errors = '';
    child.stderr.on('data', (b) => { errors += b; });
    child.stdout.on('data', (b) => {
      out += b;
      const url = /serving on (http:\S+)/.exec(out);
      if (url) resolve({ url: url[1], errors: () => errors, stop: () => new Promise((done) => { child.on('exit', done); child.kill('SIGTERM'); }) });
    });
    child.on('exit', (code) => reject(new Error(`coredrop ended with ${code}: ${errors}`)));
  });
}

export const dist = join(root, 'server/page/dist');
const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.json': 'application/json', '.wasm': 'application/wasm' };

// staticHost serves the built folder below a path, as any web server does;
// replace gives other content for a name (below app/HASH without that), or answers
// itself. It sends no headers of ours but what headers says.
export function staticHost(prefix = '/', replace = {}, headers = {}) {
  const requests = [];
  const host = { dist, requests };
  const server = createServer((request, response) => {
    const path = new URL(request.url, 'http://x').pathname;
    requests.push(path);
    let name = path.startsWith(prefix) ? normalize(path.slice(prefix.length)) : '..';
    if (name === '.' || name === '' || name.endsWith('/')) name = join(name, 'index.html');
    const file = join(host.dist, name), short = name.replace(/^app\/[0-9a-f]+\//, '');
    const content = () => readFileSync(file);
    const type = types[extname(name)] || 'application/octet-stream';
    if (typeof replace[short] === 'function') return replace[short](response, content, type);
    if (name.startsWith('..') || !(short in replace) && !existsSync(file)) {
      response.writeHead(404, { 'Content-Type': 'text/html' });
      response.end('<!doctype html><title>not here</title>');
      return;
    }
    response.writeHead(200, { 'Content-Type': type, ...headers });
    response.end(short in replace ? replace[short] : content());
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(Object.assign(host, {
    port: server.address().port,
    url: `http://127.0.0.1:${server.address().port}${prefix}`,
    stop: () => { server.closeAllConnections(); server.close(); },
  }))));
}

// certificate makes a key and a self-signed certificate for the fake servers.
function certificate() {
  const key = join(work, 'key.pem'), cert = join(work, 'cert.pem');
  if (!existsSync(cert)) {
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', cert,
      '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'], { stdio: 'ignore' });
  }
  return { key: readFileSync(key), cert: readFileSync(cert), file: cert };
}

// upstream is a symbol server over https without CORS headers that redirects to
// a second host, which gives what mode says: pdb, html, other, cut, nothing,
// stall.
export async function upstream(pdb, other) {
  const tls = certificate();
  const state = { mode: 'pdb', requests: 0 };
  const stalled = [];
  const store = createSecure(tls, (request, response) => {
    const good = readFileSync(pdb);
    switch (state.mode) {
      case 'html': response.writeHead(200, { 'Content-Type': 'text/html' }); response.end('<!doctype html><title>Please log in</title>' + ' '.repeat(5000)); return;
      case 'other': response.writeHead(200); response.end(other); return;
      case 'cut': response.writeHead(200, { 'Content-Length': good.length }); response.write(good.subarray(0, good.length >> 1)); setTimeout(() => response.destroy(), 100); return;
      case 'stall': response.writeHead(200, { 'Content-Length': good.length }); response.write(good.subarray(0, 4096)); stalled.push(response); return;
      case 'nothing': response.writeHead(404); response.end(); return;
      default: response.writeHead(200, { 'Content-Length': good.length }); response.end(good);
    }
  });
  await new Promise((ready) => store.listen(0, '127.0.0.1', ready));
  const front = createSecure(tls, (request, response) => {
    state.requests++;
    // localhost is the other host's name here, 127.0.0.1 this one's.
    response.writeHead(302, { Location: `https://localhost:${store.address().port}/blob?signature=secret` });
    response.end();
  });
  await new Promise((ready) => front.listen(0, '127.0.0.1', ready));
  return {
    state,
    url: `https://127.0.0.1:${front.address().port}/symbols`,
    cert: tls.file,
    release: () => { for (const response of stalled.splice(0)) response.destroy(); },
    stop: () => { for (const s of [store, front]) { s.closeAllConnections(); s.close(); } },
  };
}

export const emptyCache = (name) => folder(`cache-${name}-${Math.random().toString(36).slice(2)}`);
