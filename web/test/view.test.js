// What the page says of a summary, without a browser.
import { afterEach, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { commandLine, windbgLines } from '../view.js';

describe('the lines for WinDbg', () => {
  test('Microsoft’s server always comes first', () => {
    assert.deepEqual(windbgLines('https://host/symbols', false), ['.symfix C:\\symbols', '.reload', '!analyze -v']);
    assert.deepEqual(windbgLines('https://host/symbols', true), ['.symfix C:\\symbols', '.sympath+ srv*C:\\symbols*https://host/symbols', '.reload', '!analyze -v']);
  });
});

describe('the command line', () => {
  afterEach(() => { delete globalThis.document; });

  // line gives the command line of a core that can be converted.
  function line({ name = 'vm.elf', status = 'none-needed', from = '', possible = true, os = 'windows', ...options } = {}) {
    return commandLine({ file: { name, format: 'elf' }, guest: { os }, convert: { possible }, symbols: { status, from } }, { compat: false, type: '', ...options });
  }

  test('without a PDB nobody is asked, unless it is needed', () => {
    assert.equal(line(), 'coredrop convert -symbols none vm.elf vm.dmp');
    assert.equal(line({ type: 'bitmap' }), 'coredrop convert -type bitmap -symbols none vm.elf vm.dmp');
    assert.equal(line({ status: 'missing' }), 'coredrop convert -symbols none vm.elf vm.dmp');
    for (const status of ['needed', 'missing']) assert.equal(line({ status, possible: false }), 'coredrop convert vm.elf vm.dmp');
    assert.equal(line({ compat: true }), 'coredrop convert -compat elf2dmp vm.elf vm.dmp');
  });

  test('a dropped PDB is named as the command line reads a symbol path', () => {
    const given = (file) => line({ status: 'found', from: `the file ${file}` });
    assert.equal(given('ntkrnlmp.pdb'), 'coredrop convert -symbols ntkrnlmp.pdb vm.elf vm.dmp');
    assert.equal(given('my kernel.pdb'), "coredrop convert -symbols 'my kernel.pdb' vm.elf vm.dmp");
    assert.equal(given('-k.pdb'), 'coredrop convert -symbols ./-k.pdb vm.elf vm.dmp');
    assert.equal(given('none'), 'coredrop convert -symbols ./none vm.elf vm.dmp');
    assert.equal(given(' k.pdb'), "coredrop convert -symbols './ k.pdb' vm.elf vm.dmp");
    for (const name of ['a;b.pdb', 'a*b.pdb', 'k.pdb ']) assert.equal(given(name), 'coredrop convert vm.elf vm.dmp');
    assert.equal(line({ status: 'found', from: 'the file k.pdb', compat: true }), 'coredrop convert -compat elf2dmp -symbols k.pdb vm.elf vm.dmp');
  });

  test('a PDB of this server is asked of it, one of the browser’s cache of the usual places', () => {
    globalThis.document = { baseURI: 'https://host/drop/index.html' };
    assert.equal(line({ status: 'found', from: 'this server' }), "coredrop convert -symbols 'srv**https://host/drop/symbols' vm.elf vm.dmp");
    globalThis.document = { baseURI: 'http://host/' };
    assert.equal(line({ status: 'found', from: 'this server' }), 'coredrop convert vm.elf vm.dmp', 'it asks no server without https');
    assert.equal(line({ status: 'found', from: "this browser's cache" }), 'coredrop convert vm.elf vm.dmp');
  });

  test('names are words of a shell, and no flags', () => {
    assert.equal(line({ name: '-vm.elf' }), 'coredrop convert -symbols none ./-vm.elf ./-vm.dmp');
    assert.equal(line({ name: "it's $HOME.elf" }), "coredrop convert -symbols none 'it'\\''s $HOME.elf' 'it'\\''s $HOME.dmp'");
    assert.equal(line({ name: '-my vm.elf', os: 'linux' }), "coredrop kcsan './-my vm.elf'");
  });
});
