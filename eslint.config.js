// What eslint checks of the page's modules and their tests: its own
// recommendations. Types are tsc's (npm run check).
import js from '@eslint/js';
import globals from 'globals';

export default [
  { ignores: ['build/', 'server/page/dist/', '**/testdata/'] },
  js.configs.recommended,
  { files: ['web/**/*.js'], languageOptions: { globals: globals.browser } },
  { files: ['web/worker.js'], languageOptions: { globals: { ...globals.worker, Go: 'readonly' } } }, // wasm_exec.js has Go
  { files: ['web/sw.js'], languageOptions: { globals: { ...globals.serviceworker, build: 'readonly' } } }, // server/pack writes build
  {
    // Functions of the tests run in the page and in its worker as well.
    files: ['web/test/**/*.js', 'eslint.config.js'],
    languageOptions: { globals: { ...globals.node, ...globals.browser, ...globals.worker, Go: 'readonly', memory: 'readonly' } },
  },
  {
    rules: {
      'no-unused-vars': ['error', { caughtErrors: 'none', argsIgnorePattern: '^_' }],
      eqeqeq: 'error',
      'prefer-const': 'error',
    },
  },
];
