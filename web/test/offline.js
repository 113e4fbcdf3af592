// The demo from click to dump; hosting.test.js runs it where there is no network
// but the loopback device.
import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { byCommandLine, demo, sha256 } from './lib/files.js';
import { coredrop } from './lib/servers.js';
import { launch } from './lib/browsers.js';

assert.deepEqual(Object.keys(networkInterfaces()), ['lo']);
const server = await coredrop(['demo', '-addr', '127.0.0.1:0']);
const driver = await launch(process.argv[2]);
const view = await driver.visit(server.url);
await view.click('#demo-open');
await view.visible('#save');
await view.click('#symbols-more');
await view.press('#symbols-get');
assert.equal((await view.summary()).symbols.status, 'found');
assert.equal(view.symbolRequests().length, 1);
await view.converted();
assert.equal(await sha256(await view.save()), await byCommandLine(demo().core, '-symbols', demo().pdb));
assert.deepEqual(view.foreign(), []);
console.log('the dump is right');
await driver.close();
await server.stop();
process.exit(0);
