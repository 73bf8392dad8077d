import { LockstepError } from '../../kernel/errors.ts'
import { findIngest, undoIngest } from '../../materializer/undo-ingest.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { counted } from '../human.ts'

/** How long to wait for open transactions, milliseconds. */
const waitMs = 5_000

export const ingestUndoCommand: Command = {
  name: 'ingest undo',
  summary: "Undo a load of a file: delete its rows and rebuild the views' states",
  description: [
    'Deletes the rows that the load wrote, and rebuilds the states of their entities in the online views that read the table. If it is interrupted, run it again: it then rebuilds these views.',
    'If a source is a query over the table, Lockstep does not know that it reads the table. Materialize its views afterwards.',
  ],
  arguments: [{ name: 'ID', help: 'The load, as "lockstep ingest list" shows it.' }],
  options: { yes: { help: 'Do not ask for confirmation.' }, reason: reasonOption },
  streams: true,
  example: 'lockstep ingest undo 7',
  async run(context, input) {
    const id = input.argument('ID')
    const catalog = await context.catalog()
    const [db, store] = [await context.database(), await context.store()]
    const { rows, source } = await findIngest(db, id)
    const question = `Delete ${counted(Number(rows), 'row')} of "${source}" that the load ${id} wrote?`
    if (!input.flag('yes') && !(await context.terminal.confirm(question))) {
      throw new LockstepError('STOPPED', 'Nothing was deleted.')
    }
    const undone = await undoIngest(db, store, catalog, id, {
      moment: Date.now() * 1000,
      waitMs,
      by: actorOf(input),
      signal: context.signal,
    })
    const views = Object.entries(undone.entities).map(([view, entities]) =>
      entities === null ? `Rebuilt ${view}.` : `Rebuilt ${counted(entities, 'entity', 'entities')} of ${view}.`,
    )
    return { json: undone, text: [`Deleted ${counted(undone.rows, 'row')} of "${undone.source}".`, ...views].join('\n') }
  },
}
