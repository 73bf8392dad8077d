import { Link } from '@tanstack/react-router'
import type { ReactElement } from 'react'
import type { SourceData } from '../../serving/dashboard/contract/definition.ts'
import { StateBadge } from '../parts/state-badge.tsx'
import { DataTable } from '../parts/data-table.tsx'
import { formatNumber } from '../parts/format.ts'
import { Moment } from '../parts/moment.tsx'
import { Panel } from '../parts/panel.tsx'
import { Empty } from '../parts/states.tsx'
import { waysOf } from '../parts/ways.ts'
import { keepMoment } from '../shell/navigation.tsx'

interface SourceFilesProps {
  readonly source: string
  readonly files: NonNullable<SourceData['files']>
}

/** The Parquet files that were loaded into a source, newest first. */
export function SourceFiles({ source, files }: SourceFilesProps): ReactElement {
  const { newest, total } = files
  return (
    <Panel title="Files" flush says={<Summary files={files} />} ways={waysOf.sourceFiles(source)}>
      <DataTable
        label={`Files of ${source}`}
        rows={newest}
        rowKey={({ path }) => path}
        pageSize={10}
        empty={
          <Empty title="No file is loaded yet" commands={[`lockstep source sync ${source}`]}>
            Each file is loaded once.
          </Empty>
        }
        columns={[
          {
            name: 'File',
            wide: true,
            by: ({ path }) => path,
            cell: ({ path, stale }) => (
              <>
                <span className="mono" title={path}>
                  {nameOf(path)}
                </span>
                {stale !== null && <div className="dim small">Replace it: {stale}.</div>}
              </>
            ),
          },
          { name: 'Rows', numeric: true, by: ({ rows }) => rows, cell: ({ rows }) => formatNumber(rows, 'count') },
          { name: 'Size', numeric: true, by: ({ bytes }) => bytes, cell: ({ bytes }) => formatNumber(bytes, 'bytes') },
          {
            name: 'ETag',
            cell: ({ etag }) => (
              <span className="mono" title={etag}>
                {etag.replaceAll('"', '').slice(0, 8)}
              </span>
            ),
          },
          { name: 'Loaded', by: ({ syncedAt }) => syncedAt, cell: ({ syncedAt }) => <Moment at={syncedAt} /> },
          {
            name: 'State',
            by: ({ stale }) => (stale === null ? 0 : 1),
            cell: ({ stale }) => (stale === null ? <StateBadge state="loaded" tone="good" /> : <StateBadge state="outdated" tone="warn" />),
          },
        ]}
      />
      {newest.length < total && (
        <p className="more dim">
          These are the newest {formatNumber(newest.length, 'count')} of {formatNumber(total, 'count')} files.
        </p>
      )}
    </Panel>
  )
}

function Summary({ files: { patterns, schedule, total, rows, bytes, lastSync } }: Pick<SourceFilesProps, 'files'>): ReactElement {
  return (
    <>
      {formatNumber(total, 'count')} {total === 1 ? 'file' : 'files'}, {formatNumber(rows, 'count')} rows, {formatNumber(bytes, 'bytes')},
      from{' '}
      {patterns.map((pattern, i) => (
        <span key={pattern}>
          {i > 0 && ', '}
          <bdi className="mono">{pattern}</bdi>
        </span>
      ))}
      . {schedule === null ? 'There is no schedule.' : `Workers look for new files at "${schedule}" (UTC).`}
      {lastSync !== null && (
        <>
          {' '}
          <Link to="/jobs" search={keepMoment}>
            Sync {lastSync.job}
          </Link>{' '}
          <StateBadge state={lastSync.state} /> <Moment at={lastSync.at} />
          {lastSync.error !== null && <span className="small"> {lastSync.error}</span>}
        </>
      )}
    </>
  )
}

/** The last folder and the file: `day=2026-03-01/part-0.parquet`. */
function nameOf(path: string): string {
  return path.split('/').slice(-2).join('/')
}
