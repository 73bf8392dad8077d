import { Select } from '@mantine/core'
import { type ReactElement, useMemo } from 'react'
import { kindName, useIndex } from '../api/use-index.ts'

interface ChooseDefinitionProps {
  readonly label: string
  readonly description?: string
  /** `view/airport_delays@1`; undefined: none is chosen. */
  readonly value: string | undefined
  readonly onChange: (name: string) => void
}

/** Chooses something that lineage has, by kind. */
export function ChooseDefinition({ label, description, value, onChange }: ChooseDefinitionProps): ReactElement {
  const { entries = [] } = useIndex()
  const names = useMemo(
    () =>
      entries
        // the lineage has the views of features, and the models of rollouts
        .filter(({ kind }) => kind !== 'feature' && kind !== 'rollout')
        // the lineage has a model and each of its versions
        .map(({ kind, id }) => (kind === 'model' ? { kind, id: id.replace(/@.*/, '') } : { kind, id }))
        .map(({ kind, id }) => ({ kind, value: `${kind}/${id}`, label: id })),
    [entries],
  )
  return (
    <Select
      label={label}
      description={description}
      placeholder="A view, a service, a model, a source"
      searchable
      limit={50}
      className="choose-definition"
      data={[
        ...(value === undefined || names.some((name) => name.value === value) ? [] : [{ value, label: value }]),
        ...[...Map.groupBy(names, ({ kind }) => kind)].map(([kind, items]) => ({ group: kindName(kind), items })),
      ]}
      value={value ?? null}
      onChange={(name) => name !== null && onChange(name)}
      nothingFoundMessage="Nothing has this name"
    />
  )
}
