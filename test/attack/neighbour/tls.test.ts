/** Someone who records TLS connections and gets the key later: no suite without forward secrecy is agreed on. */
import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { freeTcpPort } from '../../support/free-port.js'
import { Lab } from '../../support/lab.js'
import { requirements } from '../../support/requires.js'
import type { SwitchProcess } from '../../support/switch-process.js'

const run = promisify(execFile)

describe('TLS', { ...requirements({ commands: ['openssl'] }), timeout: 60_000 }, () => {
  let lab: Lab
  let running: SwitchProcess
  let addresses: string[]

  before(async () => {
    lab = await Lab.open()
    const [key, certificate] = [lab.path('tls.key'), lab.path('tls.pem')]
    // Only with an RSA key can a session key be sent under it.
    const self = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost']
    execFileSync('openssl', [...self, '-keyout', key, '-out', certificate], { stdio: 'ignore' })
    chmodSync(key, 0o600)
    writeFileSync(lab.path('web.token'), 'a-token-for-guests-0123456789', { mode: 0o600 })
    const listen = `127.0.0.1:${await freeTcpPort()}`
    running = await lab.startSwitch({
      http: { listen: '127.0.0.1:0', tls: { certificate, key } },
      transports: [{ name: 'web', type: 'websocket', listen: `${listen}/ethernet`, tls: { certificate, key } }],
    })
    addresses = [new URL(running.url).host, listen]
  })
  after(() => lab?.close())

  /** The suite that was agreed on; null when there was none. */
  async function suite(address: string, ...offer: string[]): Promise<string | null> {
    const child = run('openssl', ['s_client', '-connect', address, ...offer], { timeout: 20_000 })
    child.child.stdin?.end()
    const { stdout } = await child.catch(error => error as { stdout: string })
    const name = /^New, TLSv1\.\d, Cipher is (\S+)$/m.exec(stdout)?.[1]
    return name === undefined || name === '(NONE)' ? null : name
  }

  async function assertForwardSecrecy(): Promise<void> {
    for (const address of addresses) {
      assert.equal(await suite(address, '-tls1_2', '-cipher', 'kRSA'), null, `${address}: RSA key exchange`)
      assert.equal(await suite(address, '-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'), null, `${address}: TLS 1.1`)
      assert.match(String(await suite(address, '-tls1_2')), /^ECDHE-/)
      assert.match(String(await suite(address, '-tls1_3')), /^TLS_/)
    }
  }

  it('has forward secrecy, with the HTTP server and with a WebSocket listener', () => assertForwardSecrecy())

  it('has it still when the certificate was read again', async () => {
    running.kill('SIGHUP')
    await running.logged(({ msg }) => msg === 'configuration reloaded')
    await assertForwardSecrecy()
  })
})
