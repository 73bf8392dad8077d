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
  already: z.int().describe('How many rows were passed over because their key is in the table'),
  seconds: z.number().describe('How long it took'),
  requestId,
})

export const undoneIngestAnswer = z.object({
  id: z.string().describe('The id of the load'),
  source: z.string().describe('The source'),
  rows: z.int().describe('How many rows were deleted'),
  entities: z.record(z.string(), z.int().nullable()).describe('By view: how many entities were rebuilt; null: all'),
  requestId,
})
