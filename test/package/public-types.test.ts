import { describe, expect, it } from 'vitest'
import { readPublicTypes } from './public-types.ts'

/** Types whose values the library makes and the host only reads. An optional field of such a value is absent, never undefined. */
const MADE_BY_THE_LIBRARY: ReadonlySet<string> = new Set([
  'AppliedEvent',
  'ClientEvents',
  'DiagnosedEngine',
  'Diagnosis',
  'EndResult',
  'Engine',
  'FakeEngine',
  'FakeResponse',
  'FakeStream',
  'OrchestratorHealth',
  'Stream',
])

const { unexported, unknownToES2022, optionalProperties } = readPublicTypes()

describe('the types of the package', () => {
  it('can all be imported: no public declaration names a type that is not exported', () => {
    expect(unexported).toEqual([])
  })

  it('compile with lib es2022 and no types: the only other types that they name are of msw, OpenTelemetry and prom-client', () => {
    expect([...unknownToES2022].sort()).toEqual(['Attributes', 'HttpHandler', 'MeterProvider', 'Registry', 'TracerProvider'])
  })

  it('accept undefined for every option, as if the option were omitted', () => {
    expect(optionalProperties.length).toBeGreaterThan(80)
    const refusing = optionalProperties.filter(
      ({ path, acceptsUndefined }) => !acceptsUndefined && !MADE_BY_THE_LIBRARY.has(path.split('.')[0] ?? ''),
    )
    expect(refusing.map(({ path }) => path)).toEqual([])
  })
})
