import { someCustomers } from '../online/reading.ts'
import type { Target } from './load.ts'
import { width } from './set-up.ts'

export type TargetName = 'raw' | 'features' | 'predict' | 'bulk' | 'oipJson' | 'oipBinary'

/** The requests to the server and to the bare one. Customers come in no particular order. */
export function targetsAt(url: string, bareUrl: string, key: string, customers: number): Record<TargetName, Target> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` }
  const entities = someCustomers(customers, 1000).map((customer) => ({ customer }))
  const single = (what: object) => entities.map((entity) => JSON.stringify({ ...what, entities: [entity] }))
  const hundreds = Array.from({ length: 100 }, (_, i) => someCustomers(customers, 10_000).slice(i * 100, (i + 1) * 100))
  const values = Float32Array.from({ length: width }, (_, i) => i * 0.37)
  const tensor = { name: 'features', shape: [1, width], datatype: 'FP32' }
  const head = JSON.stringify({
    inputs: [{ ...tensor, parameters: { binary_data_size: values.byteLength } }],
    outputs: [{ name: 'score', parameters: { binary_data: true } }],
  })
  return {
    raw: { url: bareUrl, path: '/v1/predict', headers, bodies: single({ model: 'score' }) },
    features: { url, path: '/v1/features', headers, bodies: single({ service: 'whole' }) },
    predict: { url, path: '/v1/predict', headers, bodies: single({ model: 'score' }) },
    bulk: {
      url,
      path: '/v1/predict',
      headers,
      bodies: hundreds.map((hundred) => JSON.stringify({ model: 'score', entities: hundred.map((customer) => ({ customer })) })),
    },
    oipJson: {
      url,
      path: '/v2/models/score/infer',
      headers,
      bodies: [JSON.stringify({ inputs: [{ ...tensor, data: [...values] }] })],
    },
    oipBinary: {
      url,
      path: '/v2/models/score/infer',
      headers: {
        ...headers,
        'content-type': 'application/octet-stream',
        'inference-header-content-length': String(Buffer.byteLength(head)),
      },
      bodies: [Buffer.concat([Buffer.from(head), Buffer.from(values.buffer)])],
    },
  }
}
