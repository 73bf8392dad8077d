import { ActionIcon } from '@mantine/core'
import dagre from '@dagrejs/dagre'
import { useElementSize } from '@mantine/hooks'
import { type ReactElement, useLayoutEffect, useMemo, useRef } from 'react'
import type { LineageData } from '../../serving/dashboard/contract/lineage.ts'
import { kindName } from '../api/use-index.ts'
import { ThingLink } from '../parts/thing-link.tsx'

type Node = LineageData['nodes'][number]

const [width, height] = [196, 54]
/** A wide drawing shrinks this far at most, so that it can be read. Beyond that it scrolls. */
const minZoom = 0.75

interface DrawingProps extends Pick<LineageData, 'nodes' | 'edges'> {
  /** What it is the lineage of. */
  readonly of: string
  /** The key of the node in focus. */
  readonly focus?: string | null
  readonly onFocus?: (name: string) => void
  /** What happens to a node, by its key. */
  readonly effects?: ReadonlyMap<string, string>
}

/** A drawing of some nodes and the edges between them. A table beside it says the same. */
export function Drawing({ nodes, edges, focus: focusKey = null, of, onFocus, effects }: DrawingProps): ReactElement {
  const drawn = useMemo(() => layout(nodes, edges), [nodes, edges])
  const { ref, width: room } = useElementSize()
  const zoom = room === 0 ? 1 : Math.min(1, Math.max(minZoom, room / drawn.width))
  const graph = useRef<HTMLDivElement>(null)
  const centre = drawn.nodes.find(({ node }) => node.key === focusKey)
  // a drawing that is wider than its room starts at the node in focus
  useLayoutEffect(() => {
    const frame = graph.current?.parentElement ?? null
    if (frame !== null && centre !== undefined && room > 0) frame.scrollLeft = (centre.x + width / 2) * zoom - room / 2
  }, [centre, room, zoom])
  return (
    <div
      ref={ref}
      className="table-frame graph-frame"
      tabIndex={0}
      role="region"
      aria-label={`Drawing of the lineage of ${of}; the table below says the same`}
    >
      <div ref={graph} className="graph" style={{ width: drawn.width, height: drawn.height, zoom }}>
        <svg width={drawn.width} height={drawn.height} aria-hidden="true" focusable="false">
          {drawn.edges.map(({ id, path }) => (
            <path key={id} d={path} fill="none" stroke="var(--line-strong)" strokeWidth="1.6" />
          ))}
        </svg>
        {drawn.nodes.map(({ node, x, y }) => (
          <div
            key={node.key}
            className="graph-node"
            data-kind={node.kind}
            data-focus={node.key === focusKey || undefined}
            data-effect={effects?.get(node.key)}
            style={{ left: x, top: y, width, height }}
          >
            <span className="dim">
              {kindName(node.kind)}
              {node.retired ? ', retired' : ''}
              {effects?.has(node.key) === true && `: ${effects.get(node.key)}`}
            </span>
            <ThingLink kind={node.kind} id={node.name} />
            {onFocus !== undefined && node.key !== focusKey && (
              <ActionIcon
                className="graph-more"
                variant="subtle"
                size={34}
                onClick={() => onFocus(`${node.kind}/${node.name}`)}
                aria-label={`Lineage of ${node.name}`}
              >
                ⋯
              </ActionIcon>
            )}
          </div>
        ))}
      </div>
    </div>
  )
}

interface Placed {
  readonly width: number
  readonly height: number
  readonly nodes: readonly { readonly node: Node; readonly x: number; readonly y: number }[]
  readonly edges: readonly { readonly id: string; readonly path: string }[]
}

function layout(nodes: readonly Node[], edges: LineageData['edges']): Placed {
  const graph = new dagre.graphlib.Graph()
  graph.setGraph({ rankdir: 'LR', nodesep: 14, ranksep: 40, marginx: 4, marginy: 4 })
  graph.setDefaultEdgeLabel(() => ({}))
  for (const { key } of nodes) graph.setNode(key, { width, height })
  for (const { from, to } of edges) if (graph.hasNode(from) && graph.hasNode(to)) graph.setEdge(from, to)
  dagre.layout(graph)
  const size = graph.graph()
  const columns = new Set(nodes.map(({ key }) => graph.node(key).x))
  return {
    width: size.width ?? 0,
    height: size.height ?? 0,
    nodes: nodes.map((node) => {
      const { x = 0, y = 0 } = graph.node(node.key)
      return { node, x: x - width / 2, y: y - height / 2 }
    }),
    edges: graph.edges().map(({ v, w, name }) => {
      const [from, to] = [graph.node(v), graph.node(w)]
      const passed = (graph.edge(v, w, name).points ?? []).filter(({ x }: Point) => columns.has(x) && x > from.x && x < to.x)
      return { id: `${v} ${w}`, path: pathOf([from, ...passed, to]) }
    }),
  }
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
