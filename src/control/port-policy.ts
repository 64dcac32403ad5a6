/** What holds for a port: the policy of its transport, and over that what was set for it alone. */
import type { PortRecord } from '../dataplane/data-plane.js'
import type { EgressPolicy } from '../dataplane/endpoint.js'
import { egressPolicy } from '../transports/policy.js'
import type { Attachment } from './attachments.js'

export function effectivePolicy(port: PortRecord, attachment: Attachment | undefined): EgressPolicy {
  const common = attachment === undefined ? DETACHED : egressPolicy(attachment.transport.config.port)
  return { ...common, ...port.settings.policy }
}

/** A port whose transport is being closed just now. */
const DETACHED: EgressPolicy = { maxFrameSize: 0, isolated: false, queueFrames: 0, maxEntries: 0 }
