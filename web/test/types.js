// Makes web/summary.d.ts of the summary's schema: npm run types.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compile } from 'json-schema-to-typescript';
import { root } from './lib/files.js';

export const path = join(root, 'web/summary.d.ts');

// types gives the declarations that the schema says.
export function types() {
  const schema = JSON.parse(readFileSync(join(root, 'core/summary/summary.schema.json'), 'utf8'));
  return compile(schema, 'Summary', {
    bannerComment: '// Generated from core/summary/summary.schema.json by npm run types.',
    style: { singleQuote: true },
  });
}

if (process.argv[1] === import.meta.filename) writeFileSync(path, await types());
