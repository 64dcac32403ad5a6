/** The stand-in in place of vmnet, for the tests of this process, as it was when it was loaded. */
import { libraryVariable, Standin, type StandinVariant, standinLibrary } from '../../support/vmnet-standin.js'

export function useStandin(commands = '', variant: StandinVariant = 'vmnet.so'): Standin {
  process.env[libraryVariable] = standinLibrary(variant)
  const standin = new Standin(standinLibrary(variant))
  standin.control(`reset; start-delay 500; stop-delay 500; ${commands}`)
  return standin
}
