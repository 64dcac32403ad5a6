/**
 * From the policy of a port as it is configured to what the data plane makes of it; the same for every transport and
 * interface.
 */
import type { PortPolicyConfig } from '../config/config.js'
import type { EgressPolicy } from '../dataplane/endpoint.js'

export function egressPolicy(port: PortPolicyConfig): EgressPolicy {
  const { maxFrameSize, isolated, queueFrames, fdb, impairment = null, mirrors = null, trace = false } = port
  return { maxFrameSize, isolated, queueFrames, maxEntries: fdb.maxEntries, impairment, mirrors, trace }
}
