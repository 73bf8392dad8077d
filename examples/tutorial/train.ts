import { readFileSync, writeFileSync } from 'node:fs'
import { floats, makeOnnx } from '../../test/inference/make-onnx.ts'

// node train.ts TRAIN.csv TEST.csv OUT.onnx
//
// Fits a logistic regression to a training set of docs/tutorial.md, prints its AUC on the test file, and writes it as
// ONNX. Its input is packed: one tensor of the features, in the order of their columns.

const [trainFile = '', testFile = '', out = ''] = process.argv.slice(2)
/** The columns of the spine; all others are features. */
const spine = ['card', 'paid_at', 'amount', 'fraud']

interface Rows {
  readonly features: readonly string[]
  readonly inputs: readonly (readonly number[])[]
  readonly labels: readonly number[]
}

const train = read(trainFile)
const means = train.features.map((_, j) => mean(train.inputs.map((row) => row[j] ?? 0)))
const spreads = train.features.map((_, j) => Math.sqrt(mean(train.inputs.map((row) => ((row[j] ?? 0) - (means[j] ?? 0)) ** 2))) || 1)
const { weights, bias } = rawScale(fit(train.inputs.map(scaled), train.labels))

const test = read(testFile)
const scores = test.inputs.map((row) => bias + dot(weights, row))
console.log(`Trained on ${train.labels.length} rows: ${train.features.join(', ')}.`)
console.log(`AUC on ${test.labels.length} rows that it has not seen: ${auc(scores, test.labels).toFixed(3)}`)
writeFileSync(
  out,
  makeOnnx({
    graph: {
      inputs: [{ name: 'features', type: 'float', shape: ['N', weights.length] }],
      outputs: [{ name: 'probability', type: 'float', shape: ['N', 1] }],
      initializers: [
        { name: 'weights', type: 'float', dims: [weights.length, 1], raw: floats(...weights) },
        { name: 'bias', type: 'float', dims: [1], raw: floats(bias) },
      ],
      nodes: [
        { type: 'MatMul', inputs: ['features', 'weights'], outputs: ['product'] },
        { type: 'Add', inputs: ['product', 'bias'], outputs: ['score'] },
        { type: 'Sigmoid', inputs: ['score'], outputs: ['probability'] },
      ],
    },
  }),
)

function read(path: string): Rows {
  const [header = [], ...rows] = readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(','))
  const features = header.filter((name) => !spine.includes(name))
  return {
    features,
    inputs: rows.map((row) => features.map((name) => Number(row[header.indexOf(name)]))),
    labels: rows.map((row) => Number(row[header.indexOf('fraud')])),
  }
}

/** Gradient descent on the log loss. The last weight is the bias. */
function fit(inputs: readonly (readonly number[])[], labels: readonly number[]): number[] {
  let fitted = [...train.features.map(() => 0), 0]
  for (let step = 0; step < 2000; step++) {
    const gradient = fitted.map(() => 0)
    for (const [i, input] of inputs.entries()) {
      const error = 1 / (1 + Math.exp(-dot(fitted, [...input, 1]))) - (labels[i] ?? 0)
      for (const [j, value] of [...input, 1].entries()) gradient[j] = (gradient[j] ?? 0) + (error * value) / inputs.length
    }
    fitted = fitted.map((weight, j) => weight - (gradient[j] ?? 0))
  }
  return fitted
}

function scaled(row: readonly number[]): number[] {
  return row.map((value, j) => (value - (means[j] ?? 0)) / (spreads[j] ?? 1))
}

/** Converts the model to unscaled values. */
function rawScale(fitted: readonly number[]): { readonly weights: readonly number[]; readonly bias: number } {
  const raw = train.features.map((_, j) => (fitted[j] ?? 0) / (spreads[j] ?? 1))
  return { weights: raw, bias: (fitted.at(-1) ?? 0) - dot(raw, means) }
}

/** The probability that a fraud scores higher than another payment. */
function auc(scored: readonly number[], labels: readonly number[]): number {
  const [frauds, others] = [1, 0].map((label) => scored.filter((_, i) => labels[i] === label))
  const wins = (frauds ?? []).map((fraud) => mean((others ?? []).map((other) => (fraud > other ? 1 : fraud === other ? 0.5 : 0))))
  return mean(wins)
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0)
}
