/** What belongs to the package rather than to a run: its version and the files it comes with. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = new URL('../../', import.meta.url)

export const version = (JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as { version: string }).version

/** Used when no file is named on the command line. */
export const defaultConfigFile = fileURLToPath(new URL('config/default.yaml', root))
