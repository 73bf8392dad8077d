import type { ReactElement } from 'react'
import type { ModelData } from '../../serving/dashboard/contract/model.ts'
import { Act } from '../parts/act.tsx'

/** The changes of a model: roll back and unpin. */
export function ModelActs({ data: { name, champion, pinned, rollBack, revision, says } }: { readonly data: ModelData }): ReactElement {
  const path = `models/${encodeURIComponent(name)}`
  const to = rollBack?.to ?? null
  return (
    <>
      {to !== null && (
        <Act
          name="Roll back"
          title={`Roll ${name} back to version ${to}`}
          path={`${path}/rollback`}
          body={{ to }}
          ifMatch={revision}
          danger
          done={`Version ${to} is the champion.`}
        >
          <p>
            Version {to}, the champion before version {champion}, {pinned === null ? 'answers' : 'is the champion'} from the next request
            on. {staysPinned(pinned)} {says}
          </p>
        </Act>
      )}
      {pinned !== null && (
        <Act name="Unpin" title={`Unpin ${name}`} path={`${path}/unpin`} ifMatch={revision} done="The model is no longer pinned.">
          <p>Version {pinned} no longer answers everything. The champion and a rollout do.</p>
        </Act>
      )}
    </>
  )
}

interface VersionActsProps {
  readonly model: ModelData
  readonly of: ModelData['versions'][number]
}

/** The changes of one version: promote and pin. */
export function VersionActs({ model: { name, champion, pinned, revision }, of: { version, evidence } }: VersionActsProps): ReactElement {
  const path = `models/${encodeURIComponent(name)}`
  return (
    <span className="row tight one-line">
      {version !== champion && (
        <Act
          name="Promote"
          title={`Promote version ${version} of ${name}`}
          path={`${path}/promote`}
          body={{ version }}
          ifMatch={revision}
          done={`Version ${version} is the champion.`}
        >
          <p>
            Version {version} {pinned === null ? 'answers all requests that name no version' : 'becomes the champion'}, in place of version{' '}
            {champion ?? 'none'}. {staysPinned(pinned)}
          </p>
          <p>{evidence}</p>
        </Act>
      )}
      {version !== pinned && (
        <Act
          name="Pin"
          title={`Pin ${name} to version ${version}`}
          path={`${path}/pin`}
          body={{ version }}
          ifMatch={revision}
          done={`Version ${version} is pinned.`}
        >
          <p>Version {version} answers everything, whatever a rollout says, until you unpin it.</p>
        </Act>
      )}
    </span>
  )
}

function staysPinned(pinned: number | null): string {
  return pinned === null ? '' : `Version ${pinned} stays pinned: it answers all requests that name no version until you unpin it.`
}
