import { z } from 'zod'
import { lineage } from './lineage.ts'

/** `GET /ui/api/impact?of=`: some definitions, and all that is made from them. */
export const impact = z.object({
  nodes: lineage.shape.nodes,
  edges: lineage.shape.edges,
  requests: z.record(z.string(), z.number()).describe('Requests of the last day, by model'),
  isCut: z.boolean().describe('Whether more is made from them than is listed'),
})
export type ImpactData = z.output<typeof impact>
