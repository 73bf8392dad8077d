import { z } from 'zod'
import { entriesOf } from '../../../registry/find/entry.ts'
import { findNode } from '../../../registry/find/find-entry.ts'
import type { Graph, NodeKey } from '../../../registry/find/graph.ts'
import { graphOf, nodeKey } from '../../../registry/find/graph.ts'
import { inventoryOf } from '../../find/inventory-of.ts'
import type { LineageData } from '../contract/lineage.ts'
import { lineage } from '../contract/lineage.ts'
import { readModel } from '../read-model.ts'

/** A picture with more nodes helps nobody. */
const maxNodes = 200
const steps = z.coerce.number().int().min(0).max(10).optional()

export const lineageModel = readModel({
  path: '/lineage',
  scope: 'ui:read',
  isOfNow: true,
  query: z.object({ focus: z.string().max(500).optional(), up: steps, down: steps }),
  data: lineage,
  async read({ deps, query: { focus, up = 1, down = 1 } }) {
    if (focus === undefined || focus === '') return { data: { focus: null, nodes: [], edges: [] } }
    const inventory = await inventoryOf(deps)
    const graph = graphOf(inventory)
    // a node's key, or a reference as on the command line
    const start = graph.nodes.get(focus as NodeKey) ?? findNode(inventory, focus)
    const about = new Map(entriesOf(inventory).map((entry) => [`${entry.kind} ${entry.name}`, entry.about]))
    const reached = around(graph, nodeKey(start), up, down)
    const nodes = [...reached].flatMap((key): LineageData['nodes'] => {
      const node = graph.nodes.get(key)
      if (node === undefined) return []
      const { kind, name, retired } = node
      const counts = { up: graph.inputs.get(key)?.length ?? 0, down: graph.outputs.get(key)?.length ?? 0 }
      return [{ key, kind, name, about: about.get(`${kind} ${name.replace(/@\d+$/, '')}`) ?? null, retired, ...counts }]
    })
    const edges = [...reached].flatMap((from) =>
      (graph.outputs.get(from) ?? []).filter((to) => reached.has(to)).map((to) => ({ from: String(from), to: String(to) })),
    )
    return { data: { focus: nodeKey(start), nodes, edges } }
  },
})

/** So many steps each way, the nearest first. */
function around({ inputs, outputs }: Graph, start: NodeKey, up: number, down: number): ReadonlySet<NodeKey> {
  const reached = new Set<NodeKey>([start])
  const walk = (links: Graph['inputs'], depth: number): void => {
    let edge: readonly NodeKey[] = [start]
    for (let step = 0; step < depth; step++) {
      // a node that several lead to is gone on from once
      edge = [...new Set(edge.flatMap((key) => links.get(key) ?? []))].filter((key) => !reached.has(key))
      for (const key of edge) if (reached.size < maxNodes) reached.add(key)
    }
  }
  walk(inputs, up)
  walk(outputs, down)
  return reached
}
