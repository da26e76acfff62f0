import { sendJson } from './answers.ts'
import type { EngineSource } from './engine-source.ts'
import type { Route } from './routes.ts'
import type { RescueFigures } from './viewer.ts'
import type { Viewers } from './viewers.ts'

/** The parts that the operator's paths show. */
export interface OperationParts {
  source: EngineSource
  viewers: Viewers
  figures: Readonly<RescueFigures>
}

/** The paths for the operator of the proxy. */
export function operationRoutes({ source, viewers, figures }: OperationParts): readonly Route[] {
  return [
    {
      path: '/ace/status',
      isFrequent: true,
      serve: ({ response }) => sendJson(response, 200, { status: 'ok', viewers: viewers.size, ...figures, ...source.metrics() }),
    },
  ]
}
