import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import * as abi from '#src/tap/abi.js'
import { Ifreq } from '#src/tap/abi.js'
import { requirements } from '../../support/requires.js'

const hex = (ifreq: Ifreq) => Buffer.from(ifreq.memory.bytes).toString('hex')

describe('struct ifreq', () => {
  it('has the name in front, padded with zeros, and is forty bytes long', () => {
    assert.equal(hex(new Ifreq('tap0')), `${Buffer.from('tap0').toString('hex')}${'00'.repeat(36)}`)
  })

  it('has flags, numbers and addresses behind the name', () => {
    const ifreq = new Ifreq('t')
    ifreq.flags = abi.IFF_TAP | abi.IFF_NO_PI
    assert.equal(hex(ifreq).slice(32, 40), '02100000')
    ifreq.value = 9000
    assert.deepEqual([hex(ifreq).slice(32, 40), ifreq.value], ['28230000', 9000])
    ifreq.mac = '02:00:00:00:00:fe'
    assert.deepEqual([hex(ifreq).slice(32, 48), ifreq.mac], ['01000200000000fe', '02:00:00:00:00:fe'])
  })

  it('forgets everything with a new name, and reads back what the kernel wrote', () => {
    const ifreq = new Ifreq('tap%d')
    ifreq.value = -1
    ifreq.name = 'tap17'
    assert.deepEqual([ifreq.name, ifreq.value], ['tap17', 0])
  })

  it('takes fifteen bytes of name and no more', () => {
    assert.equal(new Ifreq('x'.repeat(15)).name, 'x'.repeat(15))
    assert.throws(() => new Ifreq('x'.repeat(16)), RangeError)
  })
})

describe('the numbers of ioctl', requirements({ platform: 'linux', commands: ['cc'] }), () => {
  it("are those of this machine's headers", () => {
    const numbers = Object.entries(abi).filter(([name]) => /^(TUN|SIOC|IFF_)/.test(name))
    const names = numbers.map(([name]) => name)
    assert.ok(names.length > 10, 'this test looks for the wrong names')
    const folder = mkdtempSync(join(tmpdir(), 'tapswitch-abi-'))
    try {
      const lines = names.map(name => `printf("${name} %lu\\n", (unsigned long)${name});`).join('')
      const source = `#include <stdio.h>\n#include <sys/ioctl.h>\n#include <net/if.h>\n#include <linux/if_tun.h>\n#include <linux/sockios.h>
        int main(void) { ${lines} printf("ifreq %zu\\n", sizeof(struct ifreq)); return 0; }`
      writeFileSync(join(folder, 'numbers.c'), source)
      execFileSync('cc', ['-o', join(folder, 'numbers'), join(folder, 'numbers.c')])
      const output = execFileSync(join(folder, 'numbers'), { encoding: 'utf8' })
      const theirs = Object.fromEntries(
        output
          .trim()
          .split('\n')
          .map(line => line.split(' ')),
      )
      const ours = Object.fromEntries(numbers.map(([name, number]) => [name, String(number)]))
      assert.deepEqual(theirs, { ...ours, ifreq: String(new Ifreq('x').memory.bytes.length) })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
