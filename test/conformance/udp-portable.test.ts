/** The code that macOS runs, poll(2) and one call for each datagram, on this kernel. */
process.env.TAPSWITCH_OS = 'portable'

import { transportConformance } from './transport-suite.js'
import { tunnelHarness } from './tunnel-rig.js'

transportConformance('udp, peers learned, portable calls', tunnelHarness('learned'))
transportConformance('udp, a multicast group each, portable calls', tunnelHarness('group'))
