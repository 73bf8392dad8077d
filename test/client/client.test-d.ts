import { describe, expectTypeOf, it } from 'vitest'
import { createClient } from '../../client/index.ts'
import type { SourceEvent } from '../../client/definitions.ts'
import { source, t } from '../../index.ts'
import type * as definitions from './definitions.ts'

const late = source('late', {
  key: { id: 'account' },
  eventTime: 'at',
  known: 'learned',
  columns: { balance: t.int64, seen: t.timestamp },
})
const client = createClient<typeof definitions>({ url: 'http://127.0.0.1:1' })

describe('a client of definitions', () => {
  it('answers the features of a service, typed', () => {
    expectTypeOf(client.features('typed@1', [{ airport: 'ATL' }])).resolves.toHaveProperty('results')
    type Row = Awaited<ReturnType<typeof client.features<'typed@1'>>>['results'][number]['features']
    expectTypeOf<Row>().toEqualTypeOf<{
      readonly amount: number | null
      readonly count: bigint
      readonly city: string
      readonly open: boolean
      readonly vec: Float32Array | null
    }>()
  })

  it('answers the outputs of a model, typed, and takes the services of models', () => {
    type Prediction = Awaited<ReturnType<typeof client.predict<'typed'>>>['predictions'][number]
    expectTypeOf<Prediction['count_out']>().toEqualTypeOf<bigint>()
    expectTypeOf<Prediction['vec_out']>().toEqualTypeOf<Float32Array>()
    void client.features('flight@1', [{ airport: 'ATL', distance: 100 }])
    expectTypeOf<Prediction>().not.toHaveProperty('count')
  })

  it('answers as many rows as the call has, so that none of them is possibly undefined', async () => {
    const { results } = await client.features('flight@1', [{ airport: 'ATL', distance: 100 }])
    expectTypeOf(results[0].statuses).not.toBeUnknown()
    const answer = await client.predict('typed', [{ airport: 'ATL' }, { airport: 'JFK' }], { features: 'typed@1' })
    expectTypeOf(answer.predictions[1].count_out).toEqualTypeOf<bigint>()
    expectTypeOf(answer.predictionIds[1]).toEqualTypeOf<string>()
    expectTypeOf(answer.features?.[1].count).toEqualTypeOf<bigint | undefined>()
    expectTypeOf(answer.servedBy[0].version).toEqualTypeOf<number>()
    expectTypeOf(await client.predictFromBatch('typed', [{ airport: 'ATL' }])).toHaveProperty('fromBatch')
    // @ts-expect-error there is no third one
    void answer.predictions[2]
    const airports = ['ATL', 'JFK'].map((airport) => ({ airport }))
    expectTypeOf((await client.predict('typed', airports)).predictions[0]?.count_out).toEqualTypeOf<bigint | undefined>()
    const first = (await client.predict('typed', airports)).predictions[0]
    expectTypeOf(first).extract<undefined>().toBeUndefined()
  })

  it('answers columns, typed by feature and output', () => {
    type Features = Awaited<ReturnType<typeof client.featureColumns<'typed@1'>>>
    expectTypeOf<Features['features']['amount']>().toEqualTypeOf<readonly (number | null)[]>()
    expectTypeOf<Features['features']['count']>().toEqualTypeOf<readonly bigint[]>()
    expectTypeOf<Features['statuses']>().not.toHaveProperty('amounts')
    type Predictions = Awaited<ReturnType<typeof client.predictColumns<'typed'>>>
    expectTypeOf<Predictions['predictions']['vec_out']>().toEqualTypeOf<readonly Float32Array[]>()
    // @ts-expect-error the model takes another service
    void client.predictColumns('delay', [], { features: 'typed@1' })
  })

  it('takes a service with the version that it was built with, and no other', () => {
    expectTypeOf(client.features('typed@1', [])).resolves.toHaveProperty('version').toEqualTypeOf<1>()
    // @ts-expect-error the bare name is another version after the next apply
    void client.features('typed', [{ airport: 'ATL' }])
    // @ts-expect-error the definitions have no such version
    void client.features('typed@2', [{ airport: 'ATL' }])
    // @ts-expect-error the model takes another service
    void client.predict('typed', [{ airport: 'ATL' }], { features: 'flight@1' })
  })

  it('refuses names that are not there', () => {
    // @ts-expect-error no such service
    void client.features('flights@1', [])
    // @ts-expect-error no such model
    void client.predict('delays', [])
    // @ts-expect-error no such source
    void client.push('landing', [])
    // @ts-expect-error no such feature
    void client.features('typed@1', [{ airport: 'ATL' }]).then(({ results }) => results[0]?.features.amounts)
  })

  it('refuses entities with missing, extra or wrongly typed keys or request data', () => {
    void client.features('accounts@1', [{ id: 9_007_199_254_740_993n }])
    // @ts-expect-error an int64 is a bigint
    void client.features('accounts@1', [{ id: 1 }])
    // @ts-expect-error the distance is missing
    void client.predict('delay', [{ airport: 'ATL' }])
    // @ts-expect-error there is no field color
    void client.predict('delay', [{ airport: 'ATL', distance: 1, color: 'red' }])
    // @ts-expect-error it is called airport
    void client.predict('delay', [{ port: 'ATL', distance: 1 }])
  })

  it('takes a Date for a timestamp and for no other number', () => {
    // @ts-expect-error the distance is a float64
    void client.predict('delay', [{ airport: 'ATL', distance: new Date() }])
    void client.push('balances', [{ account: 1n, at: '2001-07-01T00:00:00Z', balance: 5n, seen: '2001-07-01T00:00:00Z' }])
    // @ts-expect-error the balance is an int64
    void client.push('balances', [{ account: 1n, at: 0, balance: new Date(), seen: null }])
  })

  it('refuses events that are not of the source', () => {
    void client.push('balances', [{ account: 1n, at: new Date(), balance: 5n, seen: null }])
    expectTypeOf({ account: 1n, at: 0, balance: 5n, seen: null, learned: null }).toExtend<SourceEvent<typeof late>>()
    expectTypeOf({ account: 1n, at: 0, balance: 5n, seen: null }).toExtend<SourceEvent<typeof late>>()
    expectTypeOf({ account: 1n, at: 0, balance: 5n, seen: null, learned: true }).not.toExtend<SourceEvent<typeof late>>()
    // @ts-expect-error the event time is missing
    void client.push('balances', [{ account: 1n, balance: 5n, seen: null }])
    // @ts-expect-error the key is missing
    void client.push('balances', [{ at: 0, balance: 5n, seen: null }])
    // @ts-expect-error there is no such column
    void client.push('balances', [{ account: 1n, at: 0, balance: 5n, seen: null, saldo: 1n }])
  })

  it('refuses outcomes that are not declared, and values of another type', () => {
    void client.outcome('landed_late', [
      { predictionId: 'a/0', value: true },
      { predictionId: 'b/0', value: null, at: new Date() },
    ])
    // @ts-expect-error there is no such outcome
    void client.outcome('landed', [{ predictionId: 'a/0', value: true }])
    // @ts-expect-error the value is a bool
    void client.outcome('landed_late', [{ predictionId: 'a/0', value: 1 }])
  })
})
