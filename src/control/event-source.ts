/** From what the data plane says, by index, to what the bus carries, by name. */
import type { DataPlane } from '../dataplane/data-plane.js'
import type { Event } from '../dataplane/messages.js'
import type { EventBus, SwitchEvent } from './event-bus.js'
import type { EventLog } from './event-log.js'
import type { PortChurn } from './port-churn.js'

/** Passes on what the data plane says from now on; events about ports only while `churn` admits them. */
export function publishDataPlane(dataPlane: DataPlane, bus: EventBus, eventLog: EventLog, churn: PortChurn): void {
  const name = (index: number) => dataPlane.ports.get(index)?.name ?? `#${index}`
  dataPlane.on('event', event => {
    if (!isAdmitted(event, dataPlane, churn)) return
    eventLog.write(event)
    const published = translate(event, name)
    if (published !== undefined) bus.emit(published)
  })
  dataPlane.on('restarted', restarts => bus.emit({ type: 'dataplane-restarted', restarts }))
}

function isAdmitted(event: Event, { ports }: DataPlane, churn: PortChurn): boolean {
  switch (event.type) {
    case 'port-added':
    case 'port-up':
    case 'port-down':
    case 'port-removed':
      return churn.admit(ports.get(event.index)?.endpoint ?? '')
    default:
      return true
  }
}

/** Undefined for what is between the two threads only. */
function translate(event: Event, name: (index: number) => string): SwitchEvent | undefined {
  switch (event.type) {
    case 'port-added':
      return { type: event.type, port: name(event.index), portId: event.id, transport: event.transport }
    case 'port-up':
      return { type: event.type, port: name(event.index), portId: event.id, peer: event.peer }
    case 'port-down':
    case 'port-removed':
      return { type: event.type, port: name(event.index), portId: event.id }
    case 'mac-learned':
    case 'mac-flapping':
      return { type: event.type, mac: event.mac, port: name(event.port) }
    case 'mac-moved':
      return { type: event.type, mac: event.mac, from: name(event.from), to: name(event.to) }
    case 'limit-reached':
      return { type: event.type, port: event.port === null ? null : name(event.port) }
    default:
      return undefined
  }
}
