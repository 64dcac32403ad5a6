/** What comes with the package: its version, and the file that is used when none is named on the command line. */
import { fileURLToPath } from 'node:url'

export { version } from '../version.js'

export const defaultConfigFile = fileURLToPath(new URL('../../config/default.yaml', import.meta.url))
