import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createOs } from '#src/os/os.js'
import { Forwards } from '#src/slirp/forwards.js'
import { slirpConfig } from '../../support/slirp-config.js'

const forwards = () => new Forwards(slirpConfig({ hostLoopback: true }), createOs().layout, async () => ({ ok: true }))

describe('forwards of datagrams', () => {
  const first = { protocol: 'udp', host: '127.0.0.1:1000', guest: '10.0.2.15:53' } as const
  const second = { protocol: 'udp', host: '127.0.0.1:1001', guest: '10.0.2.15:53' } as const

  it('lead to a port of a guest from one place of the host', async () => {
    const list = forwards()
    await list.add(first)
    await assert.rejects(
      list.add(second),
      /"10\.0\.2\.15:53" of the guest is forwarded from "127\.0\.0\.1:1000" already/,
    )
    await list.add({ ...second, guest: '10.0.2.15:54' })
    await list.add({ ...second, protocol: 'tcp' })
    await list.remove(first)
    await list.add({ ...first, host: '127.0.0.1:1002' })
  })
})
