/** Debian's Chromium without a screen, driven by playwright-core. Ended with the process at the latest. */
import { type Browser, chromium } from 'playwright-core'
import { findCommand, type Needs } from './requires.js'

/** What the tests that look at a page pass to `requirements()`. */
export const browserNeeds: Needs = { commands: ['chromium'] }

export function startBrowser(): Promise<Browser> {
  const executablePath = findCommand('chromium')
  if (executablePath === undefined) throw new Error('chromium is missing')
  // It refuses its sandbox to root; the pages are ours.
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'], timeout: 60_000 })
}
