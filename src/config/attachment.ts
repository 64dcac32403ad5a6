/**
 * What plugs into the switch: transports (the guests' side) and interfaces (the host's side). Both are members of a
 * list, have a name and a type, and give a policy to their ports.
 *
 * A type is one file in transports/ or interfaces/, which exports an `AttachmentType`: the forms it takes in a file,
 * how a form becomes what the program uses, and back. transports.ts and interfaces.ts list them.
 */
import type { z } from 'zod'
import type { PortPolicyConfig } from './config.js'
import type { Scope } from './scope.js'

/** What the resolved configuration of every type has. */
export interface AttachmentConfig {
  readonly type: string
  /** Also the name of the port, or the front part of the names of many. */
  readonly name: string
  readonly port: PortPolicyConfig
}

/** What every form of every type has. */
interface AttachmentInput {
  readonly type: string
  readonly name: string
}

export interface AttachmentType<Forms extends readonly z.ZodType<AttachmentInput>[], Config extends AttachmentConfig> {
  /** Told apart by their keys where a type has more than one. */
  readonly forms: Forms
  /** `path` is where it is configured, e.g. `transports[0]`. Adds a problem to the scope for whatever is wrong. */
  resolve(input: z.output<Forms[number]>, path: string, scope: Scope): Config
  /** What one would write in a file to get exactly this. */
  effective(config: Config): Record<string, unknown>
  /** Ports that it has from the start and for good; the rest of the places is for ports that come and go. */
  fixedPorts(config: Config): number
  /**
   * What only one can have at a time, in words of its own: absolute socket paths, `tcp:127.0.0.1:9000`, `device:tap0`.
   */
  claims(config: Config): readonly string[]
}
