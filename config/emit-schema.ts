/** Writes `config/kernel.schema.json`: run `node config/emit-schema.ts` after a change of the settings. */
import { writeFileSync } from 'node:fs';
import { kernelJsonSchemaText } from './kernel.schema.ts';

writeFileSync(new URL('./kernel.schema.json', import.meta.url), kernelJsonSchemaText());
