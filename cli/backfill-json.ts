import { formatTimestamp } from '../kernel/time.ts'
import type { Backfill } from '../materializer/backfills.ts'

/** A backfill as `--json` and HTTP show it. */
export function backfillJson(backfill: Backfill) {
  const { id, view, state, error, events, moment, chunks, chunksDone, rows, entities, secondsLeft, startedBy, startedAt, finishedAt } =
    backfill
  return {
    id,
    view,
    state,
    ...(error === null ? {} : { error }),
    from: events === null ? null : formatTimestamp(events.from),
    to: events === null ? null : formatTimestamp(events.to),
    moment: formatTimestamp(moment),
    chunks,
    chunksDone,
    rows,
    entities,
    secondsLeft,
    startedBy,
    startedAt: startedAt.toISOString(),
    finishedAt: finishedAt?.toISOString() ?? null,
  }
}
