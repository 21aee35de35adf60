#!/usr/bin/env node
// Built-ins and the file beside it, nothing more: this must run when node_modules is gone.
const { launch } = await import('./launch.mjs');
await launch({ name: 'kernelctl', program: 'cli/main' });
