import { defined } from '../../kernel/defined.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { findIngest, undoIngest, unknownLoad } from '../../materializer/sources/undo-ingest.ts'
import { loadsAnswer, undoneIngestAnswer } from '../../serving/protocols/http/data/event-schemas.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { counted } from '../text/human.ts'
import type { Input } from '../input.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import type { Server } from '../remote/server.ts'
import { queryOf } from '../remote/server.ts'

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
  options: { yes: { help: 'Do not ask for confirmation.' }, reason: reasonOption, server: serverOption },
  streams: true,
  example: 'lockstep ingest undo 7',
  async run(context, input) {
    const id = input.argument('ID')
    const server = serverOf(context, input)
    const undone = server === null ? await undoHere(context, input, id) : await undoThere(context, input, server, id)
    const views = Object.entries(undone.entities).map(([view, entities]) =>
      entities === null ? `Rebuilt ${view}.` : `Rebuilt ${counted(entities, 'entity', 'entities')} of ${view}.`,
    )
    return { json: undone, text: [`Deleted ${counted(undone.rows, 'row')} of "${undone.source}".`, ...views].join('\n') }
  },
}

async function undoHere(context: Context, input: Input, id: string) {
  const catalog = await context.catalog()
  const [db, store] = [await context.database(), await context.store()]
  await confirm(context, input, await findIngest(db, id), id)
  return await undoIngest(db, store, catalog, id, { moment: Date.now() * 1000, waitMs, by: actorOf(input), signal: context.signal })
}

async function undoThere(context: Context, input: Input, server: Server, id: string) {
  if (!/^[1-9]\d{0,16}$/.test(id)) throw unknownLoad(id)
  const newest = { before: String(BigInt(id) + 1n), limit: 1 }
  const [load] = (await server.ask('GET', `/v1/loads${queryOf(newest)}`, undefined, loadsAnswer)).loads
  if (load?.id !== id) throw unknownLoad(id)
  await confirm(context, input, load, id)
  const path = `/v1/sources/${encodeURIComponent(load.source)}/files/${id}/undo`
  const { requestId: _, ...undone } = await server.ask('POST', path, defined({ reason: input.text('reason') }), undoneIngestAnswer)
  return undone
}

async function confirm(context: Context, input: Input, { rows, source }: { rows: string | number; source: string }, id: string) {
  const question = `Delete ${counted(Number(rows), 'row')} of "${source}" that the load ${id} wrote?`
  if (!input.flag('yes') && !(await context.terminal.confirm(question))) throw new LockstepError('STOPPED', 'Nothing was deleted.')
}
