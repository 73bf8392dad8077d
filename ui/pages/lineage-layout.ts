import dagre from '@dagrejs/dagre'
import type { LineageData } from '../../serving/dashboard/contract/lineage.ts'

type Node = LineageData['nodes'][number]

/** The size of a node, pixels. */
export const [width, height] = [224, 54]
const margin = 4

export interface Placed {
  readonly width: number
  readonly height: number
  readonly nodes: readonly { readonly node: Node; readonly x: number; readonly y: number }[]
  readonly edges: readonly { readonly id: string; readonly path: string }[]
}

/** Places nodes in columns, each right of what it is made from, and draws its edges between them. */
export function layout(nodes: readonly Node[], edges: LineageData['edges']): Placed {
  const graph = new dagre.graphlib.Graph()
  graph.setGraph({ rankdir: 'LR', nodesep: 14, ranksep: 40, marginx: margin, marginy: margin })
  graph.setDefaultEdgeLabel(() => ({}))
  for (const { key } of nodes) graph.setNode(key, { width, height })
  for (const { from, to } of edges) if (graph.hasNode(from) && graph.hasNode(to)) graph.setEdge(from, to)
  dagre.layout(graph)
  // an edge can pass beside all nodes, where the size of the graph does not reach
  const passing = graph.edges().flatMap((edge: Edge) => graph.edge(edge).points ?? [])
  const above = Math.max(0, ...passing.map(({ y }: Point) => margin - y))
  for (const place of [...nodes.map(({ key }) => graph.node(key)), ...passing]) place.y += above
  const size = graph.graph()
  const columns = new Set(nodes.map(({ key }) => graph.node(key).x))
  return {
    width: size.width ?? 0,
    height: Math.max((size.height ?? 0) + above, ...passing.map(({ y }: Point) => y + margin)),
    nodes: nodes.map((node) => {
      const { x = 0, y = 0 } = graph.node(node.key)
      return { node, x: x - width / 2, y: y - height / 2 }
    }),
    edges: graph.edges().map(({ v, w, name }: Edge) => {
      const [from, to] = [graph.node(v), graph.node(w)]
      const passed = (graph.edge(v, w, name).points ?? []).filter(({ x }: Point) => columns.has(x) && x > from.x && x < to.x)
      return { id: `${v} ${w}`, path: pathOf([from, ...passed, to]) }
    }),
  }
}

// the types of dagre are known to bundlers alone, and tests import this file without one
interface Edge {
  readonly v: string
  readonly w: string
  readonly name?: string
}

interface Point {
  readonly x: number
  readonly y: number
}

/** Straight through each column, where the layout keeps room for the edge, and curved between columns. */
function pathOf(stops: readonly Point[]): string {
  const parts = stops.slice(1).map(({ x, y }, i) => {
    const before = stops[i] as Point
    const [left, right] = [before.x + width / 2, x - width / 2]
    const middle = (left + right) / 2
    return `${i === 0 ? 'M' : 'L'}${left} ${before.y}C${middle} ${before.y} ${middle} ${y} ${right} ${y}`
  })
  return parts.join('')
}
