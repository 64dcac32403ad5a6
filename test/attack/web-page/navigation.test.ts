/**
 * A page of another site makes a browser of this machine send requests to the API, where even callers without a token
 * have control.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { after, before, describe, it } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { Api } from '../../support/api.js'
import { browserNeeds, startBrowser } from '../../support/chromium.js'
import { Lab } from '../../support/lab.js'
import { requirements } from '../../support/requires.js'
import type { SwitchProcess } from '../../support/switch-process.js'

describe('a page of another site', { ...requirements(browserNeeds), timeout: 120_000 }, () => {
  let lab: Lab
  let running: SwitchProcess
  let browser: Browser
  let page: Page
  /** Another port of this machine is the same site; 127.0.0.1 asked from localhost is another. */
  const site = createServer((_request, response) => response.setHeader('content-type', 'text/html').end('<p>hello'))

  before(async () => {
    site.listen(0, '127.0.0.1')
    await once(site, 'listening')
    lab = await Lab.open()
    running = await lab.startSwitch({ http: { listen: '127.0.0.1:0', anonymous: 'control' }, transports: [] })
    browser = await startBrowser()
  })
  after(async () => {
    site.close()
    await browser?.close()
    await lab?.close()
  })

  for (const host of ['127.0.0.1', 'localhost']) {
    it(`at ${host} starts no capture by frames, images, downloads, forms or fetch`, async () => {
      const { port } = site.address() as { port: number }
      page = await browser.newPage()
      await page.goto(`http://${host}:${port}/`)
      const answered: number[] = []
      page.on('response', response => {
        if (response.url().startsWith(running.url)) answered.push(response.status())
      })
      // Of images and fetch, Chromium keeps the answer from the page, and calls that a failure.
      let kept = 0
      page.on('requestfailed', request => {
        if (request.url().startsWith(running.url)) kept++
      })
      const capture = `${running.url}/v1/capture?seconds=60`
      await page.evaluate(
        `for (let i = 0; i < 4; i++) {
          const frame = document.createElement('iframe')
          frame.src = '${capture}&megabytes=' + (i + 1)
          document.body.append(frame)
          new Image().src = '${capture}&snaplen=' + (64 + i)
          fetch('${capture}&snaplen=' + (200 + i), { mode: 'no-cors' }).catch(() => {})
          const link = document.createElement('a')
          link.href = '${capture}'
          link.target = '_blank'
          document.body.append(link)
          link.click()
        }
        const form = document.createElement('form')
        form.method = 'post'
        form.action = '${running.url}/v1/config/save'
        form.target = '_blank'
        document.body.append(form)
        form.submit()`,
      )
      const until = performance.now() + 10_000
      while (answered.length + kept < 12 && performance.now() < until) await page.waitForTimeout(50)
      assert.ok(answered.length + kept >= 12, `${answered.length} answers, ${kept} kept from the page`)
      assert.deepEqual([...new Set(answered)], [403])
      assert.deepEqual((await new Api(running.url).get('/v1/captures')).json.captures, [])
      await page.context().close()
    })
  }

  it('may link to the page of the switch', async () => {
    const { port } = site.address() as { port: number }
    page = await browser.newPage()
    await page.goto(`http://localhost:${port}/`)
    await page.evaluate(`location.href = '${running.url}/'`)
    await page.locator('#state.good').waitFor({ timeout: 20_000 })
    await page.close()
  })
})
