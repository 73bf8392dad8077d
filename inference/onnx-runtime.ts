export { InferenceSession, Tensor } from 'onnxruntime-node'

// ONNX Runtime 1.30 collects telemetry and writes files to the home and temporary folders, unless this is set before
// its first session
process.env['ORT_DISABLE_TELEMETRY'] ??= '1'
