/** How the page gets control: by the link that the command line prints, once. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import type { Browser, Page } from 'playwright-core'
import { browserNeeds, startBrowser } from '../support/chromium.js'
import { freeTcpPort } from '../support/free-port.js'
import { Lab } from '../support/lab.js'
import { projectRoot } from '../support/project-root.js'
import { requirements } from '../support/requires.js'
import type { SwitchProcess } from '../support/switch-process.js'

const run = promisify(execFile)
const waitMs = 30_000

describe('the page', { ...requirements(browserNeeds), timeout: 180_000 }, () => {
  let lab: Lab
  let running: SwitchProcess
  let browser: Browser

  before(async () => {
    lab = await Lab.open()
    running = await lab.startSwitch({ http: { listen: `127.0.0.1:${await freeTcpPort()}` }, transports: [] })
    browser = await startBrowser()
  })
  after(async () => {
    await browser?.close()
    await lab?.close()
  })

  async function open(url: string): Promise<Page> {
    const page = await browser.newPage()
    page.setDefaultTimeout(waitMs)
    await page.goto(url)
    await page.locator('#state.good').waitFor()
    return page
  }

  const roleOf = (page: Page) =>
    page.evaluate<string>(
      `fetch('v1/session', { headers: sessionStorage.getItem('tapswitch-session') === null ? {}
        : { authorization: 'Bearer ' + sessionStorage.getItem('tapswitch-session') } })
        .then(response => response.json()).then(({ role }) => role)`,
    )

  it('only reads without a link, and says how to get one', async () => {
    const page = await open(running.url)
    await page.locator('#access', { hasText: 'tapswitch link' }).waitFor()
    assert.equal(await page.locator('#capture-start').isEnabled(), false)
    assert.equal(await roleOf(page), 'read')
    await page.close()
  })

  it('gets control by the link that run prints, keeps it through a reload, and leaves no code in the address', async () => {
    const link = /http:\/\/127\.0\.0\.1:\d+\/#code=[\w-]+/.exec(running.output)?.[0]
    assert.ok(link, running.output)
    const page = await open(link)
    await page.locator('#capture-start:enabled').waitFor()
    await page.waitForFunction(`location.hash === '' && document.getElementById('access').hidden`)
    assert.equal(await roleOf(page), 'control')
    await page.reload()
    await page.locator('#state.good').waitFor()
    assert.equal(await roleOf(page), 'control')
    const again = await open(link)
    await again.locator('#access', { hasText: 'was used' }).waitFor()
    assert.equal(await roleOf(again), 'read')
    await page.close()
    await again.close()
  })

  it('gets control by the link that tapswitch link prints', async () => {
    const program = join(projectRoot, 'dist/cli/main.js')
    const { stdout } = await run(process.execPath, [program, 'link', '-c', running.file], { timeout: waitMs })
    const page = await open(stdout.trim())
    await page.locator('#capture-start:enabled').waitFor()
    assert.equal(await roleOf(page), 'control')
    await page.close()
  })
})
