import { z } from 'zod'
import { dayMicros } from '../../../kernel/values/time.ts'
import { entriesOf } from '../../../registry/find/entry.ts'
import type { Graph, NodeKey } from '../../../registry/find/graph.ts'
import { graphOf, nodeKey } from '../../../registry/find/graph.ts'
import { catalogRevision } from '../../../registry/revision.ts'
import { readClients } from '../../../monitoring/prediction-log/read-clients.ts'
import { inventoryOf } from '../../find/inventory-of.ts'
import { modelStatistics } from '../../../monitoring/rollups/model-statistics.ts'
import type { Inventory } from '../../../registry/find/inventory.ts'
import type { LineageData } from '../contract/lineage.ts'
import { impact, lineage } from '../contract/lineage.ts'
import { findThen } from '../past-registry.ts'
import { readModel } from '../read-model.ts'

/** A drawing with more nodes is not readable. */
const maxNodes = 200
export const maxSteps = 20
const steps = z.coerce.number().int().min(0).max(10).optional()

export const lineageModel = readModel({
  path: '/lineage',
  scope: 'ui:read',
  query: z.object({ focus: z.string().max(500).optional(), up: steps, down: steps }),
  data: lineage,
  async read(ask) {
    const { focus, up = 1, down = 1 } = ask.query
    if (focus === undefined || focus === '') return { data: { focus: null, nodes: [], edges: [] } }
    // a node's key, or a reference as on the command line
    const reference = focus.replace(' ', '/')
    const { inventory, node, notes } = await findThen(ask, reference)
    return { data: { focus: nodeKey(node), ...partOf(inventory, around(graphOf(inventory), [nodeKey(node)], up, down)) }, notes }
  },
})

export const impactModel = readModel({
  path: '/impact',
  scope: 'ui:read',
  isOfNow: true,
  query: z.object({ of: z.string().max(8000).describe('Keys of nodes, a line each') }),
  data: impact,
  async read({ db, deps, now, query: { of } }) {
    const inventory = await inventoryOf(deps, 'all')
    const graph = graphOf(inventory)
    const starts = of.split('\n').filter((key): key is NodeKey => graph.nodes.has(key as NodeKey))
    const reached = around(graph, starts, 0, maxSteps)
    const requests: Record<string, number> = {}
    const clients: Record<string, string[]> = {}
    const clientsOf = await readClients(db, now)
    for (const key of reached) {
      const node = graph.nodes.get(key)
      if (node?.kind !== 'model') continue
      const { total } = await modelStatistics(db, { model: node.name, from: now - dayMicros, to: now, trafficOnly: true, by: [] })
      requests[node.name] = total.requests
      clients[node.name] = clientsOf.get(node.name) ?? []
    }
    const revision = await catalogRevision(db)
    return { data: { ...partOf(inventory, reached), requests, clients, revision, isCut: reached.size >= maxNodes } }
  },
})

/** Some nodes of the graph, with the edges between them. */
function partOf(inventory: Inventory, keys: ReadonlySet<NodeKey>): Pick<LineageData, 'nodes' | 'edges'> {
  const graph = graphOf(inventory)
  const about = new Map(entriesOf(inventory).map((entry) => [`${entry.kind} ${entry.name}`, entry.about]))
  const nodes = [...keys].flatMap((key): LineageData['nodes'] => {
    const node = graph.nodes.get(key)
    if (node === undefined) return []
    const { kind, name, retired } = node
    const counts = { up: graph.inputs.get(key)?.length ?? 0, down: graph.outputs.get(key)?.length ?? 0 }
    return [{ key, kind, name, about: about.get(`${kind} ${name.replace(/@\d+$/, '')}`) ?? null, retired, ...counts }]
  })
  const edges = [...keys].flatMap((from) =>
    (graph.outputs.get(from) ?? []).filter((to) => keys.has(to)).map((to) => ({ from: String(from), to: String(to) })),
  )
  return { nodes, edges }
}

/** So many steps each way, the nearest first. */
export function around({ inputs, outputs }: Graph, starts: readonly NodeKey[], up: number, down: number): ReadonlySet<NodeKey> {
  const reached = new Set<NodeKey>(starts.slice(0, maxNodes))
  const walk = (links: Graph['inputs'], depth: number): void => {
    let edge: readonly NodeKey[] = starts
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
