import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { compileFilter } from '#src/os/filter-compiler.js'
import { candidates } from '#src/os/pcap.js'
import { compileBpf } from '#src/wire/bpf.js'
import { arpRequest, ipv4Echo } from '../../support/frames.js'

const run = promisify(execFile)
const compilerModule = new URL('../../../../dist/os/filter-compiler.js', import.meta.url)

describe('the filter compiler', () => {
  it('makes a program that tells frames apart', async () => {
    const matches = compileBpf(await compileFilter('arp and less 60'))
    assert.equal(matches(arpRequest, 0, arpRequest.length, arpRequest.length), true)
    assert.equal(matches(arpRequest, 0, arpRequest.length, 1514), false)
    assert.equal(matches(ipv4Echo, 0, ipv4Echo.length, ipv4Echo.length), false)
  })

  it("refuses what libpcap refuses, in libpcap's words", async () => {
    await assert.rejects(compileFilter('ip and'), { name: 'FilterError', message: /syntax error/ })
    await assert.rejects(compileFilter('mpls and vlan'), { name: 'FilterError', message: /VLAN/ })
  })

  it('refuses a loop and a program that is too long', async () => {
    await assert.rejects(compileFilter('ip6 protochain 6'), { name: 'FilterError', message: /protochain/ })
    const nets = Array.from({ length: 120 }, (_, i) => `${i}`).join('||')
    await assert.rejects(compileFilter(`net ${nets}`), { name: 'FilterError', message: /instructions/ })
  })

  it('refuses a name without asking libpcap', async () => {
    await assert.rejects(compileFilter('host vm.example'), { name: 'FilterError', message: /are not looked up/ })
  })

  it('names the package where there is no libpcap', async () => {
    const { stdout } = await run(
      process.execPath,
      [
        '-e',
        `import(${JSON.stringify(fileURLToPath(compilerModule))}).then(m => m.compileFilter('arp')).catch(e => console.log(e.name, e.message))`,
      ],
      { env: { ...process.env, TAPSWITCH_LIBPCAP: '/nonexistent/libpcap.so' } },
    )
    assert.match(stdout, /^OperatorError filters need libpcap.*\/nonexistent\/libpcap\.so.*apt install libpcap0\.8/)
  })

  it('looks for the names that distributions and macOS use', () => {
    assert.deepEqual(candidates('linux', undefined), ['libpcap.so.0.8', 'libpcap.so.1', 'libpcap.so'])
    assert.equal(candidates('darwin', '')[0], '/usr/lib/libpcap.A.dylib')
    assert.deepEqual(candidates('linux', '/opt/libpcap.so'), ['/opt/libpcap.so'])
  })
})
