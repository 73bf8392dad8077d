import { z } from 'zod'
import { requestId } from '../response/response-schemas.ts'

export const eventsAnswer = z.object({
  source: z.string().describe('The source'),
  accepted: z.int().describe('How many events were written'),
  duplicates: z.int().describe('How many had been written before, according to their ids'),
  online: z.boolean().optional().describe('Whether the online views have the events'),
  token: z.string().describe('Pass it as "after" to get answers that include the pushed events'),
  requestId,
})

export const ingestAnswer = z.object({
  id: z.string().describe('The id of the load, by which it can be undone'),
  source: z.string().describe('The source'),
  table: z.string().describe('Its table'),
  rows: z.int().describe('How many rows were loaded'),
  already: z.int().describe('How many rows were passed over because their key or event id is in the table'),
  seconds: z.number().describe('How long it took'),
  requestId,
})

export const loadsAnswer = z.object({
  loads: z
    .array(
      z.object({
        id: z.string().describe('The id of the load, by which it can be undone'),
        source: z.string().describe('The source'),
        table: z.string().describe('Its table'),
        path: z.string().describe('The file'),
        sha256: z.string().describe('Its SHA-256; empty for a file of a Parquet source'),
        every: z.int().describe('Only every n-th row was loaded'),
        again: z.boolean().describe('Whether it was loaded although it was loaded before'),
        key: z.array(z.string()).describe('The columns that identify a row; empty: none'),
        actor: z.string().describe('Who loaded it'),
        rows: z.int().describe('How many rows were loaded'),
        already: z.int().describe('How many rows were passed over because their key or event id was in the table'),
        at: z.string().describe('When it was loaded'),
        state: z.enum(['loaded', 'undoing', 'undone']).describe('undoing: an undo was interrupted'),
      }),
    )
    .describe('The newest first'),
  next: z.string().nullable().describe('Send it as `before` to read the next page; null: there are no more'),
  requestId,
})

export const undoneIngestAnswer = z.object({
  id: z.string().describe('The id of the load'),
  source: z.string().describe('The source'),
  rows: z.int().describe('How many rows were deleted'),
  entities: z.record(z.string(), z.int().nullable()).describe('By view: how many entities were rebuilt; null: all'),
  requestId,
})
