/** A page in a browser as a station: it opens the WebSocket and finds a VM by ARP, and pages that may not cannot. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { type Browser, chromium, type Page } from 'playwright-core'
import { Lab } from '../support/lab.js'
import { findCommand, requirements } from '../support/requires.js'
import type { SwitchProcess } from '../support/switch-process.js'
import { dgramNetdev, Vm, vmNeeds } from '../support/vm.js'

const mac = '52:54:00:00:00:01'
const ip = [10, 9, 0, 1]
const token = 'a-token-for-browsers-only'
const needs = { ...vmNeeds, commands: [...(vmNeeds.commands ?? []), 'chromium'] }

describe('a page in a browser', { ...requirements(needs), timeout: 180_000 }, () => {
  let lab: Lab
  let running: SwitchProcess
  let browser: Browser
  let vm: Vm
  const pages: Server[] = []

  before(async () => {
    lab = await Lab.open()
    const allowed = await servePage()
    await servePage()
    writeFileSync(lab.path('web.token'), token, { mode: 0o600 })
    running = await lab.startSwitch({
      transports: [
        { name: 'vms', type: 'unixgram', listen: 'vms.sock' },
        { name: 'web', type: 'websocket', listen: '/ethernet', allowedOrigins: [allowed] },
        {
          name: 'own',
          type: 'websocket',
          listen: '127.0.0.1:0/e',
          allowedOrigins: [allowed],
          token: { file: 'web.token' },
        },
      ],
    })
    const executablePath = findCommand('chromium') as string
    browser = await chromium.launch({ executablePath, headless: true, args: ['--no-sandbox'] })
    vm = await Vm.start({
      name: 'vm',
      mac,
      ip: `${ip.join('.')}/24`,
      netdevArgs: dgramNetdev({ local: lab.path('vm.sock'), remote: lab.path('vms.sock') }),
    })
  })

  after(async () => {
    await browser?.close()
    await vm?.stop()
    for (const server of pages) server.close()
    await lab?.close()
  })

  /** A site with an empty page; resolves with its origin. */
  async function servePage(): Promise<string> {
    const server = createServer((_request, response) => response.setHeader('content-type', 'text/html').end('<p>page'))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    pages.push(server)
    return originOf(server)
  }

  const originOf = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  async function open(server: Server): Promise<Page> {
    const page = await browser.newPage()
    await page.goto(originOf(server))
    return page
  }

  /** What the page gets for its ARP request, as v86 would send it, or how its socket ended. */
  const askArp = (page: Page, url: string, protocols: string[] = []) =>
    page.evaluate(
      ({ url, protocols, ip }) =>
        new Promise<string>(resolve => {
          const socket = protocols.length > 0 ? new WebSocket(url, protocols) : new WebSocket(url)
          socket.binaryType = 'arraybuffer'
          const own = [0x52, 0x54, 0, 0, 0, 0x99]
          const request = [
            ...[255, 255, 255, 255, 255, 255, ...own, 8, 6],
            ...[0, 1, 8, 0, 6, 4, 0, 1, ...own, 10, 9, 0, 9, 0, 0, 0, 0, 0, 0, ...ip],
          ]
          socket.onopen = () => socket.send(new Uint8Array(request))
          socket.onclose = ({ code }) => resolve(`closed ${code}`)
          socket.onmessage = ({ data }) => {
            if (typeof data === 'string') return resolve(`text ${data}`)
            const frame = new Uint8Array(data as ArrayBuffer)
            // Whatever else the guest says in the meantime is not the answer.
            if (frame[12] !== 8 || frame[13] !== 6 || frame[21] !== 2) return
            const sender = [...frame.subarray(22, 28)].map(octet => octet.toString(16).padStart(2, '0')).join(':')
            resolve(`${sender} ${frame.length} ${socket.protocol}`.trim())
            socket.close()
          }
        }),
      { url, protocols, ip },
    )

  const shared = () => `${running.url.replace('http', 'ws')}/ethernet`
  const own = async () => (await running.api.transport('own')).listen

  it('finds a VM by ARP', async () => {
    assert.equal(await askArp(await open(pages[0]), shared()), `${mac} 42`)
  })

  it('shows its token as a subprotocol, since it cannot set headers', async () => {
    const page = await open(pages[0])
    assert.equal(await askArp(page, await own(), [token]), `${mac} 42 ${token}`)
    assert.equal(await askArp(page, await own()), 'closed 1006')
    assert.equal(await askArp(page, await own(), ['another-token-of-length']), 'closed 1006')
  })

  it('cannot when it comes from another origin', async () => {
    const page = await open(pages[1])
    assert.equal(await askArp(page, shared()), 'closed 1006')
    assert.equal(await askArp(page, await own(), [token]), 'closed 1006')
  })
})
