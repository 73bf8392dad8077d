import { DataList } from '@mantine/core'
import type { ReactElement, ReactNode } from 'react'
import { keepUnits } from './format.ts'

type Fact = readonly [name: string, value: ReactNode]

/** Names and values. Facts without a value are left out. */
export function Facts({ of }: { readonly of: readonly Fact[] }): ReactElement {
  return (
    <DataList className="facts" orientation="vertical">
      {of
        .filter(([, value]) => value !== null && value !== undefined && value !== '')
        .map(([name, value]) => (
          <DataList.Item key={name}>
            <DataList.ItemLabel>{name}</DataList.ItemLabel>
            <DataList.ItemValue>{keepUnits(value)}</DataList.ItemValue>
          </DataList.Item>
        ))}
    </DataList>
  )
}

interface FigureProps {
  readonly name: string
  readonly value: ReactNode
  readonly note?: ReactNode
  readonly tone?: 'good' | 'warn' | 'bad'
}

/** A few large numbers in a row. */
export function Figures({ of }: { readonly of: readonly FigureProps[] }): ReactElement {
  return (
    <dl className="figures">
      {of.map(({ name, value, note, tone }) => (
        <div key={name} {...(tone === undefined ? {} : { 'data-tone': tone })}>
          <dt>{name}</dt>
          <dd>
            <strong>{value}</strong>
            {note !== undefined && note !== null && <span>{keepUnits(note)}</span>}
          </dd>
        </div>
      ))}
    </dl>
  )
}
