import { fstatSync, writeSync } from 'node:fs'
import type { Writable } from 'node:stream'

/** The maximum size of the log lines that wait for the reader of the pipe, bytes. Further lines are dropped. */
const maxWaitingBytes = 1024 ** 2

/**
 * The destination of the log. It never throws and never waits: a line that cannot be written is dropped and counted.
 */
export interface LogDestination {
  write(line: string): void
  /** The number of lines that have been dropped. */
  readonly dropped: number
}

let ofProcess: LogDestination | null = null

/** Logs to standard error, which a process has only once. */
export function logToStandardError(): LogDestination {
  if (ofProcess !== null) return ofProcess
  // without a listener, an error of the stream ends the process
  process.stderr.on('error', () => undefined)
  return (ofProcess = isPipe(2) ? logToPipe(process.stderr) : logToFile(2))
}

/** Logs to a pipe or socket without blocking. Node buffers what the reader has not read yet. */
export function logToPipe(stream: Writable): LogDestination {
  const losses = createLosses()
  const onWritten = (error?: Error | null) => {
    if (error !== null && error !== undefined) losses.add()
  }
  const sayLosses = () => losses.say((line) => void stream.write(line, onWritten))
  stream.on('drain', sayLosses)
  return {
    write(line) {
      if (stream.destroyed || stream.writableLength > maxWaitingBytes) return losses.add()
      sayLosses()
      stream.write(line, onWritten)
    },
    get dropped() {
      return losses.total
    },
  }
}

/** Logs to a file, a device or a terminal, synchronously. */
export function logToFile(fd: number): LogDestination {
  const losses = createLosses()
  /** The disk became full in the middle of a line, so the file ends with its first part. */
  let lineIsOpen = false
  const writeAll = (text: string) => {
    let rest = Buffer.from(lineIsOpen ? `\n${text}` : text)
    while (rest.length > 0) {
      const written = writeSync(fd, rest)
      rest = rest.subarray(written)
      lineIsOpen = rest.length > 0
    }
  }
  return {
    write(line) {
      try {
        losses.say(writeAll)
        writeAll(line)
      } catch {
        losses.add()
      }
    },
    get dropped() {
      return losses.total
    },
  }
}

/** Counts dropped lines, and logs their number once the log can be written again. */
function createLosses(): { add(): void; say(write: (line: string) => void): void; readonly total: number } {
  let total = 0
  let reported = 0
  return {
    add: () => void (total += 1),
    say(write) {
      if (reported === total) return
      const lines = total - reported
      const msg = 'log lines were dropped because the log could not be written'
      write(`${JSON.stringify({ level: 'warn', time: new Date().toISOString(), pid: process.pid, lines, msg })}\n`)
      reported += lines
    },
    get total() {
      return total
    },
  }
}

function isPipe(fd: number): boolean {
  try {
    const stat = fstatSync(fd)
    return stat.isFIFO() || stat.isSocket()
  } catch {
    return false
  }
}
