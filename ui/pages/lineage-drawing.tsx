import { ActionIcon } from '@mantine/core'
import { useElementSize } from '@mantine/hooks'
import { type ReactElement, useLayoutEffect, useMemo, useRef } from 'react'
import type { LineageData } from '../../serving/dashboard/contract/lineage.ts'
import { kindName } from '../api/use-index.ts'
import { shortId } from '../parts/format.ts'
import { ThingLink } from '../parts/thing-link.tsx'
import { height, layout, width } from './lineage-layout.ts'

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
  // a drawing that is larger than its room starts at the node in focus
  useLayoutEffect(() => {
    const frame = graph.current?.parentElement ?? null
    if (frame === null || centre === undefined || room === 0) return
    frame.scrollLeft = (centre.x + width / 2) * zoom - room / 2
    frame.scrollTop = (centre.y + height / 2) * zoom - frame.clientHeight / 2
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
              {node.retired ? ', pruned' : ''}
              {effects?.has(node.key) === true && `: ${effects.get(node.key)}`}
            </span>
            <ThingLink kind={node.kind} id={node.name}>
              <span title={node.name}>{shortName(node.name)}</span>
            </ThingLink>
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

const [maxName, keptEnd] = [20, 8]

/** A long name without its middle: names that begin alike often end differently. */
function shortName(name: string): string {
  const short = shortId(name)
  return short.length <= maxName ? short : `${short.slice(0, maxName - keptEnd - 1)}…${short.slice(-keptEnd)}`
}
