import { z } from 'zod'

/** `GET /ui/api/lineage?focus&up&down`: what is around something. */
export const lineage = z.object({
  focus: z.string().nullable().describe('The key of a node; null: nothing was asked for'),
  nodes: z.array(
    z.object({
      key: z.string().describe('`view airport_delays@1`'),
      kind: z.string(),
      name: z.string(),
      about: z.string().nullable(),
      retired: z.boolean(),
      up: z.number().describe('How many inputs it has'),
      down: z.number().describe('How much is made from it'),
    }),
  ),
  edges: z.array(z.object({ from: z.string(), to: z.string() })),
})
export type LineageData = z.output<typeof lineage>

/** `GET /ui/api/impact?of=`: some definitions, and all that is made from them. */
export const impact = z.object({
  nodes: lineage.shape.nodes,
  edges: lineage.shape.edges,
  requests: z.record(z.string(), z.number()).describe('Requests of the last day, by model'),
  clients: z
    .record(z.string(), z.array(z.string()))
    .describe('Names of the API keys that asked a model in the last day, by model, as far as its predictions are logged'),
  revision: z.number().describe('Of the registry'),
  isCut: z.boolean().describe('Whether more is made from them than is listed'),
})
export type ImpactData = z.output<typeof impact>
