// The crasher's stack on the page, as the command line prints it.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { binary, root, work } from './lib/files.js';
import { coredrop } from './lib/servers.js';
import { kinds, launch } from './lib/browsers.js';
import { stackText } from '../stacks.js';

// crash gives the built-in core of a bug check as a file.
function crash() {
  const core = join(work, 'crash.elf');
  if (!existsSync(core)) writeFileSync(core, gunzipSync(readFileSync(join(root, 'core/demo/crash.elf.gz'))));
  return core;
}

describe('the text of a stack', () => {
  const frame = { address: '0xfffff80318971319', sp: '0xffff9e0a7a215850', module: 'minidrv', symbol: '', offset: 0x1319, note: '' };
  test('names, addresses, notes and the reason of an end', () => {
    assert.equal(stackText('t', [], 'nobody runs it'), 't\n   (nobody runs it)');
    assert.equal(stackText('t', [frame, { ...frame, symbol: 'F', offset: 0, note: 'guessed' }, { ...frame, module: '', address: '0x7ff63c3b1040' }], ''),
      't\n # Child-SP          RetAddr           Call Site\n' +
      '00 ffff9e0a`7a215850 fffff803`18971319 minidrv+0x1319\n' +
      '01 ffff9e0a`7a215850 00007ff6`3c3b1040 minidrv!F (guessed)\n' +
      '02 ffff9e0a`7a215850 00000000`00000000 0x00007ff6`3c3b1040');
  });
});

for (const kind of kinds) {
  describe(`stacks in ${kind}`, () => {
    let server, driver;
    before(async () => {
      server = await coredrop(['serve', '-addr', '127.0.0.1:0', '-upstream', 'none']);
      driver = await launch(kind);
    });
    after(async () => {
      await driver?.close();
      await server?.stop();
    });

    test('the crasher comes first, with the frames that the command line prints', async () => {
      const view = await driver.visit(server.url);
      await view.pick(crash());
      await view.settled();
      const text = await view.text('#stacks');
      const frames = (/** @type {string} */ from) => from.split('\n').filter((l) => /^[0-9a-f]{2} [0-9a-f]{8}`/.test(l));
      const printed = frames(execFileSync(binary, ['stacks', '-symbols', 'none', crash()], { encoding: 'utf8' }));
      assert.deepEqual(frames(text), printed);
      assert.match(frames(text)[0], /^00 ffff9e0a`7a215578 fffff803`3c61a4d3 nt!KeBugCheckEx$/);
      assert.match(text, /faulting module: minidrv, at minidrv\+0x1319/);
      assert.deepEqual(view.errors, []);
      await view.page.close();
    });
  });
}
