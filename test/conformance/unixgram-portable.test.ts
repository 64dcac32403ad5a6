/** The code that macOS runs, poll(2) and one call for each datagram, on this kernel. */
process.env.TAPSWITCH_OS = 'portable'

import { transportConformance } from './transport-suite.js'
import { unixgramHarness } from './unixgram-rig.js'

transportConformance('unixgram, many, peers as QEMU, portable calls', unixgramHarness('many', 'qemu'))
transportConformance('unixgram, many, peers as vfkit, portable calls', unixgramHarness('many', 'vfkit'))
transportConformance('unixgram, one, peers as QEMU, portable calls', unixgramHarness('one', 'qemu'))
transportConformance('unixgram, one, peers as vfkit, portable calls', unixgramHarness('one', 'vfkit'))
transportConformance('unixgram, connect, portable calls', unixgramHarness('connect', 'qemu'))
