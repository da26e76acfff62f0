import { ARROWS, FILES, NEVER } from './rooms.mjs'

const pathOf = (room) => (FILES[room] === undefined ? `^src/${room}/` : `^src/(?:${FILES[room]})\\.ts$`)
const others = (names) => Object.keys(ARROWS).filter((room) => !names.includes(room))

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    { name: 'no-circle', severity: 'error', comment: 'Two files that import each other are one file.', from: {}, to: { circular: true } },
    {
      name: 'every-file-in-a-room',
      severity: 'error',
      comment: 'A new room needs its arrows in lint/rooms.mjs.',
      from: { path: '^src/', pathNot: [...Object.keys(ARROWS).map(pathOf), '^src/testing/'] },
      to: {},
    },
    ...Object.entries(ARROWS).map(([room, mayImport]) => ({
      name: `arrows-of-${room}`,
      severity: 'error',
      comment: `The room ${room} may import only ${mayImport.join(', ') || 'nothing'}.`,
      from: { path: pathOf(room) },
      to: { path: others([...mayImport, room]).map(pathOf) },
    })),
    ...NEVER.map(({ from, to, except, because }, index) => ({
      name: `never-${index + 1}`,
      severity: 'error',
      comment: because,
      from: { path: `^${from}`, pathNot: `^${except}` },
      to: { path: `^${to}` },
    })),
  ],
  options: { tsPreCompilationDeps: true, tsConfig: { fileName: 'tsconfig.src.json' }, doNotFollow: { path: 'node_modules' } },
}
