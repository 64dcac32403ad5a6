/** What the live page says in a real browser when a proxy in front of the switch, nginx, is not set up well. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { browserNeeds, startBrowser } from '../support/chromium.js'
import { freeTcpPort } from '../support/free-port.js'
import { Lab } from '../support/lab.js'
import { startProxy } from '../support/proxy.js'
import { allOf, requirements } from '../support/requires.js'
import type { SwitchProcess } from '../support/switch-process.js'

const waitMs = 20_000

describe('the live page behind a proxy', {
  ...requirements(allOf(browserNeeds, { commands: ['nginx'] })),
  timeout: 120_000,
}, () => {
  let lab: Lab
  let running: SwitchProcess
  let browser: Browser
  let page: Page | undefined

  before(async () => {
    lab = await Lab.open()
    running = await lab.startSwitch({ transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }] })
    browser = await startBrowser()
  })
  after(async () => {
    await browser?.close()
    await lab?.close()
  })

  /** Opens the page behind nginx with these locations; `SWITCH` in them is the address of the switch. */
  async function behind(locations: string): Promise<Page> {
    const port = await freeTcpPort()
    const inside = locations.replaceAll('SWITCH', running.url)
    const proxy = await startProxy('nginx', `server {\nlisten 443;\n${inside}\n}\n`, { folder: lab.folder, port })
    lab.onClose(() => proxy.stop())
    await page?.close()
    page = await browser.newPage()
    page.setDefaultTimeout(waitMs)
    await page.goto(`http://localhost:${port}/`)
    return page
  }

  const says = async (page: Page, id: string, words: RegExp) => {
    const place = page.locator(id)
    const seen = place.filter({ hasText: words }).waitFor()
    await seen.catch(async () => assert.fail(`${id} says: ${await place.textContent()}`))
  }
  const proper = 'location / { proxy_pass SWITCH; proxy_set_header Host $http_host; }'

  it('works where the proxy passes Host on, and says why events do not come', async () => {
    const page = await behind(`${proper} location /v1/events { return 502; }`)
    await page.locator('#state.good').waitFor()
    await says(
      page,
      '#events-state',
      /proxy in front of the switch answers, with status 502: it does not reach the switch/,
    )
  })

  it('says that the scripts do not come', async () => {
    const page = await behind(`${proper} location /page/ { return 404; }`)
    await says(page, '#state', /the scripts of this page are refused or do not come: a proxy/)
  })

  it('names the Host header that arrived, and the cure', async () => {
    const page = await behind(`${proper} location /v1/ { proxy_pass SWITCH; proxy_set_header Host inside.example; }`)
    await says(
      page,
      '#state',
      /Host header is "inside\.example", which is no name of this switch.*add .* to http\.allowedHosts/i,
    )
    assert.deepEqual(await page.locator('#state').getAttribute('class'), 'bad')
  })

  it('says that the Host header is changed, where that keeps the scripts away', async () => {
    const page = await behind('location / { proxy_pass SWITCH; }')
    await says(page, '#state', /must pass on the Host header that it was sent/)
  })

  it('tells the answers of a proxy from those of the switch', async () => {
    const page = await behind(`${proper} location /v1/switch { return 502; }`)
    await says(page, '#state', /proxy in front of the switch answers, with status 502/)
    const other = await behind(
      `${proper} location /v1/switch { default_type text/html; return 200 "<h1>Log in</h1>"; }`,
    )
    await says(other, '#state', /with status 200, is not the switch but a proxy or another server/)
  })

  it('says that nothing answers', async () => {
    const page = await behind(proper)
    await page.locator('#state.good').waitFor()
    await page.context().setOffline(true)
    await says(page, '#state', /No answer. See whether tapswitch runs/)
  })
})
