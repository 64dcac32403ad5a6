/** The code that macOS runs, poll(2) and one call for each datagram, on this kernel; and over IPv6. */
process.env.TAPSWITCH_OS = 'portable'

import { transportConformance } from './transport-suite.js'
import { tunnelHarness } from './tunnel-rig.js'

transportConformance('vxlan, learned remotes, portable calls', tunnelHarness('vxlan-learned'))
transportConformance('vxlan over IPv6, portable calls', tunnelHarness('vxlan', '::1'))
