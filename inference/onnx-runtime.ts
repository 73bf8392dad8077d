export { InferenceSession, Tensor } from 'onnxruntime-node'

// Version 1.30 collects what it runs, and where, for its maker, and writes of that into the home and the temporary folder, unless this is set before its first session
process.env['ORT_DISABLE_TELEMETRY'] ??= '1'
