/** The version of the package this file was built in. */
import { readFileSync } from 'node:fs'

export const version = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version
