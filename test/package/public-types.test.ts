import { describe, expect, it } from 'vitest'
import { readPublicTypes } from './public-types.ts'

/** Types whose values the library makes, and the host only reads. A field that such a value lacks is absent. */
const MADE_BY_THE_LIBRARY: ReadonlySet<string> = new Set([
  'AppliedEvent',
  'ClientEvents',
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

  it('compile with lib es2022 and no types: they name nothing else, but for the handlers of msw', () => {
    expect(unknownToES2022).toEqual(['HttpHandler'])
  })

  it('take undefined for every option, as if it had been left out', () => {
    expect(optionalProperties.length).toBeGreaterThan(80)
    const refusing = optionalProperties.filter(
      ({ path, acceptsUndefined }) => !acceptsUndefined && !MADE_BY_THE_LIBRARY.has(path.split('.')[0] ?? ''),
    )
    expect(refusing.map(({ path }) => path)).toEqual([])
  })
})
