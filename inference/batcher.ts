import { LockstepError } from '../kernel/errors.ts'

export interface Batcher<Job, Answer> {
  /** The answer to this job. Jobs of several callers may share a run. */
  submit(job: Job): Promise<Answer>
}

/** How jobs, each of some rows, are run together. */
export interface BatchRuns<Job, Answer> {
  rowsOf(job: Job): number
  /** Jobs of different groups never share a run. */
  groupOf(job: Job): string
  /** Some rows of a job, for one that is too long for a run. */
  part(job: Job, from: number, to: number): Job
  /** The answer to a job whose parts were answered one by one. */
  join(answers: readonly Answer[]): Answer
  /**
   * One run of these jobs, `rows` in all. The answers are by index.
   *
   * @param again whether it is one of several that were in a run which ended the model's process, and may take less
   *   time than any other
   */
  run(jobs: readonly Job[], rows: number, again: boolean): Promise<readonly Answer[]>
}

export interface BatchOptions {
  /** Rows of one run at most. Asked anew for each run. */
  readonly maxRows: () => number
  /** How long a job may wait for company, milliseconds. 0: a row that comes alone waits for what arrives in the same turn of the event loop, and rows that come together do not. */
  readonly delayMs: number
  /** Runs at a time; what arrives meanwhile waits and shares the next. */
  readonly inFlight: number
  /** Told how long the oldest job of a run has waited, as the run begins. */
  readonly onWait: (ms: number) => void
}

interface Waiting<Job, Answer> {
  readonly job: Job
  readonly rows: number
  readonly group: string
  readonly sinceMs: number
  /** Of its parts; null while it is whole. */
  answers: Answer[] | null
  /** Rows that are in runs already. */
  begun: number
  answered: number
  failed: boolean
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

interface Piece<Job, Answer> {
  readonly of: Waiting<Job, Answer>
  readonly job: Job
  readonly rows: number
  /** Among the parts of its job. */
  readonly index: number
}

/**
 * A micro-batcher: what arrives in one turn of the event loop runs together, and by default nobody waits for company. Rows that come in one tick of it, as those do whose features were read together, have
 * theirs, and run without waiting for the rest of the turn. While a run is under way, requests pile up, so load makes batches by itself.
 */
export function createBatcher<Job, Answer>(runs: BatchRuns<Job, Answer>, options: BatchOptions): Batcher<Job, Answer> {
  let queue: Waiting<Job, Answer>[] = []
  let queuedRows = 0
  let running = 0
  let timer: NodeJS.Timeout | null = null
  let scheduled = false

  function schedule(): void {
    if (scheduled || running >= options.inFlight) return
    if (options.delayMs === 0 || queuedRows >= options.maxRows()) {
      scheduled = true
      process.nextTick(afterTick)
    } else timer ??= setTimeout(flush, options.delayMs)
  }

  function afterTick(): void {
    if (queuedRows > 1) flush()
    else setImmediate(flush)
  }

  function flush(): void {
    scheduled = false
    if (timer !== null) clearTimeout(timer)
    timer = null
    while (queue.length > 0 && running < options.inFlight) {
      const pieces = take()
      if (pieces.length > 0) void begin(pieces)
    }
  }

  /** The next run: whole jobs of one group from the front of the queue as long as they fit, and parts of one that fits into no run. */
  function take(): Piece<Job, Answer>[] {
    const maxRows = Math.max(1, options.maxRows())
    const pieces: Piece<Job, Answer>[] = []
    let rows = 0
    let at = 0
    for (; at < queue.length && rows < maxRows; at++) {
      const next = queue[at] as Waiting<Job, Answer>
      if (next.failed) continue
      if (pieces[0] !== undefined && next.group !== pieces[0].of.group) break
      const left = next.rows - next.begun
      const room = maxRows - rows
      if (left > room && left <= maxRows) break
      const count = Math.min(left, room)
      const whole = count === next.rows
      let piece: Piece<Job, Answer> = { of: next, job: next.job, rows: count, index: 0 }
      if (!whole) {
        next.answers ??= []
        piece = { ...piece, job: runs.part(next.job, next.begun, next.begun + count), index: next.answers.length }
        next.answers.length++
      }
      pieces.push(piece)
      next.begun += count
      rows += count
      if (next.begun < next.rows) break
    }
    queue = queue.slice(at)
    queuedRows -= rows
    return pieces
  }

  async function begin(pieces: readonly Piece<Job, Answer>[]): Promise<void> {
    running++
    options.onWait(performance.now() - (pieces[0] as Piece<Job, Answer>).of.sinceMs)
    await runPieces(pieces)
    running--
    if (queue.length > 0) flush()
  }

  async function runPieces(pieces: readonly Piece<Job, Answer>[]): Promise<void> {
    try {
      await answerPieces(pieces, false)
    } catch (error) {
      if (pieces.length === 1) fail((pieces[0] as Piece<Job, Answer>).of, error)
      // one caller's rows may have failed the run of all: each then runs alone and answers for itself
      else if (hasEnded(error)) await runAlone(pieces)
      // not so where the model itself is gone
      else if (isOfRows(error)) for (const piece of pieces) await runPieces([piece])
      else for (const piece of pieces) fail(piece.of, error)
    }
  }

  /**
   * After a run that ended the process: those that answer as fast as others do come first, so that they do not wait for
   * the one that does not. That one has its time at the end.
   */
  async function runAlone(pieces: readonly Piece<Job, Answer>[]): Promise<void> {
    const late: Piece<Job, Answer>[] = []
    for (const piece of pieces) {
      try {
        await answerPieces([piece], true)
      } catch (error) {
        if (hasEnded(error)) late.push(piece)
        else fail(piece.of, error)
      }
    }
    for (const piece of late) await runPieces([piece])
  }

  async function answerPieces(pieces: readonly Piece<Job, Answer>[], again: boolean): Promise<void> {
    const answers = await runs.run(
      pieces.map((piece) => piece.job),
      pieces.reduce((sum, piece) => sum + piece.rows, 0),
      again,
    )
    for (const [index, piece] of pieces.entries()) settle(piece, answers[index] as Answer)
  }

  function settle({ of, rows, index }: Piece<Job, Answer>, answer: Answer): void {
    const { answers } = of
    if (answers === null) return of.resolve(answer)
    answers[index] = answer
    of.answered += rows
    if (of.answered === of.rows && !of.failed) of.resolve(runs.join(answers))
  }

  function fail(of: Waiting<Job, Answer>, error: unknown): void {
    // what is left of it is dropped from the queue as its turn comes
    if (!of.failed) queuedRows -= of.rows - of.begun
    of.failed = true
    of.reject(error)
  }

  return {
    submit(job) {
      return new Promise((resolve, reject) => {
        const rows = runs.rowsOf(job)
        const [group, sinceMs] = [runs.groupOf(job), performance.now()]
        queue.push({ job, rows, group, sinceMs, answers: null, begun: 0, answered: 0, failed: false, resolve, reject })
        queuedRows += rows
        schedule()
      })
    },
  }
}

/** Whether the run ended the model's process: by its rows, as a rule. */
function hasEnded(error: unknown): boolean {
  return error instanceof LockstepError && error.details['endedIn'] !== undefined
}

/** Whether other rows may fare better. */
function isOfRows(error: unknown): boolean {
  return !(error instanceof LockstepError && (error.code === 'MODEL_TIMEOUT' || error.code === 'MODEL_UNAVAILABLE'))
}
