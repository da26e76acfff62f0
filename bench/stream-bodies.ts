/** What a stream sends, in the smallest form that the orchestrator accepts: for the clients that send their requests by hand. */

export const SESSION = { playbackSessionId: 's', statUrl: 'http://e/stat', commandUrl: 'http://e/cmd' }

let streams = 0

/** An id that no other stream has. */
export function nextId(): string {
  streams += 1
  return `s${streams}`
}

/** The bodies of the two requests of a stream. */
export function bodiesOf(id: string, engine = { host: '127.0.0.1', port: 19_000 }) {
  const { playbackSessionId, statUrl, commandUrl } = SESSION
  const started = {
    content_id: id,
    engine,
    stream: { key_type: 'infohash', key: id },
    session: { playback_session_id: playbackSessionId, stat_url: statUrl, command_url: commandUrl, is_live: 1 },
    labels: { stream_id: id },
  }
  return { started, ended: { content_id: id, stream_id: id, container_id: `stream:${id}` } }
}
