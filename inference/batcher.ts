import { LockstepError } from '../kernel/errors.ts'

export interface Batcher<Job, Answer> {
  /** Runs the job and returns its answer. Jobs of several callers may share a run. */
  submit(job: Job): Promise<Answer>
}

/** How jobs of one or more rows are combined into runs. */
export interface BatchRuns<Job, Answer> {
  rowsOf(job: Job): number
  /** Jobs of different groups never share a run. */
  groupOf(job: Job): string
  /** Some rows of a job that is too long for one run. */
  part(job: Job, from: number, to: number): Job
  /** Joins the answers to the parts of a job. */
  join(answers: readonly Answer[]): Answer
  /**
   * Runs these jobs together, `rows` rows in total. The answers are by index.
   *
   * @param again whether this is a retry after a run that ended the model's process; a retry has a shorter time limit
   */
  run(jobs: readonly Job[], rows: number, again: boolean): Promise<readonly Answer[]>
}

export interface BatchOptions {
  /** The maximum rows of one run. Evaluated before each run. */
  readonly maxRows: () => number
  /**
   * How long a job may wait for other jobs, milliseconds. With 0, a single row waits only for rows that arrive in the
   * same turn of the event loop; several rows of one tick do not wait.
   */
  readonly delayMs: number
  /** The maximum concurrent runs. Jobs that arrive meanwhile wait and share the next run. */
  readonly inFlight: number
  /** Called when a run begins, with the time that its oldest job has waited. */
  readonly onWait: (ms: number) => void
}

interface Waiting<Job, Answer> {
  readonly job: Job
  readonly rows: number
  readonly group: string
  readonly sinceMs: number
  /** Answers to its parts; null while the job is not split. */
  answers: Answer[] | null
  /** Rows that were already given to a run. */
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
  /** Index among the parts of its job. */
  readonly index: number
}

/**
 * A micro-batcher. Jobs that arrive in one turn of the event loop run together. By default a row never waits for other
 * rows. Rows that arrive in one tick, such as rows whose features were read together, run without waiting for the rest
 * of the turn. Requests queue up during a run, so batches grow with the load.
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

  /**
   * The next run: jobs of one group from the front of the queue while they fit, and parts of a job that is larger than
   * a run.
   */
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
      // the rows of one caller may have failed the shared run, so each caller's rows run separately
      else if (hasEnded(error)) await runAlone(pieces)
      // a timeout or an unavailable model is not caused by some of the rows
      else if (isOfRows(error)) for (const piece of pieces) await runPieces([piece])
      else for (const piece of pieces) fail(piece.of, error)
    }
  }

  /**
   * Retries each piece separately after a run that ended the process. Pieces that answer within the short retry limit
   * come first. A piece that ends the process again gets the full timeout at the end, so the others do not wait for it.
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
    // `take` drops the rest of a failed job when it reaches it
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

/** Whether the run ended the model's process. The rows of the run are the usual cause. */
function hasEnded(error: unknown): boolean {
  return error instanceof LockstepError && error.details['endedIn'] !== undefined
}

/** Whether other rows may succeed. */
function isOfRows(error: unknown): boolean {
  return !(error instanceof LockstepError && (error.code === 'MODEL_TIMEOUT' || error.code === 'MODEL_UNAVAILABLE'))
}
