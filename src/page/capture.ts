/** Starts a capture, and hands its file over to the browser's downloads when it ends. */
import { ask } from './api.js'
import { element } from './dom.js'
import { short } from './format.js'

/** Megabytes that are kept in this page until the download; for more there is the command. */
const MOST_MEGABYTES = '64'

export function wireCapture(): void {
  const form = element<HTMLFormElement>('capture')
  const stop = element<HTMLButtonElement>('capture-stop')
  form.addEventListener('submit', event => {
    event.preventDefault()
    void run()
  })
  stop.addEventListener('click', () => {
    stop.disabled = true
    void ask(`v1/captures/${stop.value}`, { method: 'DELETE' }).catch(() => {})
  })
}

async function run(): Promise<void> {
  const start = element<HTMLButtonElement>('capture-start')
  const stop = element<HTMLButtonElement>('capture-stop')
  const state = element('capture-state')
  start.disabled = true
  try {
    const response = await ask(`v1/capture?${query()}`)
    stop.value = response.headers.get('tapswitch-capture') ?? ''
    stop.disabled = false
    state.textContent = 'Capturing.'
    const file = await collect(response.body as ReadableStream<Uint8Array<ArrayBuffer>>, bytes => {
      state.textContent = `Capturing: ${short(bytes)}B so far.`
    })
    download(file)
    state.textContent = `Done: ${short(file.size)}B.`
  } catch (error) {
    state.textContent = `Not captured: ${(error as Error).message}`
  } finally {
    stop.disabled = true
    start.disabled = false
  }
}

function query(): URLSearchParams {
  const wanted = new URLSearchParams({
    seconds: element<HTMLInputElement>('capture-seconds').value,
    megabytes: MOST_MEGABYTES,
  })
  const port = element<HTMLSelectElement>('capture-port').value
  const filter = element<HTMLInputElement>('capture-filter').value.trim()
  if (port !== '') wanted.set('port', port)
  if (filter !== '') wanted.set('filter', filter)
  return wanted
}

async function collect(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  progress: (bytes: number) => void,
): Promise<Blob> {
  const chunks: Uint8Array<ArrayBuffer>[] = []
  let bytes = 0
  const reader = body.getReader()
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    chunks.push(next.value)
    bytes += next.value.length
    progress(bytes)
  }
  return new Blob(chunks, { type: 'application/x-pcapng' })
}

function download(file: Blob): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(file)
  link.download = `tapswitch-${new Date().toISOString().replaceAll(':', '-')}.pcapng`
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}
