import { join } from 'node:path'

/** The folder that holds package.json. This file runs as build/test/support/project-root.js. */
export const projectRoot = join(import.meta.dirname, '../../..')
