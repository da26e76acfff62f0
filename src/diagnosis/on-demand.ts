import type { Diagnosis } from '../model/diagnosis.ts'
import type { DiagnoseValues } from '../options/diagnose-options.ts'
import { Chunk } from '../runtime/chunk.ts'
import type { DoctorParts } from './doctor.ts'

/** The code of `diagnose`. */
const diagnosisChunk: Chunk<typeof import('./doctor.ts')> = new Chunk('diagnosis', () => import('./doctor.ts'))

/** See `diagnose` in `doctor.ts`, whose code is loaded with the first call. */
export async function diagnose(parts: DoctorParts, options: DiagnoseValues): Promise<Diagnosis> {
  const code = await diagnosisChunk.load()
  return code.diagnose(parts, options)
}
