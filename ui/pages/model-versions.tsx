import type { ReactElement } from 'react'
import type { ModelData } from '../../serving/dashboard/contract/model.ts'
import { DataTable } from '../parts/data-table.tsx'
import { formatNumber } from '../parts/format.ts'
import { Moment } from '../parts/moment.tsx'
import { Panel } from '../parts/panel.tsx'
import { StateBadge } from '../parts/state-badge.tsx'
import { Empty } from '../parts/states.tsx'
import { ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'
import { VersionActs } from './model-acts.tsx'

/** The versions of a model: what each does, how it did, and what can be done with it. */
export function ModelVersions({ data }: { readonly data: ModelData }): ReactElement {
  const { name, pinned, versions } = data
  return (
    <Panel title="Versions" says={data.versionsSay} flush ways={waysOf.model(name)}>
      <DataTable
        label={`Versions of ${name}`}
        rows={versions}
        rowKey={({ version }) => String(version)}
        empty={
          <Empty
            title="No version was pushed yet"
            commands={[`lockstep model push ${name} ${name}.onnx`, `lockstep model promote ${name}@1`]}
          />
        }
        columns={[
          { name: 'Version', numeric: true, by: ({ version }) => version, cell: ({ version }) => <strong>{version}</strong> },
          {
            name: 'Role',
            by: ({ role }) => role,
            cell: ({ role, version }) => (
              <span className="row tight">
                {role !== null && <StateBadge state={role} tone={role === 'champion' && pinned === null ? 'good' : 'calm'} />}
                {version === pinned && <StateBadge state="pinned" />}
                {role === null && version !== pinned && <span className="dim">none</span>}
              </span>
            ),
          },
          {
            name: 'Pushed',
            by: ({ pushedAt }) => pushedAt,
            cell: ({ pushedAt, sizeBytes }) => (
              <>
                <Moment at={pushedAt} />
                <div className="dim small">{formatNumber(sizeBytes, 'bytes')}</div>
              </>
            ),
          },
          {
            name: 'Requests',
            numeric: true,
            by: ({ requests }) => requests,
            cell: ({ requests }) => formatNumber(requests, 'count'),
          },
          { name: 'Failed', numeric: true, by: ({ failed }) => failed, cell: ({ failed }) => formatNumber(failed, 'count') },
          { name: 'p99', numeric: true, by: ({ p99Ms }) => p99Ms, cell: ({ p99Ms }) => formatNumber(p99Ms, 'ms') },
          {
            name: 'Notes',
            wide: true,
            cell: ({ note, baseline, trainedBy }) => (
              <>
                {note}
                {!baseline && (
                  <>
                    ; <span className="dim">no baseline: drift has nothing to compare with</span>
                  </>
                )}
                {trainedBy !== null && (
                  <div className="small">
                    by{' '}
                    <ThingLink kind="job" id={trainedBy.job}>
                      job {trainedBy.job}
                    </ThingLink>{' '}
                    of <ThingLink kind="training" id={trainedBy.training} />
                  </div>
                )}
              </>
            ),
          },
          {
            name: 'Act',
            acts: 'ui:operate',
            cell: (each) => <VersionActs model={data} of={each} />,
          },
        ]}
      />
    </Panel>
  )
}
