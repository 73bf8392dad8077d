import { count, duration } from './text/human.ts'

/** The target of progress: a terminal whose last line can be redrawn, or a file or pipe. */
export interface ProgressTarget {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

export interface Progress {
  /** @param total null where it is unknown; 0: there is nothing to count */
  update(done: number, total: number | null): void
  /** Removes the bar. Call it whether the work succeeds or fails. */
  end(): void
}

export interface ProgressOptions {
  /** The work: `Ingesting flights`. */
  readonly label: string
  /** The unit: `rows`. */
  readonly unit: string
  /** Epoch milliseconds. */
  readonly now?: () => number
}

/** The characters in a line of a terminal. Some, as of CI or `script`, have no size and say 0. */
export function widthOf({ columns = 0 }: Pick<ProgressTarget, 'columns'>): number {
  return columns > 0 ? columns : 80
}

const redrawMs = 100
const lineMs = 5000

/**
 * Shows the progress of work. A terminal redraws one line and clears it at the end. Otherwise a plain line is written
 * now and then, and none for short work.
 */
export function createProgress(target: ProgressTarget, options: ProgressOptions): Progress {
  const now = options.now ?? Date.now
  const tty = target.isTTY === true
  const draw = (text: string) => target.write(`\r${text.slice(0, widthOf(target) - 1)}\u001B[K`)
  // the first rows may take long, for example behind a sort, so the rate counts only rows after them
  let first: { readonly time: number; readonly done: number } | null = null
  let next = 0
  let written = -1
  if (tty) draw(`${options.label} ...`)

  return {
    update(done, total) {
      const time = now()
      if (first === null) {
        first = { time, done }
        next = time + (tty ? redrawMs : 1000)
      }
      if (time < next) return
      next = time + (tty ? redrawMs : lineMs)
      const text = progressText(options, done, total, ((done - first.done) / (time - first.time)) * 1000)
      if (tty) draw(text)
      else if (done !== written) target.write(`${text}\n`)
      written = done
    },
    end() {
      if (tty) target.write('\r\u001B[K')
      next = Number.POSITIVE_INFINITY
    },
  }
}

/** `Ingesting flights [=====>    ] 54 %, 1,620,000 of 3,000,000 rows, 412,000 rows/s, 3.4 s left` */
function progressText({ label, unit }: ProgressOptions, done: number, total: number | null, perSecond: number): string {
  // less than one a second would read as none
  const rate = perSecond >= 0.5 ? `, ${count(perSecond)} ${unit}/s` : ''
  if (total === 0) return `${label} ...`
  if (total === null) return `${label}: ${count(done)} ${unit}${rate}`
  const share = Math.min(1, done / total)
  const left = perSecond > 0 ? `, ${duration(((total - done) / perSecond) * 1000)} left` : ''
  return `${label} ${bar(share)} ${Math.floor(share * 100)} %, ${count(done)} of ${count(total)} ${unit}${rate}${share < 1 ? left : ''}`
}

const barWidth = 20

function bar(share: number): string {
  const full = Math.floor(share * barWidth)
  return `[${'='.repeat(full)}${full < barWidth ? '>' : ''}${' '.repeat(Math.max(0, barWidth - full - 1))}]`
}
