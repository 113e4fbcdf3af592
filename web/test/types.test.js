// The page’s types are those of the summary’s schema.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { path, types } from './types.js';

test('web/summary.d.ts is what the schema says: npm run types', async () => {
  assert.equal(readFileSync(path, 'utf8'), await types());
});
