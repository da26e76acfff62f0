export type { TelemetrySource } from '../source.ts'
export { type Collection, type CollectOptions, collectInto, type MetricRegistry } from './collect.ts'
