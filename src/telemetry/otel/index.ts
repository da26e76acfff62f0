export type { TelemetrySource } from '../source.ts'
export { type Instrumentation, type InstrumentOptions, instrument } from './instrument.ts'
