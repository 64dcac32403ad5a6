/** The code that macOS runs, poll(2) and calls that every kernel has, on this kernel. */
process.env.TAPSWITCH_OS = 'portable'

import { fdHarness } from './fd-rig.js'
import { transportConformance } from './transport-suite.js'

transportConformance('fd, stream, portable calls', fdHarness('stream'))
transportConformance('fd, datagram, portable calls', fdHarness('datagram'))
transportConformance('fd, UDP, portable calls', fdHarness('udp'))
