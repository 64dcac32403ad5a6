/** The live page in a real browser, on the running switch with a real VM. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { AxeResults } from 'axe-core'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { Api } from '../support/api.js'
import { browserNeeds, startBrowser } from '../support/chromium.js'
import { ALICE, arpReply, arpRequest, BOB, CAROL, frame } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { numberedRun } from '../support/numbered.js'
import { readPcapng } from '../support/pcapng.js'
import { projectRoot } from '../support/project-root.js'
import type { RawPeer } from '../support/raw-peer.js'
import { requirements } from '../support/requires.js'
import type { SwitchProcess } from '../support/switch-process.js'
import { Vm, vmNeeds } from '../support/vm.js'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const waitMs = 20_000
const focusedPort = "(document.activeElement?.getAttribute('data-port') ?? '')"
/** With TAPSWITCH_PICTURES=1 the pictures of the docs are made anew. */
const pictures = process.env.TAPSWITCH_PICTURES === '1'
const needs = { ...vmNeeds, commands: [...(vmNeeds.commands ?? []), ...(browserNeeds.commands ?? [])] }

describe('the live page', { ...requirements(needs), timeout: 180_000 }, () => {
  let lab: Lab
  let running: SwitchProcess
  let browser: Browser
  let alice: RawPeer
  let bob: RawPeer

  before(async () => {
    lab = await Lab.open()
    running = await lab.startSwitch({
      switch: { name: 'lab' },
      transports: [
        { name: 'vms', type: 'unixgram', listen: 'vms.sock' },
        { name: 'spare', type: 'unixgram', listen: 'spare.sock', peers: 'one' },
      ],
    })
    alice = lab.qemu('alice.sock', 'vms.sock')
    bob = lab.qemu('bob.sock', 'vms.sock')
    await alice.send(arpRequest)
    await bob.send(arpReply)
    browser = await startBrowser()
  })

  after(async () => {
    await browser?.close()
    await lab?.close()
  })

  /** A page that has shown the switch; `complaints` is what it asked of others or wrote to its console. */
  async function open(options: BrowserContextOptions = {}): Promise<{ page: Page; complaints: string[] }> {
    const page = await browser.newPage(options)
    page.setDefaultTimeout(waitMs)
    const complaints: string[] = []
    page.on('console', message => complaints.push(`console: ${message.text()}`))
    page.on('pageerror', error => complaints.push(`error: ${error.message}`))
    page.on('request', request => {
      if (!request.url().startsWith(running.api.url) && !/^(blob|data):/.test(request.url()))
        complaints.push(request.url())
    })
    page.on('response', response => {
      if (response.status() >= 400) complaints.push(`${response.status()} ${response.url()}`)
    })
    await page.goto(await controlLink())
    await page.locator('#state.good').waitFor()
    await page.locator('#port-table tbody tr').first().waitFor()
    return { page, complaints }
  }

  /** As the command line prints it. */
  async function controlLink(): Promise<string> {
    const { json } = await new Api(running.api.url).post('/v1/session/code')
    return `${running.api.url}/#code=${json.secret}`
  }

  const rowOf = (page: Page, port: string) => page.locator('#port-table tbody tr', { hasText: port })

  it('asks nobody but the switch, and has nothing to complain about', async () => {
    const { page, complaints } = await open()
    await page.locator('#chart canvas').waitFor()
    assert.match(await page.title(), /^lab/)
    await page.close()
    assert.deepEqual(complaints, [])
  })

  it('shows a VM within a second of its first frame', async () => {
    const { page } = await open()
    const path = lab.path('vm.sock')
    const ends = `local.type=unix,local.path=${path},remote.type=unix,remote.path=${lab.path('vms.sock')}`
    const vm = await Vm.start({
      name: 'vm',
      mac: CAROL,
      ip: '10.9.0.3/24',
      netdevArgs: ['-netdev', `dgram,id=net0,${ends}`],
    })
    lab.onClose(() => vm.stop())
    await vm.run('arping -c 1 -w 1 -I eth0 10.9.0.9 || true')
    const { since } = await running.api.portOf(path)
    await rowOf(page, path).waitFor()
    // Seen from the page: when it appeared. Twice the promise, because two emulators share this machine with the page.
    assert.ok(Date.now() - Date.parse(since) < 5000, 'the VM took five seconds')
    await page.locator('#fdb-table', { hasText: CAROL }).waitFor()
    await page.locator('#events', { hasText: 'port-up' }).waitFor()
    await page.close()
  })

  it('has charts that move with the traffic, and shows drops', async () => {
    const { page } = await open()
    const { name } = await running.api.portOf(lab.path('alice.sock'))
    await page.locator('#chart-port').selectOption({ label: name })
    await page.locator('#chart-unit').selectOption('frames')
    const text = page.locator('#chart-text')
    await text.filter({ hasText: `${name}: 0 frames/s in` }).waitFor()
    const traffic = setInterval(() => {
      for (const each of numberedRun(BOB, ALICE, 0, 20)) void alice.send(each)
      void alice.send(frame(BOB, '03:00:00:00:00:01', 60))
    }, 50)
    try {
      await text.filter({ hasNotText: `${name}: 0 frames/s in` }).waitFor()
      await page.locator('#picture .port.drops', { hasText: name }).waitFor()
      if (pictures) await takePictures(name)
    } finally {
      clearInterval(traffic)
    }
    await page.close()
  })

  it('finds addresses', async () => {
    const { page } = await open()
    await page.locator('#fdb-table', { hasText: ALICE }).waitFor()
    await page.locator('#fdb-search').fill(BOB.slice(-5))
    await page.locator('#fdb-table', { hasText: BOB }).waitFor()
    assert.equal(await page.locator('#fdb-table tbody tr').count(), 1)
    assert.equal(await page.locator('#fdb-count').textContent(), '1 match')
    await page.close()
  })

  it('captures, and hands over the file', async () => {
    const { page } = await open()
    await page.locator('#capture-filter').fill('arp')
    await page.locator('#capture-start').click()
    await page.locator('#capture-stop:enabled').waitFor()
    await alice.send(arpRequest)
    const downloaded = page.waitForEvent('download')
    await page.locator('#capture-stop').click()
    const { packets } = readPcapng(await readFile(await (await downloaded).path()))
    assert.ok(packets.some(({ bytes, direction }) => direction === 'in' && bytes.equals(Buffer.from(arpRequest))))
    await page.close()
  })

  it('says why a capture cannot be', async () => {
    const { page } = await open()
    await page.locator('#capture-filter').fill('arp and')
    await page.locator('#capture-start').click()
    await page.locator('#capture-state', { hasText: 'syntax error' }).waitFor()
    await page.close()
  })

  it('can be used with the keyboard alone', async () => {
    const { page } = await open()
    const { id, name } = await running.api.portOf(lab.path('bob.sock'))
    await page.locator(`#picture [data-port="${id}"]`).focus()
    await page.keyboard.press('Enter')
    assert.equal(await page.locator('#chart-port').inputValue(), String(id))
    await page.keyboard.press('Tab')
    // The page draws itself anew each second; whoever is at a port stays there.
    const focused = await page.evaluate<string>(focusedPort)
    await rowOf(page, name).waitFor()
    await page.waitForFunction(`${focusedPort} === '${focused}'`)
    await page.close()
  })

  for (const [what, options] of [
    ['light', { colorScheme: 'light' }],
    ['dark', { colorScheme: 'dark' }],
    ['on a phone', { viewport: { width: 390, height: 844 }, hasTouch: true }],
  ] as const) {
    it(`has nothing in the way of anybody: ${what}`, async () => {
      const { page } = await open(options)
      await page.locator('#chart canvas').waitFor()
      const { violations } = await page.evaluate<AxeResults>(`${axe}; axe.run()`)
      assert.deepEqual(
        violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`),
        [],
      )
      assert.ok(
        await page.evaluate('document.documentElement.scrollWidth <= window.innerWidth'),
        'wider than the screen',
      )
      await page.close()
    })
  }

  async function takePictures(port: string): Promise<void> {
    const folder = join(projectRoot, 'docs/pictures')
    await mkdir(folder, { recursive: true })
    for (const colorScheme of ['light', 'dark'] as const) {
      const { page } = await open({ colorScheme, viewport: { width: 1100, height: 900 } })
      await page.locator('#chart-port').selectOption({ label: port })
      await page.locator('#chart-text').filter({ hasNotText: ': 0 ' }).waitFor()
      await delay(8000)
      await page.screenshot({ path: join(folder, `page-${colorScheme}.png`) })
      await page.close()
    }
  }
})
