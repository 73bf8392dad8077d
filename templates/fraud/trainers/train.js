#!/usr/bin/env node
// The trainer of "fraud_training": a logistic regression, without any package. Any program can take its place, such as
// a script in Python. It gets three arguments: the rows to train on, the rows to test on, and the model file to write.
import { readFileSync, writeFileSync } from 'node:fs'

const [trainFile = '', , modelFile = ''] = process.argv.slice(2)
const features = JSON.parse(process.env.TRAINING_FEATURES ?? '[]')
const label = process.env.TRAINING_LABEL ?? ''
const { rounds } = JSON.parse(process.env.TRAINING_PARAMETERS ?? '{}')

const rows = readFileSync(trainFile, 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line))
const labels = rows.map((row) => Number(row[label]))
// null: no value
const columns = features.map((name) => rows.map((row) => (row[name] === null ? null : Number(row[name]))))

// gradient descent on features with mean 0 and standard deviation 1
const average = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length
// a value that is missing counts as the mean
const means = columns.map((column) => average(column.filter((value) => value !== null)) || 0)
const filled = columns.map((column, f) => column.map((value) => value ?? means[f]))
const deviations = filled.map((column, f) => Math.sqrt(average(column.map((value) => (value - means[f]) ** 2))) || 1)
const scaled = filled.map((column, f) => column.map((value) => (value - means[f]) / deviations[f]))
const weights = features.map(() => 0)
let bias = 0
let errors = []
for (let round = 0; round < rounds; round++) {
  errors = labels.map((of, row) => 1 / (1 + Math.exp(-weights.reduce((sum, weight, f) => sum + weight * scaled[f][row], bias))) - of)
  for (const f of weights.keys()) weights[f] -= 0.5 * average(errors.map((error, row) => error * scaled[f][row]))
  bias -= 0.5 * average(errors)
}
// the model takes features as they are
const factors = weights.map((weight, f) => weight / deviations[f])
const offset = bias - factors.reduce((sum, factor, f) => sum + factor * means[f], 0)
writeFileSync(modelFile, onnxModel(factors, offset, means))

// the last line of the output is for Lockstep
const report = { metrics: { meanAbsoluteErrorInTraining: average(errors.map(Math.abs)) } }
process.stdout.write(`${rows.length} rows to train on\n${JSON.stringify(report)}\n`)

/**
 * `probability = Sigmoid(features × factors + offset)` as an ONNX file, which is a message of Protocol Buffers.
 * A server gives NaN for a value that is missing.
 */
function onnxModel(factors, offset, means) {
  const nodes = [
    node('IsNaN', ['features'], 'missing'),
    node('Where', ['missing', 'means', 'features'], 'filled'),
    node('MatMul', ['filled', 'factors'], 'product'),
    node('Add', ['product', 'offset'], 'sum'),
    node('Sigmoid', ['sum'], 'probability'),
  ]
  const graph = [
    ...nodes.map((each) => field(1, each)),
    field(2, 'fraud'),
    field(5, tensor('factors', [factors.length, 1], factors)),
    field(5, tensor('offset', [1], [offset])),
    field(5, tensor('means', [1, means.length], means)),
    field(11, tensorInfo('features', factors.length)),
    field(12, tensorInfo('probability', 1)),
  ]
  // IR version 8, operator set 15
  return Buffer.concat([number(1, 8), field(7, Buffer.concat(graph)), field(8, number(2, 15))])
}

function node(type, inputs, output) {
  return Buffer.concat([...inputs.map((name) => field(1, name)), field(2, output), field(4, type)])
}

function tensor(name, shape, values) {
  const float32 = 1
  return Buffer.concat([...shape.map((size) => number(1, size)), number(2, float32), field(8, name), field(9, floats(values))])
}

/** Of [N, columns] numbers. */
function tensorInfo(name, columns) {
  const float32 = 1
  const shape = Buffer.concat([field(1, field(2, 'N')), field(1, number(1, columns))])
  return Buffer.concat([field(1, name), field(2, field(1, Buffer.concat([number(1, float32), field(2, shape)])))])
}

function floats(values) {
  return Buffer.from(Float32Array.from(values).buffer)
}

function number(tag, value) {
  return Buffer.concat([varint(tag << 3), varint(value)])
}

function field(tag, content) {
  const bytes = Buffer.from(content)
  return Buffer.concat([varint((tag << 3) | 2), varint(bytes.length), bytes])
}

function varint(value) {
  const bytes = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest])
    bytes.push((rest % 128) | 128)
  }
}
